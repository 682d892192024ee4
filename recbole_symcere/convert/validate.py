"""Raw text -> reviews, every unusable row counted by reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert import times
from recbole_symcere.convert.raw import RawTable
from recbole_symcere.convert.records import REJECTED, SCHEMA, Batch

# What pandas, through which RecBole reads .inter, takes for a missing value, and RecBole's own
# padding token: an id spelled like one of them would silently become another id.
_MISSING_WORDS = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "[PAD]",
)  # fmt: skip
# .inter has neither quoting nor escapes; U+FFFD stands for lost bytes that two ids might share.
_UNSAFE = r'[\p{Cc}\u{2028}\u{2029}"\u{FFFD}]'
_VALUE_LENGTH = 40
_TOLD = ("reason", "value", "expected")


class _Rule(NamedTuple):
    """A reason to skip a row: when it holds, which column is at fault, what was expected."""

    holds: pl.Expr
    reason: str
    column: str | None = None
    expected: str = ""
    implied: bool = False  # wherever it holds, another one does


@dataclass(frozen=True)
class Expectations:
    """What a source's values must be like.

    Attributes:
        names: our column name -> the file's, for the reasons.
        defaults: our column -> its value in every row where no row has one; a column that is not
            there must have values.
        rating_range: smallest and largest rating; None for any.
        utc_offset: seconds by which the clock of dates without a zone is ahead of UTC.
        anonymous: user names that many people share, lower case; their rows are left out.
    """

    names: Mapping[str, str]
    defaults: Mapping[str, str] = field(default_factory=dict)
    rating_range: tuple[float, float] | None = None
    utc_offset: int = 0
    anonymous: frozenset[str] = frozenset()


class Validator:
    """Gives every column its type and sorts out the rows that cannot have one.

    The first table decides for all: the unit of times, and which columns have no values at all. A
    missing text is an empty review, not a fault.

    Args:
        file: name of the file, for messages.
        expect: what the values must be like.
    """

    def __init__(self, file: str, expect: Expectations) -> None:
        self._file = file
        self._expect = expect
        self._unit: str | None = None
        self._absent: tuple[str, ...] = ()
        # a review cannot be from the future; a day is left for clocks that are ahead
        self._latest = int(time.time()) + 86_400

    def __call__(self, raw: RawTable) -> Batch:
        """Return the reviews of a table, in its order, and the rows that are none.

        Raises:
            InputError: if ratings turn up in a file that seemed to have none.
        """
        frame, notes, is_first = raw.frame, Counter(raw.notes), self._unit is None
        if is_first:
            defaults = self._expect.defaults
            self._absent = tuple(name for name in defaults if frame[name].is_null().all())
        frame = self._with_defaults(frame)
        parsed = times.parse_times(frame["timestamp"], self._unit, self._expect.utc_offset)
        if is_first:
            self._unit = parsed.unit
            notes.update(self._first_notes())
        frame = frame.with_columns(_seconds=parsed.seconds)
        frame = frame.with_columns(
            _rating=pl.col("rating").str.strip_chars().cast(pl.Float64, strict=False)
        )
        reasons = _reasons(frame, self._rules(parsed.unit))
        kept = frame.filter(reasons["reason"].is_null())
        named = kept.filter(~self._is_anonymous())
        reviews = named.select(
            "user_id",
            "item_id",
            rating="_rating",
            timestamp="_seconds",
            text=pl.col("text").fill_null(""),
            source_line="source_line",
        ).cast(pl.Schema(SCHEMA))
        rejected = reasons.filter(pl.col("reason").is_not_null())
        return Batch(reviews, rejected, len(frame), len(kept) - len(named), notes)

    def _is_anonymous(self) -> pl.Expr:
        if not self._expect.anonymous:
            return pl.lit(False)
        return pl.col("user_id").str.strip_chars().str.to_lowercase().is_in(self._expect.anonymous)

    def _first_notes(self) -> Counter[str]:
        notes = Counter[str]()
        if self._unit != "seconds":
            name = self._expect.names["timestamp"]
            notes[f"{name} is in {self._unit}; converted to seconds"] = 1
        for ours in self._absent:
            value = self._expect.defaults[ours]
            notes[f"no {self._expect.names[ours]} anywhere; every {ours} set to {value}"] = 1
        return notes

    def _with_defaults(self, frame: pl.DataFrame) -> pl.DataFrame:
        for ours in self._absent:
            given = frame.filter(pl.col(ours).is_not_null())
            if len(given):
                name = self._expect.names[ours]
                raise InputError(
                    f"{self._file}, row {given['source_line'][0]}: {name} is {given[ours][0]!r}, "
                    "but the file's first rows have none; expected all or none; mend the file, or "
                    "name the column to count rows without it as unusable"
                )
            frame = frame.with_columns(pl.lit(self._expect.defaults[ours]).alias(ours))
        return frame

    def _rules(self, unit: str) -> list[_Rule]:
        """Return the reasons in the order in which they are looked for."""
        names = self._expect.names
        rules = [_Rule(pl.col("problem").is_not_null(), "")]
        for ours in ("user_id", "item_id"):
            rules += _id_rules(ours, names[ours])
        rating, time_name = names["rating"], names["timestamp"]
        expected = (
            times.EXPECTED if unit == "seconds" else f"{unit}, as in the other rows, or a date"
        )
        rules += [
            _Rule(_is_blank(pl.col("rating")), f"no {rating}", implied=True),
            _Rule(
                pl.col("_rating").is_null() | ~pl.col("_rating").is_finite(),
                f"{rating} is no number",
                "rating",
                "a number such as 4 or 4.5",
            ),
            _Rule(_is_blank(pl.col("timestamp")), f"no {time_name}", implied=True),
            _Rule(
                pl.col("_seconds").is_null(),
                f"{time_name} is no time of 1970-2099",
                "timestamp",
                expected,
            ),
            _Rule(
                pl.col("_seconds") > self._latest,
                f"{time_name} is in the future",
                "timestamp",
                "a time before now",
            ),
        ]
        if self._expect.rating_range:
            low, high = self._expect.rating_range
            out_of_range = _Rule(
                ~pl.col("_rating").is_between(low, high),
                f"{rating} is out of range",
                "rating",
                f"{low:g} to {high:g}",
            )
            rules.append(out_of_range)
        return rules


def _id_rules(ours: str, name: str) -> list[_Rule]:
    column = pl.col(ours)
    return [
        _Rule(_is_blank(column), f"no {name}"),
        _Rule(
            column.str.contains(_UNSAFE),
            f"{name} cannot be stored",
            ours,
            "an id without control characters, double quotes and broken characters",
        ),
        _Rule(
            column.is_in(_MISSING_WORDS),
            f"{name} reads as a missing value",
            ours,
            "an id that pandas and RecBole do not take for a missing one",
        ),
    ]


def _is_blank(column: pl.Expr) -> pl.Expr:
    return column.is_null() | (column.str.strip_chars() == "")


def _reasons(frame: pl.DataFrame, rules: list[_Rule]) -> pl.DataFrame:
    """Return, in `REJECTED`, the first reason that holds for each row; null where none does."""
    telling = (rule.holds.fill_null(False) for rule in rules if not rule.implied)
    bad = frame.select(pl.any_horizontal(telling))
    if not bad.to_series().any():  # nearly always, and several times as fast
        return pl.DataFrame(
            {"source_line": frame["source_line"]}
            | {name: pl.repeat(None, len(frame), dtype=pl.String, eager=True) for name in _TOLD},
            schema=dict(REJECTED),
        )
    columns = {}
    for name, values in (
        ("reason", [pl.lit(rule.reason) for rule in rules]),
        ("value", [pl.col(rule.column) if rule.column else pl.lit("") for rule in rules]),
        ("expected", [pl.lit(rule.expected) for rule in rules]),
    ):
        columns[name] = pl.coalesce(
            [pl.when(rule.holds).then(value) for rule, value in zip(rules, values, strict=True)]
        )
    return frame.select("source_line", "problem", **columns).select(
        "source_line",
        # the first rule's reason is the reader's own
        reason=pl.coalesce("problem", "reason"),
        value=pl.col("value").str.slice(0, _VALUE_LENGTH),
        expected="expected",
    )
