"""RecBole's Dataset with a review behind every interaction.

Row n of ``<name>.inter`` belongs to row n of ``<name>.reviews.parquet``. Each interaction carries
its row number as an int64 field through duplicate removal, filters, k-core, sorting and splitting,
so its review is found by number and never by position. Only the training split hands out texts.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from recbole.data.dataset import Dataset, KnowledgeBasedDataset
from recbole.utils import FeatureSource, FeatureType
from scipy.sparse import csr_matrix

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import read_options
from recbole_symcere.base.program import program
from recbole_symcere.data.chronology import row_times
from recbole_symcere.data.history import history_matrix
from recbole_symcere.data.text_control import controlled
from recbole_symcere.text.text_options import ControlOptions

__all__ = ["ROW_FIELD", "ReviewDataset", "ReviewKnowledgeDataset"]

ROW_FIELD = "inter_row"
"""Name of the int64 field that holds an interaction's row in the file, counted from 0."""

_PIECE = 65_536  # reviews that are read at once


class ReviewDataset(Dataset):  # type: ignore[misc] # RecBole has no types
    """Interactions and their reviews.

    Attributes:
        split: "train", "valid" or "test" once `build` has split the data; None before.
        all_history: after `build`, CSR [n_users, n_items] of every split's interactions. Training
            may look at it only with ``history_scope: all``, which leaks held-out pairs.
        tokenised: (level, length) -> the split's `TrainingReviews` that `reviews_of` has made.
    """

    split: str | None = None
    all_history: csr_matrix | None = None
    tokenised: Any = None
    _rest_fields: Any  # RecBole's: the names of the fields that it remaps

    # --- loading ---------------------------------------------------------------------------------

    def _download(self) -> None:
        # RecBole would fetch a data set of this name, without reviews, from a bucket that is gone
        raise InputError(
            f"There is no data set {self.dataset_name!r}: {self.dataset_path} doesn't exist. "
            f"Convert one with: {program()} convert SOURCE --input=FILE --name={self.dataset_name}"
        )

    def _load_inter_feat(self, token: str, dataset_path: str) -> None:
        super()._load_inter_feat(token, dataset_path)
        self.inter_feat[ROW_FIELD] = np.arange(len(self.inter_feat), dtype=np.int64)
        self.set_field_property(ROW_FIELD, FeatureType.TOKEN, FeatureSource.INTERACTION, 1)
        self._check_reviews()

    def _init_alias(self) -> None:
        super()._init_alias()
        # a row number is an int64 like a token, but it is never remapped
        self._rest_fields = self._rest_fields[self._rest_fields != ROW_FIELD]

    def num(self, field: str) -> int:
        """The number of values of ``field``; of the row field, the number of interactions."""
        return len(self.inter_feat) if field == ROW_FIELD else super().num(field)

    def _drop_unused_col(self) -> None:
        if ROW_FIELD in (self.config["unused_col"] or {}).get("inter", ()):
            raise InputError(f"unused_col can't name {ROW_FIELD!r}: it leads to the reviews.")
        super()._drop_unused_col()

    # --- reviews ---------------------------------------------------------------------------------

    def review_files(self) -> list[Path]:
        """The review file, or one per benchmark part in the order of `benchmark_filename`."""
        parts = self.benchmark_filename_list
        names = (
            [self.dataset_name] if parts is None else [f"{self.dataset_name}.{p}" for p in parts]
        )
        return [Path(self.dataset_path) / f"{name}.reviews.parquet" for name in names]

    def _read_reviews(self, columns: list[str]) -> pa.Table:
        return pa.concat_tables([self._read(path, columns) for path in self.review_files()])

    def _read(self, path: Path, columns: list[str]) -> pa.Table:
        with self._opened(path, columns) as file:
            return file.read(columns)

    @contextlib.contextmanager
    def _opened(self, path: Path, columns: list[str]) -> Iterator[pq.ParquetFile]:
        """A review file that has those columns."""
        if not path.is_file():
            raise InputError(
                f"{path} doesn't exist, but {self.config['model']} learns from reviews. Add "
                f"those of the interactions with: {program()} convert attach --input=FILE "
                f"--name={self.dataset_name} --output_dir={path.parents[1]}"
            )
        try:
            with pq.ParquetFile(path) as file:
                found = file.schema_arrow.names
                missing = ", ".join(sorted(set(columns) - set(found)))
                if missing:
                    raise InputError(f"{path} has no column {missing}; it has {', '.join(found)}.")
                yield file
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} can't be read as Parquet: {error}") from None

    def _check_reviews(self) -> None:
        """Stop unless the reviews' users and items are those of the interactions, row by row."""
        reviews = self._read_reviews(["user_id", "item_id"])
        files = " and ".join(path.name for path in self.review_files())
        if len(reviews) != len(self.inter_feat):
            raise InputError(
                f"{files} has {len(reviews):,} rows, but the .inter file has "
                f"{len(self.inter_feat):,}; row n of one must belong to row n of the other. "
                "Convert the data set again."
            )
        for field, column in ((self.uid_field, "user_id"), (self.iid_field, "item_id")):
            ours = pa.array(self.inter_feat[field], type=pa.string(), from_pandas=True)
            theirs = reviews[column].cast(pa.string()).combine_chunks()
            differ = pc.invert(pc.fill_null(pc.equal(ours, theirs), False))
            first = pc.index(differ, True).as_py()
            if first >= 0:
                raise InputError(
                    f"{files} doesn't match the .inter file: in data row {first + 1:,} the review "
                    f"is of {column} {theirs[first].as_py()!r}, the interaction of "
                    f"{ours[first].as_py()!r}. Convert the data set again."
                )

    def training_reviews(self) -> pa.Array:
        """The reviews of this split's interactions, in the order of `inter_feat`.

        Equal texts are in memory once: as they are, the array is a dictionary of strings.

        Raises:
            RuntimeError: if this isn't the training split. No other split's text may be read: it
                would leak into vectors, masks or scores.
        """
        return self.controlled(self._own_reviews())

    def validation_reviews(self) -> pa.Array:
        """The reviews of the validation split's interactions, to explain a finished run by.

        No training and no scoring may read them.

        Raises:
            RuntimeError: if this isn't the validation split.
        """
        if self.split != "valid":
            raise RuntimeError(f"This is split {self.split!r}, and not the validation split.")
        return self._texts_of_rows()

    def review_pieces(self) -> Iterator[tuple[np.ndarray, pa.Array]]:
        """The training reviews without all of them in memory, in the order of the file.

        Yields:
            Places in `inter_feat` [n], and the texts of those interactions [n].

        Raises:
            RuntimeError: as `training_reviews`.
        """
        self._refuse_held_out()
        if (read_options(ControlOptions, self.config).text_control or "none") != "none":
            texts = self.training_reviews()  # dealt anew over all of them
            for start in range(0, len(texts), _PIECE):
                piece = texts[start : start + _PIECE]
                yield np.arange(start, start + len(piece)), piece
            return
        yield from self._pieces()

    def _pieces(self) -> Iterator[tuple[np.ndarray, pa.Array]]:
        """`review_pieces` without a control."""
        rows = self.inter_feat[ROW_FIELD].numpy()
        order, at = np.argsort(rows), 0
        for path in self.review_files():
            with self._opened(path, ["text"]) as file:
                for batch in file.iter_batches(_PIECE, columns=["text"]):
                    start, stop = np.searchsorted(rows, (at, at + len(batch)), sorter=order)
                    places = order[start:stop]
                    texts = batch["text"].take(pa.array(rows[places] - at))
                    yield places, pc.fill_null(texts.cast(pa.string()), "")
                    at += len(batch)

    def _refuse_held_out(self) -> None:
        if self.split != "train":
            raise RuntimeError(
                f"Only the training split hands out reviews, but this is split {self.split!r}."
            )

    def _own_reviews(self) -> pa.DictionaryArray:
        self._refuse_held_out()
        return self._texts_of_rows()

    def _texts_of_rows(self) -> pa.DictionaryArray:
        # by number: a copy of all texts for each step would be most of a run's memory
        numbers, pieces = np.zeros(len(self.inter_feat), np.int32), []
        for places, texts in self._pieces():
            pieces.append((places, texts.cast(pa.large_string()).dictionary_encode()))
        if not pieces:
            return pa.array([], pa.large_string()).dictionary_encode()
        encoded = pa.chunked_array([piece for _, piece in pieces]).unify_dictionaries()
        for (places, _), piece in zip(pieces, encoded.chunks, strict=True):
            numbers[places] = piece.indices.to_numpy()
        return pa.DictionaryArray.from_arrays(pa.array(numbers), encoded.chunk(0).dictionary)

    def controlled(self, texts: pa.Array) -> pa.Array:
        """The texts, of reviews or of items, or what ``text_control`` puts in their place."""
        options = read_options(ControlOptions, self.config)
        return controlled(texts, options.text_control or "none", options.text_control_seed)

    def order_of_time(self) -> np.ndarray:
        """Places in `inter_feat`, the oldest first; rows of one time in the order of the file."""
        rows, times = np.asarray(self.inter_feat[ROW_FIELD]), row_times(self)
        return np.lexsort((rows,) if times is None else (rows, times))

    def training_item_texts(self) -> pa.Array:
        """For each item id, its training reviews joined in order of time; "" for none [n_items]."""
        order = self.order_of_time()
        items = self.inter_feat[self.iid_field].numpy()[order]
        ordered = self._own_reviews().take(order).dictionary_decode()
        table = pa.table({"item": items, "text": ordered})
        grouped = table.group_by("item", use_threads=False).aggregate([("text", "list")])
        texts = np.full(self.item_num, "", dtype=object)
        texts[grouped["item"].to_numpy()] = pc.binary_join(
            grouped["text_list"].combine_chunks(), pa.scalar(" ", table["text"].type)
        ).to_numpy(zero_copy_only=False)
        return self.controlled(pa.array(texts, type=pa.string()))

    # --- splitting -------------------------------------------------------------------------------

    def build(self) -> list[Any]:
        """RecBole's split, with each part told which it is."""
        parts: list[Any] = super().build()
        users = np.concatenate([part.inter_feat[self.uid_field].numpy() for part in parts])
        items = np.concatenate([part.inter_feat[self.iid_field].numpy() for part in parts])
        everything = history_matrix(users, items, self.user_num, self.item_num)
        for part, name in zip(parts, ("train", "valid", "test"), strict=False):
            part.split, part.all_history = name, everything
        return parts

    def history(self) -> csr_matrix:
        """CSR [n_users, n_items] of this split's interactions, each pair once."""
        users = self.inter_feat[self.uid_field].numpy()
        items = self.inter_feat[self.iid_field].numpy()
        return history_matrix(users, items, self.user_num, self.item_num)


class ReviewKnowledgeDataset(ReviewDataset, KnowledgeBasedDataset):  # type: ignore[misc] # as above
    """`ReviewDataset` with RecBole's knowledge graph, for a model that reads it."""
