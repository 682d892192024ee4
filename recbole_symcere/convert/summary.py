"""What a conversion did, in a few lines for a person."""

from __future__ import annotations

from datetime import UTC, datetime

from recbole_symcere.convert.pipeline import Summary
from recbole_symcere.convert.presets import Preset

# past this share of the reviews, copies are worth a warning
_MANY_COPIES = 0.2


def format_summary(summary: Summary, preset: Preset | None = None) -> str:
    """Describe a conversion.

    Args:
        summary: what was done.
        preset: where filters came from that the command line did not give, or None.

    Returns:
        Text that ends with a line break.
    """
    size = sum(path.stat().st_size for path in summary.files)
    names = ", ".join(path.name for path in summary.files)
    return "\n".join(
        [
            *_about_reading(summary),
            *_about_filters(summary, preset),
            f"wrote {summary.files[0].parent}",
            *_about_result(summary),
            f"  files        {names} ({size / 1e6:.1f} MB)",
            *_about_copies(summary),
            *([f"note: {summary.notice}"] if summary.notice else []),
            "",
        ]
    )


def _about_reading(summary: Summary) -> list[str]:
    report, texts = summary.report, summary.texts
    n_skipped = sum(skipped.count for skipped in report.skipped)
    lines = [
        *report.listed(),
        f"  rows         {report.rows_read:,} read, {report.rows_kept:,} kept, "
        f"{n_skipped:,} skipped",
        *(f"  skipped      {line}" for line in report.described()),
        *(f"  note         {note}" for note in report.noted()),
        f"  texts        {texts.tidied:,} with white space or control characters tidied, "
        f"{texts.html_removed:,} freed of HTML, {texts.made_nfc:,} brought to Unicode NFC, "
        f"{texts.cut:,} cut",
    ]
    if report.damaged:
        lines.append(f"  damaged      {report.damaged:,} texts hold U+FFFD for lost characters")
    if report.anonymous:
        lines.append(f"  anonymous    {report.anonymous:,} reviews by shared names removed")
    return lines


def _about_filters(summary: Summary, preset: Preset | None) -> list[str]:
    chosen, filters, before = summary.chosen, summary.filters, summary.chosen.before_core
    repeats = "kept" if filters.keep_repeats else "removed"
    lines = [
        f"  repeats      {chosen.repeats:,} later reviews of the same user and item {repeats}",
        f"  copies       {chosen.copied:,} texts copied from another item of the same user and "
        f"time, {chosen.merged:,} removed",
    ]
    if preset and preset.filters:
        given = ", ".join(f"{name} {value}" for name, value in preset.filters.items())
        in_force = all(getattr(filters, name) == value for name, value in preset.filters.items())
        source = f"properties/dataset/{preset.file}"
        lines.append(
            f"  filter       {given}, from {source}"
            if in_force
            else f"  filter       as given, instead of {given} of {source}"
        )
    if chosen.sampled_out:
        lines.append(f"  drawn        {chosen.sampled_out:,} reviews were not")
    lines.append(
        f"  k-core       {before.users:,} users, {before.items:,} items, {before.reviews:,} reviews"
        f" before; {chosen.removed_by_core:,} reviews removed"
    )
    return lines


def _about_copies(summary: Summary) -> list[str]:
    chosen = summary.chosen
    share = chosen.copied / chosen.pairs
    if chosen.merged or share <= _MANY_COPIES:
        return []
    return [
        f"warning: {chosen.copied:,} of {chosen.pairs:,} reviews ({share:.1%}) are copies of what "
        "their user wrote about another item at the same time; --copied_texts=merge merges them "
        "into the first"
    ]


def _about_result(summary: Summary) -> list[str]:
    chosen = summary.chosen
    users, items, reviews = chosen.size
    days = " to ".join(f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d}" for t in chosen.times or ())
    lines = [
        f"  size         {users:,} users, {items:,} items, "
        f"{reviews:,} reviews, density {reviews / (users * items):.4%}",
        f"  texts        {chosen.empty_texts:,} empty, {chosen.distinct_texts:,} distinct",
        f"  times        {days or 'unknown'}",
    ]
    if summary.items:
        lines.append(
            f"  items        {summary.items['items']:,} with a text of {items:,}, "
            f"{summary.items['rows_skipped']:,} metadata rows skipped"
        )
    return lines
