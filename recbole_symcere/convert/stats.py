"""The figures of a data set, counted from its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.storage import put_back
from recbole_symcere.base.word_counts import n_words
from recbole_symcere.convert.atomic_files import read_inter, reviews_path_of
from recbole_symcere.convert.language import language_mix
from recbole_symcere.convert.presets import Preset

_SAMPLE = 20_000  # texts whose language is looked at
_CHUNK = 50_000  # texts whose words are counted at once


@dataclass(frozen=True)
class Stats:
    """Figures of a data set.

    Attributes:
        users: number of users.
        items: number of items.
        reviews: number of interactions.
        words_per_review: mean number of words of the texts that are not empty, in any language (see
            `segment`).
        empty_texts: interactions without a text.
        repeated_pairs: interactions of a user with an item that the user had before.
        repeated_texts: texts that stood before under another interaction, empty ones left out.
        first_time: earliest UTC second, or None without times.
        last_time: latest UTC second, or None without times.
        languages: language -> share of the texts.
    """

    users: int
    items: int
    reviews: int
    words_per_review: float
    empty_texts: int
    repeated_pairs: int
    repeated_texts: int
    first_time: float | None
    last_time: float | None
    languages: Mapping[str, float]

    @property
    def density(self) -> float:
        """Share of all pairs of a user and an item that are there."""
        return (self.reviews - self.repeated_pairs) / max(self.users * self.items, 1)

    @property
    def reviews_per_item(self) -> float:
        """Mean number of interactions of an item."""
        return self.reviews / max(self.items, 1)


def count_stats(folder: Path) -> Stats:
    """Count a data set.

    Args:
        folder: the data set's folder; its name is that of the data set. Benchmark parts count
            together.

    Returns:
        The figures.

    Raises:
        InputError: if there is no such data set or a file cannot be read.
    """
    paths = inter_files(folder)
    inter = pl.concat([read_inter(path, "user_id", "item_id", "timestamp") for path in paths])
    times = inter["timestamp"].cast(pl.Float64, strict=False)
    first, last = times.min(), times.max()
    pairs = inter.select(pl.struct("user_id", "item_id").n_unique()).item() if len(inter) else 0
    words, n_empty, n_repeated, languages = _about_texts([reviews_path_of(path) for path in paths])
    return Stats(
        users=inter["user_id"].n_unique(),
        items=inter["item_id"].n_unique(),
        reviews=len(inter),
        words_per_review=words,
        empty_texts=n_empty,
        repeated_pairs=len(inter) - pairs,
        repeated_texts=n_repeated,
        first_time=None if first is None else float(first),  # type: ignore[arg-type] # a number
        last_time=None if last is None else float(last),  # type: ignore[arg-type] # a number
        languages=languages,
    )


def inter_files(folder: Path) -> list[Path]:
    """The ``.inter`` files of a data set: one, or one per benchmark part.

    Raises:
        InputError: if there is none.
    """
    put_back(folder)
    one = folder / f"{folder.name}.inter"
    paths = [one] if one.is_file() else sorted(folder.glob(f"{folder.name}.*.inter"))
    if not paths:
        raise InputError(
            f"--name: there is no data set {folder}; expected {one.name} in it; check --name and "
            "--output_dir"
        )
    return paths


def _about_texts(paths: list[Path]) -> tuple[float, int, int, dict[str, float]]:
    """Return words per text, empty and repeated texts, and languages, without loading all texts."""
    present = [path for path in paths if path.is_file()]
    if not present:
        return 0.0, 0, 0, {}
    try:
        texts = pl.scan_parquet(present).select(text=pl.col("text").fill_null(""))
        numbers = texts.select(
            filled=(pl.col("text") != "").sum(),
            distinct=pl.col("text").filter(pl.col("text") != "").hash().n_unique(),
            rows=pl.len(),
        )
        found = numbers.collect(engine="streaming").row(0, named=True)
        step = max(found["rows"] // _SAMPLE, 1)
        sample = texts.gather_every(step).collect(engine="streaming")["text"]
        words = sum(n_words(chunk["text"]) for chunk in texts.collect_batches(chunk_size=_CHUNK))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"{present[0].name}: cannot be read as reviews ({str(error).splitlines()[0]}); "
            "expected the columns user_id, item_id and text; convert the data set again"
        ) from error
    filled = found["filled"]
    return (
        words / max(filled, 1),
        found["rows"] - filled,
        filled - found["distinct"],
        language_mix(sample),
    )


def format_stats(name: str, stats: Stats, preset: Preset | None = None) -> str:
    """Describe a data set for a person, beside Table 1 where that knows it.

    Args:
        name: name of the data set.
        stats: its figures.
        preset: what the paper says, or None.

    Returns:
        Text that ends with a line break.
    """
    lines = [f"{name}"]
    table1 = preset.table1 if preset else {}
    for key, value in (
        ("users", stats.users),
        ("items", stats.items),
        ("reviews", stats.reviews),
        ("reviews_per_item", stats.reviews_per_item),
    ):
        lines.append(_row(key, value, table1.get(key) if table1 else None, bool(table1)))
    lines += [
        f"  {'density':18}{stats.density:.4%}",
        f"  {'words per review':18}{stats.words_per_review:.1f}",
        f"  {'empty texts':18}{stats.empty_texts:,}",
        f"  {'repeated pairs':18}{stats.repeated_pairs:,}",
        f"  {'repeated texts':18}{stats.repeated_texts:,}",
    ]
    ends = [time for time in (stats.first_time, stats.last_time) if time is not None]
    days = " to ".join(f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}" for time in ends)
    lines.append(f"  {'times':18}{days or 'unknown'}")
    mix = ", ".join(f"{language} {share:.1%}" for language, share in stats.languages.items())
    lines.append(f"  {'languages':18}{mix or 'no text'}")
    if table1:
        lines.append(
            "  Table 1 is a draw of unknown making from data that has grown since: its figures "
            "can't be met"
        )
    return "\n".join(lines) + "\n"


def _row(key: str, value: float, paper: float | None, has_table: bool) -> str:
    def shown(number: float) -> str:
        return f"{number:,.2f}" if isinstance(number, float) else f"{number:,}"

    text = f"  {key.replace('_', ' '):18}{shown(value):>14}"
    if not has_table:
        return text
    if paper is None:
        return f"{text}   Table 1: not known to us"
    difference = value - paper
    return f"{text}   Table 1: {shown(paper):>10}   difference {difference:+,.4g}" \
           f" ({difference / paper:+.1%})"  # fmt: skip
