"""The files that ``--input`` names (one, several, those that fit a pattern), and their reading."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.clean import TextCounts, clean_texts
from recbole_symcere.convert.parallel import ordered_map
from recbole_symcere.convert.progress import shown_reading
from recbole_symcere.convert.records import Account, Batch, Reading, ReadReport, joined


def input_paths(text: str) -> list[Path]:
    """Return the files in the order in which they are read; those of a pattern by name.

    A file that exists is taken as it is called, with commas and brackets in its name too.

    Args:
        text: what ``--input`` was given.

    Raises:
        InputError: if nothing fits a pattern or a file is named twice.
    """
    words = text.split(",")
    if not text.strip(" ,"):
        raise InputError(
            "--input: no file is named; expected a path, several with commas, or a pattern"
        )
    paths: list[Path] = []
    while words:
        # the longest run of words that is there
        taken = next(
            (n for n in range(len(words), 1, -1) if _found(",".join(words[:n]).strip())), 1
        )
        name = ",".join(words[:taken]).strip()
        words = words[taken:]
        if not name:
            continue  # a comma at the end
        found = _found(name)
        if not found and glob.has_magic(name):
            raise InputError(f"--input: no file fits {name!r}; check the path and the pattern")
        paths += found or [Path(name)]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise InputError(f"--input: {twice} is named twice; name each file once")
    return paths


def _found(name: str) -> list[Path]:
    if os.path.lexists(name):
        return [Path(name)]
    # a pattern of any place: Path.glob wants a folder to begin with
    return [Path(path) for path in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207


@dataclass(frozen=True)
class Inputs:
    """Where reviews come from.

    Attributes:
        readings: one per file, in the order in which they are read.
        labels: what each is called in messages and in the manifest.
        paths: the files; none of what is generated.
        read: makes the reading of a file.
    """

    readings: Sequence[Reading]
    labels: Sequence[str]
    paths: Sequence[Path] = ()
    read: Callable[[Path], Reading] | None = None

    @staticmethod
    def of(paths: Sequence[Path], read: Callable[[Path], Reading]) -> Inputs:
        """Return the readings of some files.

        Raises:
            InputError: if a file can't be read.
        """
        labels, readings = _labels_of(paths), []
        for path, label in zip(paths, labels, strict=True):
            with _calling(label, path.name):
                readings.append(read(path))
        return Inputs(readings, labels, paths, read)

    @property
    def first(self) -> Reading:
        """A reading that knows what all of them have in common."""
        return self.readings[0]

    def labelled(self) -> Iterator[tuple[Reading, str]]:
        """Yield each reading with what it is called."""
        return zip(self.readings, self.labels, strict=True)

    def files(self) -> dict[Path, str]:
        """File -> what it is called."""
        return {path: label for reading, label in self.labelled() for path in reading.inputs}


#: The cleaned batches of one file, each with the number of texts that each cleaning rule changed.
Cleaned = Iterator[tuple[Batch, TextCounts]]
#: From files and the most characters of a text to the batches of each.
Reader = Callable[[Inputs, int], Iterator[Cleaned]]


def read_here(inputs: Inputs, max_chars: int) -> Iterator[Cleaned]:
    """Read files on threads of this process."""
    for reading in inputs.readings:
        yield ordered_map(cleaner(reading, max_chars), reading.blocks)


def read_inputs(
    inputs: Inputs,
    max_bad: float,
    max_chars: int,
    take: Callable[[pl.DataFrame], None],
    reader: Reader = read_here,
) -> tuple[ReadReport, TextCounts]:
    """Read files one after the other, clean their texts and hand on the reviews in order.

    Args:
        inputs: the files.
        max_bad: largest share of unusable rows, and of texts that lost characters.
        max_chars: most characters of a text; 0 for no limit.
        take: gets every table of reviews.
        reader: who reads.

    Returns:
        The account of all files, and the number of texts that each cleaning rule changed.

    Raises:
        InputError: if a file can't be read or too much of them is unusable.
    """
    reports, texts = [], TextCounts()
    for (reading, label), cleaned in zip(inputs.labelled(), reader(inputs, max_chars), strict=True):
        account = Account(label)
        # of what is read elsewhere no position is known
        shown = reading if reader is read_here else replace(reading, position=None)
        with _calling(label, reading.file), shown_reading(shown, label) as count:
            for batch, counts in cleaned:
                account.add(batch)
                texts = texts.plus(counts)
                take(batch.reviews)
                count(batch.n_read)
        reports.append(account.report())
    report = joined(reports)
    report.check(max_bad)
    return report, texts


def cleaner(reading: Reading, max_chars: int) -> Callable[[Any], tuple[Batch, TextCounts]]:
    """What reads and cleans a block of a file."""

    def read_clean(block: Any) -> tuple[Batch, TextCounts]:
        batch = reading.read(block)
        cleaned = clean_texts(batch.reviews, max_chars)
        return batch._replace(reviews=cleaned.reviews), cleaned.counts

    return read_clean


def _labels_of(paths: Sequence[Path]) -> list[str]:
    """Return what each file is called: its name, with folders only where names are not enough."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    places = [path.absolute() for path in paths]
    common = Path(os.path.commonpath([place.parent for place in places]))
    return [place.relative_to(common).as_posix() for place in places]


@contextmanager
def _calling(label: str, name: str) -> Iterator[None]:
    """Let a message about a file whose name others have too begin with its label."""
    try:
        yield
    except InputError as error:
        if label == name:
            raise
        raise InputError(f"{label}: {error}") from error
