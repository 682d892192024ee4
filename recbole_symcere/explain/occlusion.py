"""Word occlusion: what a review loses when a word is taken out, by encoding it without that word.

For a review x of an interaction with graph vector g, and a word w of it, all its places together::

    c(w, x) = t(x) . g - t(x without w) . g

This is the model's own answer, not a surrogate's. Deleting any word moves the text vector, so some
of c has nothing to do with this interaction. The specific contribution takes off what the same
deletion changes on average over all n training interactions, exactly::

    s(w, x) = c(w, x) - 1/n sum_j (t(x) - t(x without w)) . g_j
            = (t(x) - t(x without w)) . (g - mean g)
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recbole_symcere.base.live_line import working
from recbole_symcere.base.words import distinct_words, without
from recbole_symcere.explain.loaded_run import ExplainedRun

__all__ = ["Chunk", "Occlusions", "gather", "occlude", "vocabulary_of"]

_TEXTS = 8192  # variants encoded at once: bounds the memory, and is enough to sort by length

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float32]


class Chunk(NamedTuple):
    """Some reviews and what each loses without each of its words.

    Attributes:
        reviews: training interaction of each review [r].
        text: float32 [r, d], t(x).
        words: the words taken out [m].
        owner: place in ``reviews`` of each [m].
        loss: float32 [m, d], t(x) - t(x without w).
    """

    reviews: _Ints
    text: torch.Tensor
    words: list[str]
    owner: _Ints
    loss: torch.Tensor


class Occlusions(NamedTuple):
    """One entry per distinct word of each review; n entries, r reviews.

    Attributes:
        vocabulary: the words.
        word: place in ``vocabulary`` [n].
        review: training interaction [n].
        own: c(w, x) [n].
        specific: s(w, x) [n].
        reviews: the interactions whose reviews were explained [r].
        similarity: t(x) . g [r].
        specific_similarity: t(x) . (g - mean g) [r].
    """

    vocabulary: list[str]
    word: _Ints
    review: _Ints
    own: _Floats
    specific: _Floats
    reviews: _Ints
    similarity: _Floats
    specific_similarity: _Floats


def occlude(run: ExplainedRun, reviews: _Ints) -> Iterator[Chunk]:
    """Take each word out of each review, in pieces that fit into memory.

    A review of fewer than two distinct words is left out: nothing would remain of it.

    Args:
        run: the run.
        reviews: training interactions.
    """
    reviews = np.array(
        [n for n in reviews if len(distinct_words(run.texts[n])) > 1], dtype=np.int64
    )
    with working("taking out words", len(reviews), "reviews") as shown:
        for part in _parts(run.texts, reviews):
            texts, words, owner = [], [], []
            for place, review in enumerate(part):
                text = run.texts[review]
                for word, places in distinct_words(text).items():
                    texts.append(without(text, places))
                    words.append(word)
                    owner.append(place)
            vectors = run.text_vectors([*(run.texts[review] for review in part), *texts])
            text, changed = vectors[: len(part)], vectors[len(part) :]
            of = np.array(owner, dtype=np.int64)
            yield Chunk(part, text, words, of, text[of] - changed)
            shown.advance(len(part))


def gather(run: ExplainedRun, chunks: Iterator[Chunk]) -> Occlusions:
    """Contributions to the own interaction, about 24 bytes for each word of each review."""
    places: dict[str, int] = {}
    words, heads = _empty(4), _empty(3)
    for chunk in chunks:
        pairs = run.pairs[chunk.reviews]  # [r, d]
        own = _dots(chunk.loss, pairs[chunk.owner])
        specific = own - (chunk.loss @ run.centre).numpy()
        word = [places.setdefault(word, len(places)) for word in chunk.words]
        words.append((np.array(word), chunk.reviews[chunk.owner], own, specific))
        similarity = _dots(chunk.text, pairs)
        heads.append((chunk.reviews, similarity, similarity - (chunk.text @ run.centre).numpy()))
    word_of, review, own, specific = (np.concatenate(c) for c in zip(*words, strict=True))
    done, similarity, special = (np.concatenate(c) for c in zip(*heads, strict=True))
    return Occlusions(list(places), word_of, review, own, specific, done, similarity, special)


def _empty(n_columns: int) -> list[tuple[Any, ...]]:
    ids, values = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    return [(*([ids] * (n_columns - 2)), values, values)]


def vocabulary_of(texts: Sequence[str]) -> tuple[list[str], _Ints, _Ints, _Ints]:
    """The words of texts.

    Returns:
        The words, and for each distinct word of each text the text's place, the word's place and
        how often it stands there.
    """
    places: dict[str, int] = {}
    entries = [
        (row, places.setdefault(word, len(places)), len(found))
        for row, text in enumerate(texts)
        for word, found in distinct_words(text).items()
    ]
    rows, words, times = np.array(entries, dtype=np.int64).reshape(-1, 3).T
    return list(places), rows, words, times


def _dots(left: torch.Tensor, right: torch.Tensor) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = (left * right).sum(dim=1).numpy()
    return found


def _parts(texts: Sequence[str], reviews: _Ints) -> Iterator[_Ints]:
    part: list[int] = []
    size = 0
    for review in reviews:
        n_words = len(distinct_words(texts[review]))
        if part and size + n_words > _TEXTS:
            yield np.array(part)
            part, size = [], 0
        part.append(review)
        size += n_words + 1
    if part:
        yield np.array(part)
