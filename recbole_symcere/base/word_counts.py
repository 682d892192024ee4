"""Words of many texts at once: the words of `segment`, counted by text."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from scipy.sparse import csr_matrix

from recbole_symcere.base.words import KANA, RUN, SPACELESS, segment

__all__ = ["Vocabulary", "n_words"]

_CHUNK = 20_000  # texts that are cut at once


class Vocabulary:
    """The words met so far, each with a number.

    A run of letters that is one word is looked at once however often it is met.

    Attributes:
        codes: word -> its number, in order of appearance.
    """

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self._single: dict[tuple[str, bool], list[int]] = {}  # by run, and whether it is Japanese

    def count(self, texts: "pa.Array | Sequence[str]", most: int | None = None) -> csr_matrix:
        """How often each text uses each word.

        Args:
            texts: the texts, none of them null.
            most: words of a text that count, from its beginning; all by default.

        Returns:
            float32 [n_texts, n_words], a column for the number of each word.
        """
        rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for start, words, text in self._read(texts):
            if most is not None:
                first = np.searchsorted(text, text)
                kept = np.arange(len(text)) - first < most
                words, text = words[kept], text[kept]
            rows.append(text + start)
            columns.append(words)
        places = np.concatenate(rows), np.concatenate(columns)
        ones = np.ones(len(places[0]), np.float32)
        return csr_matrix((ones, places), shape=(len(texts), len(self.codes)))

    def _read(
        self, texts: Any
    ) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Per chunk: its first text, the numbers of its words in order, and their texts in it."""
        for start in range(0, len(texts), _CHUNK):
            column = pl.Series("text", texts[start : start + _CHUNK], pl.String)
            frame = column.to_frame().with_row_index("at")
            for japanese in (False, True):
                mine = pl.col("text").str.contains(KANA.pattern) == japanese
                found = (
                    frame.filter(mine)
                    .select("at", run=pl.col("text").str.extract_all(RUN.pattern))
                    .explode("run", empty_as_null=False)
                )
                yield start, *self._words(found, japanese)

    def _words(
        self, found: pl.DataFrame, japanese: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        runs = found["run"].to_arrow().dictionary_encode()
        words = [self._cut(run, japanese) for run in runs.dictionary.to_pylist()]
        lengths = np.array([len(row) for row in words], np.int64)
        flat = np.array([code for row in words for code in row], np.int64)
        of_run = runs.indices.to_numpy(zero_copy_only=False)
        taken = lengths[of_run]
        begin = (np.cumsum(lengths) - lengths)[of_run]
        inside = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
        codes = flat[np.repeat(begin, taken) + inside]
        return codes, np.repeat(found["at"].to_numpy().astype(np.int64), taken)

    def _cut(self, run: str, japanese: bool) -> list[int]:
        if (known := self._single.get((run, japanese))) is not None:
            return known
        words = [word.key for word in segment(run, japanese)]
        codes = [self.codes.setdefault(word, len(self.codes)) for word in words]
        if len(codes) == 1:  # others, such as phrases of Chinese, seldom come again
            self._single[run, japanese] = codes
        return codes


def n_words(texts: pl.Series) -> int:
    """The number of words of all texts."""
    # where a run may be several words: of languages without spaces, and l'hotel
    several = texts.str.contains(SPACELESS.pattern) | texts.str.contains(r"['\u2019]\w{3}")
    single = int(texts.filter(~several).str.count_matches(RUN.pattern).sum())
    return single + int(Vocabulary().count(texts.filter(several).to_arrow()).sum())
