"""Raw text -> reviews, every unusable row counted by reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert import times
from recbole_symcere.convert.ratings import RatingForm
from recbole_symcere.convert.raw import RawTable
from recbole_symcere.convert.records import REJECTED, SCHEMA, WITHOUT, Batch

# What pandas, through which RecBole reads .inter, takes for a missing value, and RecBole's own
# padding token: an id spelled like one of them would silently become another id.
_MISSING_WORDS = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "[PAD]",
)  # fmt: skip
# A row of .inter is one line; U+FFFD stands for lost bytes that two ids might share.
_UNSAFE = r"[\p{Cc}\u{2028}\u{2029}\u{FFFD}]"
_VALUE_LENGTH = 40
# our column -> what follows where a source has no values of it
_MAY_LACK = {
    "rating": "the data set has no ratings",
    "timestamp": "the order is unknown, and runs on the data set split at random",
}


_NUMBERS = RatingForm()


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
        names: our column name -> the file's, for the reasons; rating and timestamp are left out
            where the source has none.
        optional: columns of which a source may have no values at all, of rating and timestamp.
        droppable: columns that the user can do without by an option, of rating and timestamp.
        rating_range: smallest and largest rating; None for any.
        ratings: how ratings are written.
        date_format: how times are written, from `times.checked_format`; None for numbers and dates.
        date_hint: what a user can do about other times, for the message.
        utc_offset: seconds by which the clock of dates without a zone is ahead of UTC.
        anonymous: user names that many people share, lower case; their rows are left out.
    """

    names: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    droppable: frozenset[str] = frozenset()
    rating_range: tuple[float, float] | None = None
    ratings: RatingForm = _NUMBERS
    date_format: str | None = None
    date_hint: str = ""
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
        self._absent: frozenset[str] = frozenset()
        # a review cannot be from the future; a day is left for clocks that are ahead
        self._latest = int(time.time()) + 86_400

    def __call__(self, raw: RawTable) -> Batch:
        """Return the reviews of a table, in its order, and the rows that are none.

        Raises:
            InputError: if ratings or times turn up in a file that seemed to have none.
        """
        frame, notes, is_first = raw.frame, Counter(raw.notes), self._unit is None
        if is_first:
            self._absent = frozenset(
                name
                for name in _MAY_LACK
                if name not in self._expect.names
                or (name in self._expect.optional and frame[name].is_null().all())
            )
        frame = self._with_absent(frame)
        expect = self._expect
        parsed = times.parse_times(
            frame["timestamp"], self._unit, expect.utc_offset, expect.date_format
        )
        if is_first:
            self._unit = parsed.unit
            notes.update(self._first_notes())
        frame = frame.with_columns(
            _seconds=parsed.seconds, _rating=expect.ratings.parse(frame["rating"])
        )
        kept, rejected = _told_apart(frame, self._rules(parsed.unit))
        named = kept.filter(~self._is_anonymous())
        reviews = named.select(
            "user_id",
            "item_id",
            rating="_rating",
            timestamp="_seconds",
            text=pl.col("text").fill_null(""),
            source_line="source_line",
        ).cast(pl.Schema(SCHEMA))
        n_anonymous = len(kept) - len(named)
        early = parsed.early and parsed.early._replace(column=expect.names["timestamp"])
        return Batch(reviews, rejected, len(frame), n_anonymous, notes, self._absent, early)

    def _is_anonymous(self) -> pl.Expr:
        if not self._expect.anonymous:
            return pl.lit(False)
        return pl.col("user_id").str.strip_chars().str.to_lowercase().is_in(self._expect.anonymous)

    def _first_notes(self) -> Counter[str]:
        names, notes = self._expect.names, Counter[str]()
        if self._unit != "seconds":
            notes[f"{names['timestamp']} is in {self._unit}; converted to seconds"] = 1
        if self._expect.ratings.note and "rating" not in self._absent:
            notes[self._expect.ratings.note] = 1
        for ours in sorted(self._absent):
            notes[f"no {names.get(ours, ours)} is read: {_MAY_LACK[ours]}"] = 1
        return notes

    def _with_absent(self, frame: pl.DataFrame) -> pl.DataFrame:
        for ours in sorted(self._absent):
            if ours not in frame.columns:
                frame = frame.with_columns(pl.lit(None, pl.String).alias(ours))
                continue
            given = frame.filter(pl.col(ours).is_not_null())
            if len(given):
                raise InputError(
                    f"{self._file}, row {given['source_line'][0]}: {self._expect.names[ours]} is "
                    f"{given[ours][0]!r}, but the file's first rows have none; expected all or "
                    f"none; mend the file, or say {WITHOUT[ours]}"
                )
        return frame

    def _rules(self, unit: str) -> list[_Rule]:
        """Return the reasons in the order in which they are looked for."""
        names = self._expect.names
        rules = [_Rule(pl.col("problem").is_not_null(), "")]
        for ours in ("user_id", "item_id"):
            rules += _id_rules(ours, names[ours])
        if "rating" not in self._absent:
            rules += self._rating_rules(names["rating"])
        if "timestamp" not in self._absent:
            rules += self._time_rules(names["timestamp"], unit)
        return rules

    def _blank_rule(self, ours: str, name: str) -> _Rule:
        expected = f"one in every row, or {WITHOUT[ours]}" if ours in self._expect.droppable else ""
        return _Rule(_is_blank(pl.col(ours)), f"no {name}", None, expected, implied=True)

    def _rating_rules(self, name: str) -> list[_Rule]:
        form = self._expect.ratings
        what = "no number" if not form.words and form.of is None else "none that is expected"
        rules = [
            self._blank_rule("rating", name),
            _Rule(
                pl.col("_rating").is_null() | ~pl.col("_rating").is_finite(),
                f"{name} is {what}",
                "rating",
                form.expected,
            ),
        ]
        if self._expect.rating_range:
            low, high = self._expect.rating_range
            out_of_range = _Rule(
                ~pl.col("_rating").is_between(low, high),
                f"{name} is out of range",
                "rating",
                f"{low:g} to {high:g}",
            )
            rules.append(out_of_range)
        return rules

    def _time_rules(self, name: str, unit: str) -> list[_Rule]:
        if self._expect.date_format is not None:
            expected = f"a time as --date_format={self._expect.date_format} says"
        elif unit == "seconds":
            expected = times.EXPECTED + self._expect.date_hint
        else:
            expected = f"{unit}, as in the other rows, or a date"
        return [
            self._blank_rule("timestamp", name),
            *self._compact_rules(name, unit),
            _Rule(
                pl.col("_seconds").is_null(),
                f"{name} is no time of 1970-2099",
                "timestamp",
                expected,
            ),
            _Rule(
                pl.col("_seconds") > self._latest,
                f"{name} is in the future",
                "timestamp",
                "a time before now",
            ),
        ]

    def _compact_rules(self, name: str, unit: str) -> list[_Rule]:
        if unit == times.COMPACT or self._expect.date_format is not None:
            return []
        looks = pl.col("timestamp").str.contains(times.COMPACT_PATTERN)
        return [
            _Rule(
                pl.col("_seconds").is_null() & looks,
                f"{name} is a date such as 20180707 among times of another form",
                "timestamp",
                "2018-07-07 for it, or that form in all rows",
                implied=True,
            )
        ]


def _id_rules(ours: str, name: str) -> list[_Rule]:
    column = pl.col(ours)
    return [
        _Rule(_is_blank(column), f"no {name}"),
        _Rule(
            column.str.contains(_UNSAFE),
            f"{name} cannot be stored",
            ours,
            "an id without control characters and broken characters",
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


def _told_apart(frame: pl.DataFrame, rules: list[_Rule]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows for which no rule holds, and the others in `REJECTED` by their first one."""
    telling = (rule.holds.fill_null(False) for rule in rules if not rule.implied)
    is_bad = frame.select(pl.any_horizontal(telling)).to_series()
    if not is_bad.any():
        return frame, pl.DataFrame(schema=dict(REJECTED))
    columns = {}
    for name, values in (
        ("reason", [pl.lit(rule.reason) for rule in rules]),
        ("value", [pl.col(rule.column) if rule.column else pl.lit("") for rule in rules]),
        ("expected", [pl.lit(rule.expected) for rule in rules]),
    ):
        columns[name] = pl.coalesce(
            [pl.when(rule.holds).then(value) for rule, value in zip(rules, values, strict=True)]
        )
    # of the few that are bad: to spell out a reason takes longer than all else
    rejected = frame.filter(is_bad).select("source_line", "problem", **columns)
    return frame.filter(~is_bad), rejected.select(
        "source_line",
        # the first rule's reason is the reader's own
        reason=pl.coalesce("problem", "reason"),
        value=pl.col("value").str.slice(0, _VALUE_LENGTH),
        expected="expected",
    )
