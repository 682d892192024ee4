"""What a comparison says, as headings, paragraphs and tables that any format can show."""

import math
from collections.abc import Sequence

from recbole_symcere.compare.compare_options import CompareOptions
from recbole_symcere.compare.comparison_plots import (
    cost_plot,
    gains_over_sets,
    gains_plot,
    groups_plots,
)
from recbole_symcere.compare.over_sets import OverSets
from recbole_symcere.compare.paper_document import paper_parts
from recbole_symcere.compare.table import Block, Cell, Line, with_every_seed
from recbole_symcere.page.metric_words import (
    GROUPS_NOTE,
    metrics_note,
    places,
    sureness,
    with_interval,
)
from recbole_symcere.page.page import Entry, Gallery, Heading, Part, Picture, Text, TextTable
from recbole_symcere.run.log_lines import metric_title

__all__ = ["describe"]


_NONE = Entry("-")


def describe(
    blocks: Sequence[Block], over: Sequence[OverSets], options: CompareOptions
) -> list[Part]:
    """The whole document.

    Args:
        blocks: one per data set.
        over: rows over the data sets; nothing for a single one.
        options: what was asked for.
    """
    metric = metric_title(blocks[0].metric)
    parts: list[Part] = [Heading("Comparison", 1)]
    parts += [Text(said) for block in blocks if (said := _verdict(block))]
    parts += [Text(text) for text in _how_to_read(metric, blocks, options)]
    if over:
        parts += _over_sets(over, metric, len(blocks))
        parts += _pictures(gains_over_sets(over, [line.row for line in blocks[0].lines], metric))
    if options.preset:
        parts += paper_parts(blocks, options.preset)
    for block in blocks:
        parts += _block(block, options)
    return parts


def _pictures(*found: Picture | None) -> list[Part]:
    there = [picture for picture in found if picture is not None]
    return [Gallery(there)] if there else []


def _verdict(block: Block) -> str:
    """Which row is the best on a data set, and whether that is more than chance."""
    lines = [line for line in block.lines if block.metric in line.cells and not line.row.control]
    if len(lines) < 2:
        return ""
    whole = with_every_seed(lines)
    lacking = "; ".join(line.row.label for line in lines if line not in whole)
    if len(whole) < 2:
        return f"On {block.dataset} no row is called the best: these lack seeds: {lacking}."
    text = _best(block, whole)
    return f"{text} Not counted, because they lack seeds: {lacking}." if lacking else text


def _best(block: Block, lines: Sequence[Line]) -> str:
    best = max(lines, key=lambda line: line.cells[block.metric].mean)
    metric, value = metric_title(block.metric), best.cells[block.metric].mean
    text = f"On {block.dataset} {best.row.label} has the best {metric}, {value:.4f}"
    if best.row.label == block.reference:
        return f"{text}; it is the best baseline on validation, too."
    if best.improvement is not None:
        text += f": {best.improvement:+.1f} % against {block.reference}, the best baseline"
    if best.p_value is None:
        return f"{text}. Whether that is more than chance wasn't tested."
    return f"{text}, which is {sureness(best.p_value)} (p (Holm) {best.p_value:.4f})."


def _how_to_read(metric: str, blocks: Sequence[Block], options: CompareOptions) -> list[str]:
    n = len(options.seeds)
    text = (
        f"Mean over {n} seeds ± sample standard deviation"
        if n > 1
        else f"Values of one run (seed {options.seeds[0]})"
    )
    text += (
        " on the test split, all items ranked; the epoch"
        + (" and the settings were" if options.tunes else " was")
        + " chosen on validation. The best value of a column is bold, the second best "
        "underlined or in italics"
        + ("; rows that lack seeds don't count" if _lack_seeds(blocks) else "")
        + f". Improvement is that of the mean {metric} over the best baseline: of the models that "
        f"aren't proposed (of all, if every one is) the one that is best on {_chosen_on(blocks)}."
    )
    told = [text]
    if options.significance:
        told.append(
            f"Difference is that of {metric} to the best baseline, averaged over users and seeds, "
            "with a 95 % interval; p is of the paired sign-flip test that it is 0. Both are of the "
            "same random flips, over users like these and seeds like these, and are not adjusted: "
            "the interval excludes 0 exactly when p < .05. p (Holm) is adjusted for the number of "
            "rows: where it is below .05, the finding stands among all of them."
        )
    text = ""
    if options.tuned_by:
        text += f"Settings are those that the searches of {options.tuned_by} found"
        text += (
            f"; of the others those that have something to tune got one of {options.tune} trials. "
            if options.tune
            else "; rows without keep those that their models come with. "
        )
    elif options.tune:
        text += (
            f"Each model got a search of {options.tune} trials on validation, except those that "
            "have nothing to tune. "
        )
    if options.untuned:
        text += 'Rows "as given" keep the settings that their models come with.'
    return [*told, text.strip()] if text else told


def _lack_seeds(blocks: Sequence[Block]) -> bool:
    return any(len(with_every_seed(block.lines)) < len(block.lines) for block in blocks)


def _chosen_on(blocks: Sequence[Block]) -> str:
    lines = [line for block in blocks for line in block.lines if line.seeds]
    if all(line.valid is not None for line in lines):
        return "validation, so that the choice isn't luck on the test split"
    return "validation, or on the test split where a row wasn't validated"


def _over_sets(over: Sequence[OverSets], metric: str, n_sets: int) -> list[Part]:
    text = (
        f"Change of {metric} against another row, averaged over {n_sets} data sets: a "
        "random-effects mean of the log ratio (DerSimonian and Laird) with a 95 % interval over "
        "sets like these (Hartung and Knapp), not adjusted for the number of rows; in round "
        "brackets where the ratio on a further set like these is expected, with 95 %. A ratio's "
        "standard error is over users and seeds. The best other baseline is chosen on each set, as "
        "the better of several rows is, on validation."
    )
    if any(row.pooled and row.pooled.sets < n_sets for row in over):
        text += (
            " A set is left out, and the number of the others told, where the two rows don't have "
            f"two seeds in common or where the {metric} of the other one is 0."
        )
    columns = list(dict.fromkeys(row.against for row in over))
    cells = {(row.label, row.against): _pooled(row, n_sets) for row in over}
    table = TextTable(
        ["model", *("best other baseline" if c is None else c for c in columns)],
        [
            [Entry(label), *(cells.get((label, column), _NONE) for column in columns)]
            for label in dict.fromkeys(row.label for row in over)
        ],
    )
    return [Heading("Over the data sets", 2), Text(text), table]


def _pooled(row: OverSets, n_sets: int) -> Entry:
    if row.pooled is None:
        return _NONE
    sets, mean, interval, prediction, _ = row.pooled
    text = f"{100 * math.expm1(mean):+.1f} %"
    for ends, brackets in ((interval, "[]"), (prediction, "()")):
        if ends:
            low, high = (100 * math.expm1(end) for end in ends)
            text += f" {brackets[0]}{low:+.1f}, {high:+.1f}{brackets[1]}"
    if sets < n_sets:
        text += f" ({sets} of {n_sets} sets)"
    return Entry(text)


def _block(block: Block, options: CompareOptions) -> list[Part]:
    parts: list[Part] = [Heading(block.dataset, 2)]
    if block.notice:
        parts.append(Text(f"Note: {block.notice}"))
    if block.facts:
        counts = ", ".join(f"{block.facts[k]:,} {k}" for k in ("users", "items"))
        split = "/".join(f"{block.facts[k]:,}" for k in ("train", "valid", "test"))
        parts.append(Text(f"{counts}, {split} interactions to train, validate and test."))
    if block.better_on_test:
        parts.append(
            Text(
                f"Chosen on validation, the best baseline is {block.reference}; on test "
                f"{block.better_on_test} turned out to be better."
            )
        )
    names = list(dict.fromkeys(name for line in block.lines for name in line.cells))
    at_k = "".join(block.metric.partition("@")[1:])  # "@10"; "" of a metric such as AUC
    shown = [n for n in names if n == block.metric or (at_k and n.endswith(at_k))]
    accuracy = [n for n in shown if "/" not in n and not _beyond(n)]
    parts.append(_accuracy(block, accuracy, options))
    parts += _pictures(gains_plot(block), cost_plot(block))
    popularity = [n for n in shown if _beyond(n)]
    if popularity:
        parts.append(Heading("What is recommended", 3))
        parts.append(_table(block.lines, popularity, note=metrics_note(popularity)))
    groups = [n for n in names if n.startswith(f"{block.metric}/")]
    if groups:
        parts += [Heading(f"{metric_title(block.metric)} of groups", 3), Text(_groups_note(groups))]
        parts += _pictures(*groups_plots(block))
        parts += [_table(block.lines, groups, [n.partition("/")[2] for n in groups])]
    if block.problems:
        parts += [Heading("Crashes", 3), *(Text(problem) for problem in block.problems)]
    return parts


def _groups_note(groups: Sequence[str]) -> str:
    text = GROUPS_NOTE
    if any("k = " in name for name in groups):
        text += " k: users that kept k training interactions."
    if any("cold items" in name for name in groups):
        text += " Cold items: held out of training and ranked among themselves."
    return text


def _beyond(name: str) -> bool:
    return name.startswith(("arp@", "aplt@", "novelty@", "gini@", "coverage@"))


def _accuracy(block: Block, names: Sequence[str], options: CompareOptions) -> TextTable:
    """The main metric with what is to be said of its differences, other metrics, costs."""
    several = len(block.lines) > 1
    main = [name for name in names if name == block.metric]
    others = [name for name in names if name != block.metric]
    tests = ["improvement"] if several else []
    if options.significance and several:
        tests += ["difference [95 %]", "p", "p (Holm)"]
    head = ["model", *map(metric_title, main), *tests, *map(metric_title, others)]
    head += [*(["trials"] if options.tunes else []), "seconds per run", "peak memory, MB"]
    rows = []
    for line in block.lines:
        row = [_label(line, block, len(options.seeds))]
        row += [_cell(line.cells.get(name)) for name in main]
        if several:
            change = line.improvement
            row.append(_NONE if change is None else Entry(f"{change:+.1f} %"))
        if options.significance and several:
            row += _test(line)
        row += [_cell(line.cells.get(name)) for name in others]
        if options.tunes:
            row.append(_NONE if line.trials is None else Entry(str(line.trials)))
        seconds, memory = line.seconds, line.memory_mb
        row.append(_NONE if seconds is None else Entry(f"{seconds:.1f}"))
        row.append(_NONE if memory is None else Entry(f"{memory:,.0f}"))
        rows.append(row)
    note = (
        f"{metrics_note(names)} Seconds of wall time to prepare, train and evaluate, mean over "
        "seeds; memory: the largest at once of any seed."
    )
    return TextTable(head, rows, note)


def _label(line: Line, block: Block, n_seeds: int) -> Entry:
    label = line.row.label
    if label == block.reference and len(block.lines) > 1:
        label += " (best)" if line.row.proposed else " (best baseline)"
    if line.seeds < n_seeds:
        label += f" ({line.seeds} of {n_seeds} seeds)"
    return Entry(label)


def _test(line: Line) -> list[Entry]:
    found = line.comparison
    if found is None or line.p_value is None:
        return [_NONE, _NONE, _NONE]
    return [
        Entry(with_interval(found.difference, found.interval)),
        Entry(f"{found.p_value:.4f}"),
        Entry(f"{line.p_value:.4f}"),
    ]


def _table(
    lines: Sequence[Line],
    names: Sequence[str],
    titles: Sequence[str] | None = None,
    note: str = "",
) -> TextTable:
    return TextTable(
        ["model", *(titles or map(metric_title, names))],
        [
            [Entry(line.row.label), *(_cell(line.cells.get(name)) for name in names)]
            for line in lines
        ],
        note,
    )


def _cell(cell: Cell | None) -> Entry:
    if cell is None:
        return _NONE
    decimals = places(cell.mean)
    text = f"{cell.mean:.{decimals}f}"
    if cell.deviation is not None:
        text += f" ± {cell.deviation:.{decimals}f}"
    return Entry(text, cell.mark)
