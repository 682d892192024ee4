"""The data set of a run: how many reviews whom, how long, in which languages, how sparse."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_symcere.base.word_counts import Vocabulary
from recbole_symcere.convert.language import language_mix
from recbole_symcere.page.figures import COLOURS, drawing, svg, whole_numbers
from recbole_symcere.page.page import Entry, Gallery, Part, Picture, Text, TextTable
from recbole_symcere.run.catalogue import PARTS, Catalogue

__all__ = ["data_parts", "doublings"]

Json = Mapping[str, Any]

_SAMPLE = 20_000  # texts that are looked at


def data_parts(
    metrics: Json, manifest: Json | None, catalogue: Catalogue | None, reviews: Sequence[Path]
) -> list[Part]:
    """Facts and histograms.

    Args:
        metrics: of the run.
        manifest: of its data set; None where it has none.
        catalogue: of the run; None if an earlier version wrote none.
        reviews: the files of the data set's texts, as far as they are there.
    """
    texts, n_texts = _some_texts(reviews)
    words = _words(texts)
    facts: dict[str, str] = _counted(metrics, catalogue) | _about_texts(texts, n_texts, words)
    pictures = _interactions(catalogue) if catalogue is not None else []
    if len(words):
        pictures.append(_bars("words", words, "words of a review", "reviews"))
    card = {**facts, **_card(metrics, manifest)}
    parts: list[Part] = [
        Text("What this run learnt from and was tested on, after its filters."),
        *([Gallery(pictures)] if pictures else []),
        TextTable(["fact", "value"], [[Entry(k), Entry(v)] for k, v in card.items()]),
    ]
    return parts


def _counted(metrics: Json, catalogue: Catalogue | None) -> dict[str, str]:
    data = metrics["data"]
    total = sum(data.get(part, 0) for part in PARTS)
    facts = {f"{name} (of this run)": f"{n:,}" for name, n in data.items()}
    density = total / max(data["users"] * data["items"], 1)
    facts["sparsity"] = f"{100 * (1 - density):.2f} % of all pairs of user and item have no review"
    if catalogue is not None:
        for name, ids, n in (
            ("user", catalogue.user, len(catalogue.users)),
            ("item", catalogue.item, len(catalogue.items)),
        ):
            each = np.bincount(ids, minlength=n)[1:]
            facts[f"interactions per {name}"] = (
                f"{np.median(each):g} in the middle, {each.mean():.1f} on average, "
                f"{each.min():,} to {each.max():,}"
            )
    ties = metrics["protocol"].get("ties")
    if ties:
        facts["ties in time"] = (
            f"{100 * ties['users']:.1f} % of the users have their last training and first held-out "
            f"interaction at one time; their order is by {ties['order']}"
        )
    return facts


def _some_texts(files: Sequence[Path]) -> tuple[list[str], int]:
    """At most `_SAMPLE` texts at equal distances, and the number of all."""
    found: list[str] = []
    total = 0
    try:
        total = sum(pq.read_metadata(file).num_rows for file in files)
        step = max(-(-total // _SAMPLE), 1)
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(100_000, columns=["text"]):
                taken = pa.array(np.arange(0, len(batch), step))
                found += [text or "" for text in batch["text"].take(taken).to_pylist()]
    except (pa.ArrowException, OSError, LookupError):
        return [], 0  # the run doesn't need them any more
    return found, total


def _words(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Words of each text that has some."""
    if not texts:
        return np.empty(0, np.int64)
    counted = np.asarray(Vocabulary().count(texts).sum(axis=1)).ravel().astype(np.int64)
    return counted[counted > 0]


def _about_texts(
    texts: Sequence[str], n_texts: int, words: npt.NDArray[np.int64]
) -> dict[str, str]:
    if not texts:
        return {}
    sample = "" if len(texts) == n_texts else f" (of {len(texts):,} of {n_texts:,} texts)"
    mix = language_mix(pl.Series("text", texts, pl.String))
    told = [f"{name} {100 * share:.0f} %" for name, share in mix.items() if share >= 0.005][:5]
    facts = {"texts in the file": f"{n_texts:,}, of which {_empty(texts):.1f} % empty{sample}"}
    if len(words):
        low, middle, high = np.quantile(words, [0.1, 0.5, 0.9])
        facts["words of a review"] = (
            f"{middle:.0f} in the middle; a tenth have {low:.0f} or fewer, a tenth {high:.0f} or "
            f"more{sample}"
        )
    return {**facts, "languages, estimated": f"{', '.join(told) or 'none known'}{sample}"}


def _empty(texts: Sequence[str]) -> float:
    return 100 * sum(not text.strip() for text in texts) / len(texts)


def _interactions(catalogue: Catalogue) -> list[Picture]:
    sides = (("user", catalogue.user, catalogue.users), ("item", catalogue.item, catalogue.items))
    return [
        _bars(
            f"per_{name}",
            np.bincount(ids, minlength=len(names))[1:],
            f"interactions of {'a user' if name == 'user' else 'an item'}",
            f"{name}s",
        )
        for name, ids, names in sides
    ]


def doublings(values: npt.ArrayLike) -> list[tuple[str, int]]:
    """How many of some whole numbers are 0, 1, 2, 3 to 4, 5 to 8, ...; from the first that are.

    >>> doublings([1, 3, 4, 5])
    [('1', 1), ('2', 0), ('3-4', 2), ('5-8', 1)]
    """
    found = np.asarray(values)
    if not found.size:
        return []
    bin_of = np.where(found > 0, np.ceil(np.log2(np.maximum(found, 1))).astype(int) + 1, 0)
    counted = np.bincount(bin_of)
    names = ["0", "1", "2", *(f"{2**n + 1:,}-{2 ** (n + 1):,}" for n in range(1, len(counted)))]
    first = int(np.flatnonzero(counted)[0])
    return [(names[n], int(counted[n])) for n in range(first, len(counted))]


def _bars(name: str, values: npt.NDArray[np.int64], what: str, of: str) -> Picture:
    shown = doublings(values)
    with drawing(3.7, 0.85 + 0.2 * len(shown)) as (figure, axes):
        axes.barh(range(len(shown)), [n for _, n in shown], color=COLOURS[0], height=0.75)
        axes.set_yticks(range(len(shown)), [label.replace("-", " to ") for label, _ in shown])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        whole_numbers(axes.xaxis)
        axes.set_xlabel(of)
        axes.set_title(what)
        caption = f"{of[0].upper()}{of[1:]} by their number of {what.partition(' of ')[0]}"
        return Picture(f"{name}.svg", svg(figure), caption)


def _card(metrics: Json, manifest: Json | None) -> dict[str, str]:
    card: dict[str, Any] = {"fingerprint": metrics.get("data_fingerprint")}
    if manifest:
        for key in ("source", "synthetic", "command", "converter_version"):
            if key in manifest:
                card[key] = manifest[key]
        for group in ("counts", "filters"):
            card |= {f"{group}: {key}": value for key, value in manifest.get(group, {}).items()}
    return {key: value if isinstance(value, str) else _plain(value) for key, value in card.items()}


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
