"""A finished run, ready to be asked: its model, its training reviews and its text encoder."""

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import read_options
from recbole_symcere.data.chronology import row_times
from recbole_symcere.model.registry import text_use
from recbole_symcere.model.stored_vectors import StoredVectors
from recbole_symcere.run.agreement import run_folder
from recbole_symcere.run.catalogue import read_catalogue
from recbole_symcere.run.run_directory import RunDirectory
from recbole_symcere.run.stored_run import load_data_and_model
from recbole_symcere.text.encode import encode_texts
from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.load import load_tokenizer
from recbole_symcere.text.text_options import TextOptions

__all__ = [
    "ExplainedRun",
    "Places",
    "facts_of",
    "load_run",
    "load_text_run",
]


Places = Mapping[str, str | None]


class ExplainedRun:
    """A run whose graph and review vectors live in one space (SymCERE), in evaluation mode.

    Attributes:
        path: its folder.
        config: its settings.
        model: with the best epoch's weights.
        dataset: the training split.
        texts: the review of each training interaction, as far as the model reads it.
        users: user id of each training interaction [n].
        items: item id of each [n].
        ratings: rating of each [n], and
        times: time of each [n]; None where the data have none.
        encoder: its text encoder, with its LoRA weights where it has some.
        pairs: float32 [n, d], g_{u,i} of each training interaction as the loss sees it: at length
            1 unless the run leaves out the normalisation.
        centre: float32 [d], the mean of ``pairs`` over the training interactions.
    """

    def __init__(
        self, path: Path, config: Any, model: Any, dataset: Any, held_out: Any = None
    ) -> None:
        self.path, self.config, self.model, self.dataset = path, config, model, dataset
        self._held_out = held_out
        self._options = read_options(TextOptions, config)
        self.device = model.device
        self._tokenizer = load_tokenizer(self._options.text_encoder)
        self.encoder = self._own_encoder()
        model.eval()
        with torch.no_grad():
            self._nodes = model.forward()
            self.item_vectors = model.unit(self._nodes[1]).cpu()
        self._take(dataset, dataset.training_reviews())
        self.centre = self.pairs.mean(dim=0)

    def _take(self, part: Any, texts: Any) -> None:
        """Let the interactions of a split be those that are explained."""
        self.users = part.inter_feat[part.uid_field].numpy()
        self.items = part.inter_feat[part.iid_field].numpy()
        self.ratings = _column(part.inter_feat, self.config["RATING_FIELD"])
        self.times = row_times(part)
        self.texts = _read_parts(texts.to_pylist(), self._tokenizer, self._options.max_length)
        user, item = self._nodes
        with torch.no_grad():
            pairs = (user[torch.as_tensor(self.users)] + item[torch.as_tensor(self.items)]) / 2
            self.pairs = self.model.unit(pairs).cpu()

    def validation(self) -> "ExplainedRun | None":
        """The same run with the validation interactions and reviews in the place of the training's.

        Nothing was trained on them. None where the run has none.
        """
        if self._held_out is None or not len(self._held_out.inter_feat):
            return None
        other = copy.copy(self)
        other._take(self._held_out, self._held_out.validation_reviews())
        return other

    def _own_encoder(self) -> TextEncoder:
        tuned = getattr(self.model.reviews, "encoder", None)
        if tuned is not None:
            return tuned.eval()  # type: ignore[no-any-return]
        backbone, _ = load_encoder(self._options.text_encoder)
        return TextEncoder(backbone, self._options.pooling, self._options.text_normalize)

    def text_vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """Projected review vectors t of any texts, as the loss sees them.

        Returns:
            float32 [n, d]; NaN for a text without a word, which the model leaves out.
        """
        return self.unit(self.raw_text_vectors(texts))

    def raw_text_vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """`text_vectors` before the normalisation, if there is one."""
        return self.projected(
            encode_texts(
                self.encoder, self._tokenizer, texts, self._options.max_length, self.device
            )
        )

    @torch.no_grad()
    def projected(self, vectors: torch.Tensor) -> torch.Tensor:
        """The encoder's vectors [n, d_t] projected [n, d]; NaN where they are zero."""
        empty = ~vectors.any(dim=1, keepdim=True)
        text: torch.Tensor = self.model.projection(vectors.to(self.device))
        return text.cpu().masked_fill(empty.cpu(), torch.nan)

    def unit(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors as the loss sees them: at length 1 unless the run leaves that out."""
        unit: torch.Tensor = self.model.unit(vectors)
        return unit

    def tokens(self, text: str) -> dict[str, torch.Tensor]:
        """input_ids and attention_mask [1, T] and offset_mapping [1, T, 2] of a text."""
        found: dict[str, torch.Tensor] = self._tokenizer(
            text,
            truncation=True,
            max_length=self._options.max_length,
            return_offsets_mapping=self._tokenizer.is_fast,
            return_tensors="pt",
        )
        return found

    @property
    def special_ids(self) -> list[int]:
        """Ids of the tokenizer's special tokens."""
        return list(self._tokenizer.all_special_ids)

    @property
    def blank_id(self) -> int:
        """The token that says nothing: the mask, else the pad, else the unknown token."""
        kinds = (f"{kind}_token_id" for kind in ("mask", "pad", "unk", "eos"))
        ids = (getattr(self._tokenizer, kind) for kind in kinds)
        return int(next(token for token in ids if token is not None))

    def randomised(self, seed: int) -> "ExplainedRun":
        """The same run with a text encoder of random weights (Adebayo et al., 2018).

        Everything else stays: architecture, tokenizer, projection and graph vectors.
        """
        other = copy.copy(self)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            other.encoder = self.encoder.random_twin()
        return other

    def known_ratings(self) -> npt.NDArray[np.float64]:
        """The ratings.

        Raises:
            InputError: if the data have none.
        """
        if self.ratings is None:
            raise InputError(
                f"--run={self.path}: the run's data have no ratings, but subjective words are "
                "those that follow the rating. Train with load_col that names the rating column."
            )
        return self.ratings

    def sample(self, n: int | None, seed: int) -> npt.NDArray[np.int64]:
        """Training interactions that have a review: all of them or ``n``, in ascending order."""
        there = np.flatnonzero([bool(text.strip()) for text in self.texts])
        if n is None or n >= len(there):
            return there
        return np.sort(np.random.default_rng(seed).choice(there, n, replace=False))

    def named_items(self, ids: npt.ArrayLike) -> list[str]:
        """The file's names of inner item ids, each with its title where the catalogue has one."""
        names = self.tokens_of(self.dataset.iid_field, ids)
        return [
            f"{name}: {self._titles[name]}" if self._titles.get(name) else name for name in names
        ]

    @cached_property
    def _titles(self) -> dict[str, str]:
        """An item's name -> its title, as far as there is one."""
        catalogue = read_catalogue(self.path, RunDirectory(self.path).read_metrics() or {})
        if catalogue is None:
            return {}
        return dict(zip(catalogue.items.to_pylist(), catalogue.titles.to_pylist(), strict=True))

    def tokens_of(self, field: str, ids: npt.ArrayLike) -> list[str]:
        """The file's names of inner user or item ids."""
        return [str(name) for name in self.dataset.id2token(field, np.asarray(ids))]


def load_run(path: str, places: Places | None = None) -> tuple[Any, ...]:
    """RecBole's tuple of a run: config, model, dataset and the three loaders.

    Args:
        path: its folder.
        places: where its things are now, see `load_data_and_model`.

    Raises:
        InputError: if there is no run, or its data have changed since.
    """
    loaded: tuple[Any, ...] = load_data_and_model(run_folder(path).path, **(places or {}))
    loaded[1].eval()
    return loaded


def load_text_run(path: str, places: Places | None = None) -> ExplainedRun:
    """A run of a model that aligns each review with its interaction.

    Args:
        path: its folder.
        places: see `load_run`.

    Raises:
        InputError: as `load_run`, for a model that has no review vector to explain, and without its
            text encoder.
    """
    settings = run_folder(path).read_config()
    model = str(settings.get("model"))
    if text_use(model) != "batch":
        reads = "reads no review" if text_use(model) == "none" else "gives no review its own vector"
        raise InputError(
            f"--run={path}: the run is of {model}, which {reads}, so there is nothing to explain. "
            "Name a run of SymCERE."
        )
    if settings.get("text_level") == "item":
        raise InputError(
            f"--run={path}: the run has text_level: item, where a text is all reviews of an item. "
            "Explanations are of single reviews; name a run with text_level: interaction."
        )
    config, trained, _, train_data, valid_data, _ = load_run(path, places)
    if isinstance(trained, StoredVectors):
        raise InputError(
            f"--run={path}: the run's text encoder {config['text_encoder']} is gone, without which "
            "no review can be explained. If it was moved, name it: --text_encoder=DIR."
        )
    held_out = None if valid_data is None else valid_data.dataset
    return ExplainedRun(Path(path).absolute(), config, trained, train_data.dataset, held_out)


def facts_of(path: str, config: Any, model: Any) -> dict[str, str]:
    """What a page says of a run: its model, data set and name, and what it can't tell."""
    facts = {"model": config["model"], "dataset": config["dataset"], "run": Path(path).name}
    if isinstance(model, StoredVectors) and text_use(config["model"]) == "batch":
        facts["left_out"] = (
            f"The text encoder is gone ({config['text_encoder']}), so that vectors of reviews are "
            "left out; --text_encoder=DIR names where it is now."
        )
    return facts


def _read_parts(texts: list[str], tokenizer: Any, max_length: int) -> list[str]:
    """Each text up to the last character that the model reads."""
    if not tokenizer.is_fast or not texts:
        return texts
    found = tokenizer(texts, truncation=True, max_length=max_length, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    ends = [max((end for _, end in offsets), default=0) for offsets in found]
    return [text[:end] for text, end in zip(texts, ends, strict=True)]


def _column(rows: Any, field: str) -> npt.NDArray[np.float64] | None:
    """A column of numbers, if there is one."""
    return rows[field].numpy().astype(np.float64) if field in rows.columns else None
