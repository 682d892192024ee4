"""Checks of a RecBole ``.inter`` file that say what is wrong and where.

RecBole itself fails with a bare conversion error, or silently drops a column that it can't find.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from recbole_symcere.base.errors import InputError

__all__ = ["check_header", "explain_unreadable"]

_TYPES = ("token", "token_seq", "float", "float_seq")


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
    fields = []
    for column in header.split(separator):
        name, _, kind = column.rpartition(":")
        if not name or kind not in _TYPES:
            raise InputError(
                f"{path}, row 1: column {column!r} isn't of the form name:type with a type of "
                f"{', '.join(_TYPES)}. Columns are separated by {separator!r}."
            )
        fields.append((name, kind))
    return fields


def check_header(
    path: str | Path, separator: str, needed: Mapping[str, str], encoding: str = "utf-8"
) -> None:
    """Stop if the file lacks a column.

    Args:
        path: the ``.inter`` file.
        separator: what stands between columns.
        needed: RecBole's setting that names a column -> the column, which must be there.
        encoding: of the file.

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


def explain_unreadable(
    path: str | Path, separator: str, error: Exception, encoding: str = "utf-8"
) -> InputError:
    """The error for a file that pandas can't read: the first row that breaks a rule, if any."""
    fields = _fields(path, separator, encoding)
    for number, row in _rows(path, separator, encoding):
        if len(row) != len(fields):
            return InputError(
                f"{path}, row {number}: {len(row)} columns, but the header has {len(fields)}."
            )
        for (name, kind), value in zip(fields, row, strict=True):
            if kind == "float" and not _is_number(value):
                return InputError(
                    f"{path}, row {number}: {name} is {value!r}, but its type is float, so a "
                    "number is expected (times in seconds since 1970, UTC)."
                )
    return InputError(f"{path} can't be read: {error}")


def _rows(path: str | Path, separator: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    with Path(path).open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        next(reader)
        for row in reader:
            if row:
                yield reader.line_num, row


def _is_number(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True
