"""What the training reviews say of interactions, users and items: their meaning and their words."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix

from recbole_symcere.base.options import read_options
from recbole_symcere.base.word_counts import Vocabulary
from recbole_symcere.data.items import item_file, item_texts
from recbole_symcere.data.reviews import reviews_of
from recbole_symcere.model.blend_options import BlendOptions
from recbole_symcere.model.text_side import encoded, item_vectors, text_facts
from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.lexical import LexicalSpace, WordSums, word_counts
from recbole_symcere.text.owners import mean_of
from recbole_symcere.text.text_options import EncoderOptions, ItemTextOptions
from recbole_symcere.text.tokens import TokenStore

__all__ = [
    "InteractionVectors",
    "NodeProfiles",
    "TextProfiles",
    "interaction_vectors",
    "item_text_vectors",
    "node_profiles",
    "review_words",
]

_OWNERS = 16_384  # whose profiles are made at once


class InteractionVectors(NamedTuple):
    """Vectors of the training interactions' reviews, from the frozen encoder.

    Attributes:
        vectors: float32 [n_texts, d_t], one per distinct text.
        text_ids: int64 [n], the text of each training interaction in the order of the split; -1 for
            an empty review.
        store: the tokens of those texts.
        facts: what a result should tell: encoder, mode, pooling, text_level, numbers of texts.
    """

    vectors: torch.Tensor
    text_ids: np.ndarray
    store: TokenStore
    facts: dict[str, Any]

    def mean_per(self, ids: np.ndarray, size: int) -> torch.Tensor:
        """Mean review vector of each user or item.

        Args:
            ids: [n] the user or item of each training interaction.
            size: number of such ids, padding included.

        Returns:
            float32 [size, d_t]; zeros where there is no review.
        """
        return mean_of(self.vectors, self.text_ids, ids, size)


def interaction_vectors(
    dataset: Any, options: EncoderOptions, device: torch.device
) -> InteractionVectors:
    """The vector of each training interaction's review.

    Args:
        dataset: the training split.
        options: the encoder's settings.
        device: where to compute; the result is on the CPU.

    Raises:
        InputError: as `review_encoder`.
    """
    reviews = reviews_of(dataset, options)
    backbone, tokenizer = load_encoder(options.text_encoder)
    encoder = TextEncoder(backbone, options.pooling, options.text_normalize)
    vectors = encoded(
        encoder, tokenizer, reviews.store, "training reviews", options, device
    ).original
    facts = text_facts(options, encoder, reviews.store, "frozen", "interaction")
    return InteractionVectors(vectors, reviews.training_ids(dataset), reviews.store, facts)


def item_text_vectors(
    dataset: Any, encoder: EncoderOptions, options: ItemTextOptions, device: torch.device
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Frozen vectors of the items' texts.

    Where the data set has texts of its items, `item_texts`, they are read; else the training
    reviews as ``item_text`` says.

    Args:
        dataset: the training split.
        encoder: the encoder's settings.
        options: what an item's text is.
        device: where to encode.

    Returns:
        float32 [n_items, d_t], zeros for an item without a text, and what a result should tell.

    Raises:
        InputError: as `item_vectors`.
    """
    by_file = item_file(dataset).is_file()
    if by_file or not options.by_mean("frozen"):
        vectors, facts, _ = item_vectors(dataset, encoder, device)
        return vectors, facts | ({} if by_file else {"item_text": "joined"})
    reviews = interaction_vectors(dataset, encoder, device)
    ids = dataset.inter_feat[dataset.iid_field].numpy()
    told = len(np.unique(ids[reviews.text_ids >= 0]))
    facts = reviews.facts | {"text_level": "item", "item_texts": "training reviews"}
    facts |= {"item_text": "mean", "items_without_text": dataset.item_num - 1 - told}
    return reviews.mean_per(ids, dataset.item_num), facts


class NodeProfiles(NamedTuple):
    """What the training reviews say of each user and each item.

    A profile has two parts, each centred and brought to length 1: the mean of the owner's review
    vectors, and the words of its reviews (`LexicalSpace`). Where there is ``<name>.items.parquet``,
    an item's own text is half of its vector, mean of the two at length 1, and its words count too;
    with ``own_item_text: False`` only for items without a training review.

    Attributes:
        nodes: float32 [n_users + n_items, d_p], those of users, if they are asked for, and then
            those of items; zeros for an owner without text.
        words: float32 [n_items, s], the second part of the items as `LexicalSpace` gives it.
    """

    nodes: torch.Tensor
    words: torch.Tensor


def node_profiles(
    dataset: Any,
    options: EncoderOptions,
    device: torch.device,
    lexical_size: int,
    lexical_length: int,
    dense: bool,
    with_users: bool = True,
) -> NodeProfiles:
    """The profiles of users and items.

    Args:
        dataset: the training split.
        options: the encoder's settings.
        device: where to encode.
        lexical_size: dimensions of the second part; 0 leaves it out.
        lexical_length: words of a text that count, however much of it the encoder reads.
        dense: whether there is the first part.
        with_users: whether there are profiles of users.

    Raises:
        InputError: as `interaction_vectors`.
    """
    parts, words = [], torch.zeros(dataset.item_num, 0)
    if lexical_size:  # the counts take most memory, so that they go first
        counts, _ = review_words(dataset, lexical_length, with_users)
        space = LexicalSpace(counts.pop(0), lexical_size)
        words = space.rows
        parts.append([words, *(space.transform(others) for others in counts)])
    if dense:
        parts.insert(0, _means(dataset, options, device, with_users))
    widths, sizes = [part[0].shape[1] for part in parts], [len(rows) for rows in parts[0][::-1]]
    nodes = torch.empty(sum(sizes), sum(widths))
    for part, columns in zip(parts, torch.split(nodes, widths, dim=1), strict=True):
        for rows, out in zip(part[::-1], torch.split(columns, sizes), strict=True):
            _around(rows, _centre(rows), out)  # users, then items
    return NodeProfiles(nodes, words)


class TextProfiles:
    """Profiles of new items, made as `node_profiles` made those of the known ones.

    The space of the words and the centres of both parts are those of the known items.

    Args:
        dataset: the training split.
        options: the encoder's settings.
        device: where to encode what the cache lacks.
        lexical_size: see `node_profiles`, as the others.
        lexical_length: likewise.
        dense: likewise.
        encode: from n texts to their vectors [n, d_t].
    """

    def __init__(
        self,
        dataset: Any,
        options: EncoderOptions,
        device: torch.device,
        lexical_size: int,
        lexical_length: int,
        dense: bool,
        encode: Callable[[Sequence[str]], torch.Tensor],
    ) -> None:
        self._encode, self._length = encode, lexical_length
        self._centre = _centre(_means(dataset, options, device, False)[0]) if dense else None
        self._of_units = _reads_own_text(dataset)
        self._space: LexicalSpace | None = None
        if lexical_size:
            counts, self._vocabulary = review_words(dataset, lexical_length, False)
            self._space = LexicalSpace(counts[0], lexical_size)
            self._word_centre = _centre(self._space.rows)

    def __call__(self, owners: Sequence[Sequence[str]]) -> tuple[torch.Tensor, torch.Tensor]:
        """The profile [n, d_p] and the words [n, s] (`NodeProfiles.words`) of each owner's texts.

        Args:
            owners: of each the texts, at least one.
        """
        texts = [text for mine in owners for text in mine]
        rows = np.repeat(np.arange(len(owners)), [len(mine) for mine in owners])
        parts, words = [], torch.zeros(len(owners), 0)
        if self._centre is not None:
            vectors = self._encode(texts)
            chosen = np.where(vectors.any(dim=1).numpy(), np.arange(len(texts)), -1)
            part = mean_of(vectors, chosen, rows, len(owners))
            parts.append((F.normalize(part, dim=-1) if self._of_units else part, self._centre))
        if self._space is not None:
            counts = self._vocabulary.count(texts, self._length)
            counts = word_counts(counts, np.arange(len(texts)), rows, len(owners))
            words = self._space.transform(counts)
            parts.append((words, self._word_centre))
        profiles = torch.empty(len(owners), sum(len(centre) for _, centre in parts))
        widths = [len(centre) for _, centre in parts]
        for (part, centre), out in zip(parts, torch.split(profiles, widths, dim=1), strict=True):
            _around(part, centre, out)
        return profiles, words


def _owners(dataset: Any, with_users: bool) -> list[tuple[np.ndarray, int]]:
    """The item, and the user, of each training interaction [n], and how many there are."""
    fields = [(dataset.iid_field, dataset.item_num), (dataset.uid_field, dataset.user_num)]
    asked = fields if with_users else fields[:1]
    return [(dataset.inter_feat[field].numpy(), size) for field, size in asked]


def _means(
    dataset: Any, options: EncoderOptions, device: torch.device, with_users: bool
) -> list[torch.Tensor]:
    """Of items, and of users if asked."""
    reviews = interaction_vectors(dataset, options, device)
    means = [reviews.mean_per(ids, size) for ids, size in _owners(dataset, with_users)]
    if item_file(dataset).is_file():
        own = item_vectors(dataset, options, device)[0]
        if _reads_own_text(dataset):
            means[0], own = F.normalize(means[0], dim=-1), F.normalize(own, dim=-1)
            both = means[0].any(dim=1, keepdim=True) & own.any(dim=1, keepdim=True)
            means[0] = (means[0] + own) / torch.where(both, 2, 1)
        else:
            means[0] = torch.where(means[0].any(dim=1, keepdim=True), means[0], own)
    return means


def _reads_own_text(dataset: Any) -> bool:
    wanted = read_options(BlendOptions, dataset.config).own_item_text
    return wanted and item_file(dataset).is_file()


def review_words(dataset: Any, most: int, with_users: bool) -> tuple[list[csr_matrix], Vocabulary]:
    """Word counts of items' and, if asked, users' training reviews, and the words' numbers.

    An item's own text is counted as `NodeProfiles` says.

    Args:
        dataset: the training split.
        most: words of a review that count.
        with_users: whether users' are asked for.
    """
    owners, vocabulary = _owners(dataset, with_users), Vocabulary()
    sums = [WordSums(size) for _, size in owners]
    for places, texts in dataset.review_pieces():
        distinct = texts.dictionary_encode()
        words, chosen = vocabulary.count(distinct.dictionary, most), distinct.indices.to_numpy()
        for found, (ids, size) in zip(sums, owners, strict=True):
            found.add(word_counts(words, chosen, ids[places], size))
    if item_file(dataset).is_file():
        read = np.arange(dataset.item_num)
        if not _reads_own_text(dataset):  # those without a word
            read = read[np.diff(sums[0].total(len(vocabulary.codes)).indptr) == 0]
        texts, _ = item_texts(dataset)
        more = vocabulary.count(texts.take(read), most)
        sums[0].add(word_counts(more, np.arange(len(read)), read, dataset.item_num))
    return [found.total(len(vocabulary.codes)) for found in sums], vocabulary


def _centre(rows: torch.Tensor) -> torch.Tensor:
    """The mean [d] of the rows that aren't zero."""
    # in float64, so that the mean of equal rows is theirs: what is left of them becomes a direction
    total, n = rows.new_zeros(rows.shape[1], dtype=torch.float64), 0
    for some in torch.split(rows, _OWNERS):
        present = some.any(dim=1)
        total, n = total + some[present].sum(dim=0, dtype=torch.float64), n + int(present.sum())
    return (total / max(n, 1)).to(rows.dtype)


def _around(rows: torch.Tensor, centre: torch.Tensor, out: torch.Tensor) -> None:
    """Write rows as unit vectors around a centre; those of zeros stay so."""
    for some, written in zip(*(torch.split(x, _OWNERS) for x in (rows, out)), strict=True):
        present = some.any(dim=1, keepdim=True)
        written.copy_(F.normalize(torch.where(present, some - centre, 0.0), dim=-1))
