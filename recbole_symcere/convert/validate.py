"""Raw text -> reviews, every unusable row counted by reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from recbole_symcere.convert import times
from recbole_symcere.convert.raw import RawTable
from recbole_symcere.convert.records import N_EXAMPLES, SCHEMA, ReadReport, Skipped

# What pandas, through which RecBole reads .inter, takes for a missing value, and RecBole's own
# padding token: an id spelled like one of them would silently become another id.
_MISSING_WORDS = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "[PAD]",
)  # fmt: skip
# .inter has neither quoting nor escapes; U+FFFD stands for lost bytes that two ids might share.
_UNSAFE = r'[\p{Cc}\u{2028}\u{2029}"\u{FFFD}]'
_VALUE_LENGTH = 40


class _Rule(NamedTuple):
    """A reason to skip a row: when it holds, which column is at fault, what was expected."""

    holds: pl.Expr
    reason: str
    column: str | None = None
    expected: str = ""


class Checked(NamedTuple):
    """Reviews that can be used and the account of the others."""

    reviews: pl.DataFrame
    report: ReadReport


def validate(raw: RawTable, names: Mapping[str, str], default_rating: float | None) -> Checked:
    """Give every column its type and sort out the rows that cannot have one.

    A missing text is an empty review, not a fault.

    Args:
        raw: rows of text with the columns of `records.SCHEMA` and ``problem``.
        names: our column name -> the file's, for the reasons.
        default_rating: rating of every row where no row has one; None makes that a fault.

    Returns:
        The reviews in `records.SCHEMA`, in the order read, and the report.
    """
    parsed = times.parse_times(raw.frame["timestamp"])
    notes = raw.notes
    if parsed.unit != "seconds":
        notes += (f"{names['timestamp']} is in {parsed.unit}; converted to seconds",)
    frame = raw.frame.with_columns(
        _seconds=parsed.seconds,
        _rating=pl.col("rating").str.strip_chars().cast(pl.Float64, strict=False),
    )
    usable = frame["problem"].is_null()
    if default_rating is not None and frame.filter(usable)["rating"].null_count() == usable.sum():
        frame = frame.with_columns(
            rating=pl.lit(str(default_rating)), _rating=pl.lit(default_rating)
        )
        notes += (f"no {names['rating']} anywhere; every rating set to {default_rating}",)
    frame = _with_reasons(frame, _rules(names, parsed.unit))
    kept = frame.filter(pl.col("_reason").is_null())
    reviews = kept.select(
        "user_id",
        "item_id",
        rating="_rating",
        timestamp="_seconds",
        text=pl.col("text").fill_null(""),
        source_line="source_line",
    ).cast(pl.Schema(SCHEMA))
    report = ReadReport(raw.path.name, len(frame), len(kept), _skipped(frame), notes)
    return Checked(reviews, report)


def _rules(names: Mapping[str, str], unit: str) -> list[_Rule]:
    """Return the reasons in the order in which they are looked for."""
    rules = [_Rule(pl.col("problem").is_not_null(), "")]
    for ours in ("user_id", "item_id"):
        name, column = names[ours], pl.col(ours)
        rules += [
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
    rating, time = names["rating"], names["timestamp"]
    expected = times.EXPECTED if unit == "seconds" else f"{unit}, as in the other rows, or a date"
    return [
        *rules,
        _Rule(_is_blank(pl.col("rating")), f"no {rating}"),
        _Rule(
            pl.col("_rating").is_null() | ~pl.col("_rating").is_finite(),
            f"{rating} is no number",
            "rating",
            "a number such as 4 or 4.5",
        ),
        _Rule(_is_blank(pl.col("timestamp")), f"no {time}"),
        _Rule(
            pl.col("_seconds").is_null(), f"{time} is no time of 1970-2099", "timestamp", expected
        ),
    ]


def _is_blank(column: pl.Expr) -> pl.Expr:
    return column.is_null() | (column.str.strip_chars() == "")


def _with_reasons(frame: pl.DataFrame, rules: list[_Rule]) -> pl.DataFrame:
    """Add the first reason that holds for a row, with the value found and what was expected."""
    columns = {}
    for name, values in (
        ("_reason", [pl.lit(rule.reason) for rule in rules]),
        ("_value", [pl.col(rule.column) if rule.column else pl.lit("") for rule in rules]),
        ("_expected", [pl.lit(rule.expected) for rule in rules]),
    ):
        columns[name] = pl.coalesce(
            [pl.when(rule.holds).then(value) for rule, value in zip(rules, values, strict=True)]
        )
    return frame.with_columns(**columns).with_columns(
        # the first rule's reason is the reader's own
        _reason=pl.coalesce("problem", "_reason")
    )


def _skipped(frame: pl.DataFrame) -> tuple[Skipped, ...]:
    groups = (
        frame.filter(pl.col("_reason").is_not_null())
        .sort("source_line")
        .group_by("_reason", maintain_order=True)
        .agg(
            pl.len().alias("count"),
            pl.col("source_line").head(N_EXAMPLES),
            pl.col("_value").first().str.slice(0, _VALUE_LENGTH),
            pl.col("_expected").first(),
        )
        .sort("count", descending=True, maintain_order=True)
    )
    return tuple(
        Skipped(reason, count, tuple(lines), value, expected)
        for reason, count, lines, value, expected in groups.rows()
    )
