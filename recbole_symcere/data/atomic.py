"""Reading RecBole's ``.inter`` and other atomic files strictly: what is wrong is told, and where.

RecBole's own reading shifts all columns where a row has one more, takes a user called NA for a
missing one, and fails with a bare conversion error.
"""

import csv
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc

from recbole_symcere.base.errors import InputError, did_you_mean

__all__ = ["Parts", "check_header", "check_interactions", "check_times", "read_atomic"]

_TYPES = ("token", "token_seq", "float", "float_seq")
_BLOCK = 1 << 24
_LATEST = 4.2e18  # nanoseconds since 1970, in 2103
_UNITS = np.array([1.0, 1e3, 1e6, 1e9])  # per second
_A_DAY = 86_400.0
_OF_TODAY = 1e8  # seconds since 1970, in 1973: smaller numbers count something else

Parts = Sequence[tuple[str, int]]
"""Names of the files that a table was read from, one below the other, and their numbers of rows."""


def _fields(path: str | Path, separator: str, encoding: str) -> list[tuple[str, str]]:
    """Name and type of each column, from the header ``name:type<separator>...``."""
    try:
        with Path(path).open(encoding=encoding, newline="") as file:
            header = file.readline().rstrip("\r\n")
    except UnicodeError as error:
        raise InputError(f"{path} isn't {encoding} ({error}); name its encoding.") from None
    if header.startswith("\ufeff"):
        raise InputError(
            f"{path} begins with a byte order mark. Save it without, or give --encoding=utf-8-sig."
        )
    fields: list[tuple[str, str]] = []
    for column in header.split(separator):
        name, _, kind = column.rpartition(":")
        if not name or kind not in _TYPES:
            raise InputError(
                f"{path}, row 1: column {column!r} isn't of the form name:type with a type of "
                f"{', '.join(_TYPES)}. Columns are separated by {separator!r}."
            )
        if name in dict(fields):
            raise InputError(f"{path}, row 1: column {name!r} stands there twice.")
        fields.append((name, kind))
    return fields


def check_header(
    path: str | Path,
    separator: str,
    needed: Mapping[str, str],
    encoding: str = "utf-8",
    asked: Iterable[str] = (),
) -> None:
    """Stop if the file lacks a column.

    Args:
        path: the ``.inter`` file.
        separator: what stands between columns.
        needed: RecBole's setting that names a column -> the column, which must be there.
        encoding: of the file.
        asked: names of columns that ``load_col`` asks for.

    Raises:
        InputError: naming the missing column and those found, or what is wrong with the header.
    """
    found = [name for name, _ in _fields(path, separator, encoding)]
    for field, name in needed.items():
        if name not in found:
            otherwise = ""
            if field == "TIME_FIELD":
                otherwise = ", or split data without times at random with --eval_args='{order: RO}'"
            raise InputError(
                f"{path} has no column {name!r}; it has {', '.join(found)}. Name the one that "
                f"holds it with --{field}=NAME, or convert the data set again{otherwise}."
            )
    for name in asked:
        if name not in found:
            raise InputError(
                f"load_col asks for the column {name!r}, but {path} has {', '.join(found)}."
                f"{did_you_mean(name, found)}"
            )


def read_atomic(
    path: str | Path, separator: str, columns: Sequence[str], encoding: str, words: bool
) -> pd.DataFrame:
    """The columns of a file in the order of the file, each row having as many as the header.

    Args:
        path: the file.
        separator: a character.
        columns: their names with types, as the header has them.
        encoding: of the file.
        words: whether words such as NA stand for a missing token, as pandas has it; in ``.inter``
            they don't, for NA may be somebody's name.

    Returns:
        Strings, missing where a token is empty, and float64, NaN where a number is missing.

    Raises:
        InputError: naming the row that breaks the rule.
    """
    floats = {name: pa.float64() for name in columns if name.endswith(":float")}
    texts = {name: pa.string() for name in columns if name not in floats}
    try:
        table = pc.read_csv(
            path,
            pc.ReadOptions(encoding=encoding, block_size=_BLOCK),
            pc.ParseOptions(delimiter=separator),
            pc.ConvertOptions(
                column_types=floats | texts,
                include_columns=list(columns),
                strings_can_be_null=words,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeError) as error:
        raise _explained(path, separator, error, encoding) from None
    if _has_quotes(path, encoding) and table.num_rows + 1 < _n_lines(path, encoding):
        raise _swallowed(path, separator, encoding)
    frame: pd.DataFrame = table.to_pandas()
    for name in texts:
        frame[name] = frame[name].mask(frame[name] == "")
    return frame


def _explained(path: str | Path, separator: str, error: Exception, encoding: str) -> InputError:
    """The error for a file that can't be read: the first row that breaks a rule, if any."""
    fields = _fields(path, separator, encoding)
    try:
        for number, row in _rows(path, separator, encoding):
            if len(row) != len(fields):
                return InputError(
                    f"{path}, row {number}: {len(row)} columns, but the header has {len(fields)}. "
                    f"They are separated by {separator!r}."
                )
            for (name, kind), value in zip(fields, row, strict=True):
                if kind == "float" and not _is_number(value):
                    return InputError(
                        f"{path}, row {number}: {name} is {value!r}, but its type is float, so a "
                        "number is expected (times in seconds since 1970, UTC)."
                    )
    except UnicodeError as problem:
        return InputError(f"{path} isn't {encoding} ({problem}); name its encoding.")
    except csv.Error as problem:
        return InputError(f"{path} can't be read: {problem}.")
    return InputError(f"{path} can't be read: {error}")


def _rows(path: str | Path, separator: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    with Path(path).open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        next(reader)
        for row in reader:
            if row:
                yield reader.line_num, row


def _has_quotes(path: str | Path, encoding: str) -> bool:
    """Whether rows can be inside of a value; far quicker to see than how many lines there are."""
    if b'"' not in '"'.encode(encoding):  # an encoding that isn't built on ASCII
        return True
    with Path(path).open("rb") as raw:
        return any(b'"' in block for block in iter(lambda: raw.read(_BLOCK), b""))


def _n_lines(path: str | Path, encoding: str) -> int:
    """Lines of a file that aren't blank."""
    if "\n".encode(encoding) == b"\n":
        with Path(path).open("rb") as raw:
            return sum(1 for line in raw if line.strip(b"\r\n"))
    with Path(path).open(encoding=encoding) as lines:
        return sum(1 for line in lines if line.strip("\r\n"))


def _swallowed(path: str | Path, separator: str, encoding: str) -> InputError:
    """The error for a file with rows inside of a quoted value."""
    before = 1
    for number, row in _rows(path, separator, encoding):
        if number > before + 1 and any("\n" in value or "\r" in value for value in row):
            return InputError(
                f"{path}, row {before + 1}: a quote mark opens a value that ends in row {number}, "
                "with all rows between them. Write an id that has a quote mark in quote marks, and "
                'each of its own twice: "6"" pan".'
            )
        before = number
    return InputError(f"{path}: quoted values span several rows; a value belongs in one row.")


def _is_number(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True


# --- values --------------------------------------------------------------------------------------


def check_interactions(feat: Any, fields: Iterable[str], parts: Parts) -> None:
    """Stop at an interaction that lacks a value, which RecBole drops or makes up.

    Args:
        feat: the table of interactions.
        fields: the columns that have to be complete: user, item, rating, time.
        parts: where it was read from.

    Raises:
        InputError: naming the file, the data row and the column.
    """
    for field in fields:
        if field in feat:
            missing = feat[field].isna().to_numpy()
            if missing.any():
                _refuse(parts, missing, f"{field} is missing. Convert the data set again.")


def check_times(times: npt.NDArray[np.float64], field: str, parts: Parts) -> None:
    """Stop at times that can't be times, or that put nothing in order.

    Args:
        times: of each interaction.
        field: the column's name.
        parts: where they were read from.

    Raises:
        InputError: for a time that isn't finite, is negative or to come, for a 0 or another
            unit of time among times of today, and for one and the same time everywhere.
    """
    for wrong, what in (
        (~np.isfinite(times), "but it must be a finite number"),
        (times < 0, "but times before 1970 can't be"),
        (times > _LATEST, "which no unit of time since 1970 makes"),
    ):
        if wrong.any():
            _refuse(parts, wrong, f"{field} is {times[wrong.argmax()]:g}, {what}.")
    latest = times.max(initial=0)
    early, late = times < latest / 100, times > latest / 3
    two_heaps = early.any() and (early | late).all()  # and nothing between them
    if latest > _OF_TODAY and two_heaps:
        odd = early if early.sum() <= late.sum() else late
        _refuse(
            parts, odd,
            f"{field} is {times[odd.argmax()]:g}, but others are about {np.median(times[~odd]):g}: "
            "a missing time, or another unit. One unit must hold for all.",
        )  # fmt: skip
    middle = float(np.median(times)) if len(times) else 0.0
    if middle > _OF_TODAY:
        unit = _UNITS[int(np.searchsorted(_UNITS * _OF_TODAY * 100, middle))]
        future = times > (time.time() + _A_DAY) * unit
        if future.any():
            said = f"{field} is {times[future.argmax()]:g}, which is in the future."
            _refuse(parts, future, said)
    if len(times) > 1 and times.min() == latest:
        raise InputError(
            f"{parts[0][0]}: {field} is {latest:g} in every row, so that nothing is in order of "
            "time. Give --eval_args={order: RO} for a random split, or data with times."
        )


def _refuse(parts: Parts, wrong: npt.NDArray[np.bool_], what: str) -> None:
    """Raise for the first row that is wrong."""
    row = int(wrong.argmax())
    for name, length in parts:
        if row < length:
            raise InputError(f"{name}, data row {row + 1:,}: {what}")
        row -= length
