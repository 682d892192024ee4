"""Lines, marks and tests of a table against plain arithmetic, and the files it is written to."""

import csv
import io
import json
import math
import statistics
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
from page.test_html_page import check_structure

from recbole_symcere.compare import comparison_plots
from recbole_symcere.compare.compare_options import checked_options
from recbole_symcere.compare.differences import paired
from recbole_symcere.compare.document import describe
from recbole_symcere.compare.execute import Done
from recbole_symcere.compare.over_sets import over_sets
from recbole_symcere.compare.paper_tables import preset_rows, printed_values
from recbole_symcere.compare.rows import Row
from recbole_symcere.compare.table import make_block
from recbole_symcere.compare.write import as_csv, sets_as_csv, write_tables
from recbole_symcere.page.html_page import as_html
from recbole_symcere.page.page import Picture, as_markdown

USERS = [f"u{n}" for n in range(40)]
ROWS = [
    Row("SymCERE", "SymCERE", proposed=True),
    Row("A<b> | c_d", "BPR"),
    Row("EASE", "EASE"),
    Row("SymCERE, shuffled text", "SymCERE", {"text_control": "shuffled"}),
]
MEANS = {"SymCERE": 0.5, "A<b> | c_d": 0.2, "EASE": 0.4, "SymCERE, shuffled text": 0.6}


def write_run(folder, values, order, seconds=1.0, valid=None):
    folder.mkdir(parents=True)
    mean = float(np.mean(values))
    metrics = {
        **dict.fromkeys(("model", "dataset", "device"), "x"),
        **dict.fromkeys(("seed", "epochs_run", "parameters", "best_epoch"), 1),
        **{"protocol": {}, "versions": {}, "history": []},
        "valid": {"ndcg@10": mean if valid is None else valid},
        "test": {"ndcg@10": mean, "hit@10": 2 * mean},
        "beyond": {
            "popularity": {"arp@10": 12.5, "gini@10": 0.25},
            "by_item_popularity": {"rare": {"users": 4, "ndcg@10": mean / 2}, "middle": {}},
            "by_training_interactions": {"0": {"users": 2, "ndcg@10": 0.1}},
            "cold_items": {"items": 3, "users": 2, "ndcg@10": 0.3},
        },
        "seconds": {"prepare": 0.5, "train": seconds, "evaluate": 0.25},
        "peak_memory_mb": 100.0 * seconds,
        "data": {"users": 40, "items": 9, "train": 300, "valid": 40, "test": 40},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    table = pa.table({"user_id": [USERS[n] for n in order], "ndcg@10": [values[n] for n in order]})
    pq.write_table(table, folder / "per_user.parquet")


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return {
        (label, seed): rng.beta(8 * mean, 8 * (1 - mean), 40)
        for label, mean in MEANS.items()
        for seed in (0, 1, 2)
    }


@pytest.fixture
def block(values, tmp_path):
    runs = []
    for n, ((label, seed), found) in enumerate(values.items()):
        folder = tmp_path / str(n)
        write_run(folder, found, np.random.default_rng(n).permutation(40), seconds=1.0 + n)
        runs.append(Done(label, "data", seed, folder, 12))
    failed = Done("EASE", "data", 3, tmp_path, None, 2, "it broke", ("it broke", "it broke"))
    return make_block("data", ROWS, [*runs, failed], "ndcg@10", "SYNTHETIC")


def line_of(block, label):
    return next(line for line in block.lines if line.row.label == label)


def test_means_and_deviations(block, values):
    for label in MEANS:
        cell = line_of(block, label).cells["ndcg@10"]
        means = [values[label, seed].mean() for seed in (0, 1, 2)]
        assert cell.mean == pytest.approx(sum(means) / 3)
        assert cell.deviation == pytest.approx(statistics.stdev(means))
    assert line_of(block, "EASE").cells["ndcg@10/rare items"].mean == pytest.approx(
        line_of(block, "EASE").cells["ndcg@10"].mean / 2
    )
    assert line_of(block, "EASE").cells["ndcg@10/users with k = 0"].mean == pytest.approx(0.1)
    assert line_of(block, "EASE").cells["ndcg@10/cold items"].mean == pytest.approx(0.3)


def test_marks_are_on_accuracy_alone_and_equal_values_share_one(block):
    marks = {line.row.label: line.cells["ndcg@10"].mark for line in block.lines}
    assert marks["SymCERE, shuffled text"] == "best"
    assert marks["SymCERE"] == "second"
    assert marks["EASE"] == marks["A<b> | c_d"] == ""
    assert {line.cells["ndcg@10/cold items"].mark for line in block.lines} == {"best"}
    assert {line.cells["arp@10"].mark for line in block.lines} == {""}


def test_the_reference_is_the_best_baseline(block):
    # a control isn't one, though it is the best here, nor is what is proposed
    assert block.reference == "EASE"
    base = line_of(block, "EASE").cells["ndcg@10"].mean
    ours = line_of(block, "SymCERE")
    assert ours.improvement == pytest.approx(100 * (ours.cells["ndcg@10"].mean - base) / base)
    assert line_of(block, "EASE").improvement is None
    assert line_of(block, "EASE").comparison is None


def plain_error(table):
    """Standard error of the mean of [users, seeds] with both drawn, by the analysis of variance."""
    return math.sqrt(sum(plain_variance(table)))


def plain_variance(table):
    n, k = table.shape
    users, seeds = table.mean(axis=1), table.mean(axis=0)
    rest = ((table - users[:, None] - seeds + table.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    return users.var(ddof=1) / n, max(0.0, seeds.var(ddof=1) - rest / n) / k


def test_tests_are_over_users_and_seeds_paired_by_id_and_corrected_over_rows(block, values):
    tables = {label: np.stack([values[label, s] for s in (0, 1, 2)], axis=1) for label in MEANS}
    others = [label for label in MEANS if label != "EASE"]
    lines = {label: line_of(block, label) for label in others}
    running, adjusted = 0.0, {}
    p = {label: line.comparison.p_value for label, line in lines.items()}
    for done, label in enumerate(sorted(others, key=p.get)):
        running = max(running, min(1.0, (3 - done) * p[label]))
        adjusted[label] = running
    for label, line in lines.items():
        difference = tables[label] - tables["EASE"]
        found = line.comparison
        assert (found.users, found.seeds) == (40, 3)
        assert found.difference == pytest.approx(difference.mean())
        assert line.p_value == pytest.approx(adjusted[label])
        low, high = found.interval
        by_user, by_seed = plain_variance(difference)
        freedom = 2 * (1 + by_user / by_seed) ** 2 if by_seed else math.inf
        half = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(by_user + by_seed)
        assert low < difference.mean() < high
        assert high - low == pytest.approx(2 * half, rel=0.1)
        assert (low > 0 or high < 0) == (found.p_value < 0.05)
    assert p["SymCERE, shuffled text"] < 0.01
    assert p["A<b> | c_d"] < 0.01


def test_costs_and_failures(block):
    line = line_of(block, "SymCERE")
    assert line.trials == 12
    assert line.seconds == pytest.approx((1 + 2 + 3) / 3 + 0.75)
    assert line.memory_mb == 300
    assert (line_of(block, "EASE").seeds, line_of(block, "EASE").failed) == (3, 1)
    assert block.problems == ["EASE, seed 3: failed: it broke"]


def options(**more):
    given = {"models": "A", "datasets": "data", "seeds": "0,1,2,3", "out": "out", **more}
    return checked_options(given)


class Page(HTMLParser):
    """Cells of the tables, and whether every element is closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.links = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in {"src", "href"}]
        self.links = [link for link in self.links if not link.startswith(("data:image/", "#"))]
        if tag in {"meta", "img"}:
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_html_is_whole_and_stands_alone(block):
    text = as_html(describe([block], [], options(tune=12)), "Comparison")
    page = Page(text)
    assert not page.links
    assert "http:" not in text
    assert "https:" not in text
    head = next(row for row in page.rows if row[0] == "model")
    for row in page.rows:
        if row[0].startswith("A<b> | c_d") and len(row) == len(head):
            break
    else:
        raise AssertionError("the label isn't shown as it is")
    assert head == [
        *("model", "NDCG@10", "improvement", "difference [95 %]", "p", "p (Holm)", "Hit@10"),
        *("trials", "seconds per run", "peak memory, MB"),
    ]
    assert "<strong>" in text
    assert "<u>" in text
    assert "Note: SYNTHETIC" in text
    assert "EASE (best baseline) (3 of 4 seeds)" in text


def test_markdown_tables_are_rectangular_and_escaped(block):
    text = as_markdown(describe([block], [], options()))
    assert r"A\<b> \| c\_d" in text
    tables = [part for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        widths = {line.replace(r"\|", "").count("|") for line in table.strip().split("\n")}
        assert len(widths) == 1
    assert "**0.6" in text


def test_csv_has_every_number_in_full(block):
    rows = list(csv.DictReader(io.StringIO(as_csv([block]))))
    main = {row["row"]: row for row in rows if row["metric"] == "ndcg@10"}
    line = line_of(block, "SymCERE")
    assert float(main["SymCERE"]["mean"]) == line.cells["ndcg@10"].mean
    assert float(main["SymCERE"]["p_holm"]) == line.p_value
    assert float(main["SymCERE"]["p_value"]) == line.comparison.p_value
    assert main["EASE"]["p_holm"] == ""
    assert main["EASE"]["failed"] == "1"
    assert {row["role"] for row in rows} == {"proposed", "baseline", "control"}
    assert len(rows) == len(ROWS) * len(line.cells)


def make_set(dataset, rows, means, folder, valid=None, seeds=(0, 1)):
    """A block of the rows, whose users differ around the means; a mean of 0 has no hit at all."""
    runs = []
    for n, row in enumerate(rows):
        for seed in seeds:
            rng = np.random.default_rng([n, seed])
            found = means[row.label] * rng.uniform(0.5, 1.5, 40)
            place = folder / dataset / f"{n}-{seed}"
            write_run(place, found, range(40), valid=(valid or {}).get(row.label))
            runs.append(Done(row.label, dataset, seed, place, None))
    return make_block(dataset, rows, runs, "ndcg@10")


def test_the_best_baseline_is_chosen_on_validation(tmp_path):
    means = {"SymCERE": 0.5, "A<b> | c_d": 0.3, "EASE": 0.4}
    block = make_set("data", ROWS[:3], means, tmp_path, valid={"A<b> | c_d": 0.6, "EASE": 0.5})
    assert block.reference == "A<b> | c_d"
    assert block.better_on_test == "EASE"
    text = as_markdown(describe([block], [], options(seeds="0,1")))
    assert "; on test EASE turned out to be better." in text
    assert "best on validation, so that" in text
    same = make_set("same", ROWS[:3], means, tmp_path)
    assert (same.reference, same.better_on_test) == ("EASE", None)
    assert "turned out" not in as_markdown(describe([same], [], options(seeds="0,1")))


def test_without_validation_it_is_chosen_on_test_and_said_so(tmp_path):
    runs = []
    for n, row in enumerate(ROWS[1:3]):
        for seed in (0, 1):
            folder = tmp_path / f"{n}-{seed}"
            write_run(folder, np.linspace(0, 0.2 + 0.1 * n, 40), range(40))
            metrics = json.loads((folder / "metrics.json").read_text())
            (folder / "metrics.json").write_text(json.dumps(metrics | {"valid": {}}))
            runs.append(Done(row.label, "data", seed, folder, None))
    block = make_block("data", ROWS[1:3], runs, "ndcg@10")
    assert block.reference == "EASE"
    text = as_markdown(describe([block], [], options(seeds="0,1")))
    assert "best on validation, or on the test split where a row wasn't validated" in text


SETS = {
    "one": {"SymCERE": 0.5, "A<b> | c_d": 0.2, "EASE": 0.4, "SymCERE, shuffled text": 0.6},
    "two": {"SymCERE": 0.5, "A<b> | c_d": 0.4, "EASE": 0.3, "SymCERE, shuffled text": 0.1},
    "three": {"SymCERE": 0.3, "A<b> | c_d": 0.25, "EASE": 0.0, "SymCERE, shuffled text": 0.1},
}


@pytest.fixture
def blocks(tmp_path):
    return [make_set(name, ROWS, means, tmp_path) for name, means in SETS.items()]


def test_rows_over_the_data_sets(blocks):
    groups = [("EASE",), ("EASE", "SymCERE")]
    over = {(row.label, row.against): row for row in over_sets(blocks, groups)}
    ours = over["SymCERE", None]
    # against the best baseline of each set, never against itself
    assert [on.other for on in ours.sets] == ["EASE", "A<b> | c_d", "A<b> | c_d"]
    assert [on.other for on in over["EASE", None].sets] == ["A<b> | c_d"] * 3
    for on, block in zip(ours.sets, blocks, strict=True):
        a, b = (block.values[label].table for label in ("SymCERE", on.other))
        assert on.ratio.value == pytest.approx(math.log(a.mean() / b.mean()))
        assert on.ratio.error == pytest.approx(plain_error(a / a.mean() - b / b.mean()))
    assert ours.pooled.sets == 3
    assert ours.pooled.interval.low < ours.pooled.mean < ours.pooled.interval.high
    assert min(on.ratio.value for on in ours.sets) < ours.pooled.mean < 0.3
    # nothing is a ratio to 0, and a metric of 0 has a mean of 0
    assert [on.dataset for on in over["SymCERE", "EASE"].sets] == ["one", "two"]
    assert over["EASE", None].pooled.mean == -math.inf
    # of several names the better one on validation of each set; a row isn't its own yardstick
    assert {on.other for on in over["A<b> | c_d", "EASE/SymCERE"].sets} == {"SymCERE"}
    assert {on.other for on in over["SymCERE", "EASE/SymCERE"].sets} == {"EASE"}
    assert ("EASE", "EASE") not in over
    assert over_sets(blocks[:1]) == []


def test_a_set_counts_where_two_seeds_are_shared(tmp_path):
    """The best other baseline was sought among rows with as many seeds as the row itself."""
    whole = {"SymCERE": (0.3, 0.3, 0.3), "A<b> | c_d": (0.5, 0.5, 0.5), "EASE": (0.4, 0.4, 0.4)}

    def found(name, lacking, against=()):
        blocks = [make_lacking(tmp_path / name / "1", whole)]
        blocks.append(make_lacking(tmp_path / name / "2", {**whole, **lacking}))
        over = over_sets(blocks, against)
        return {(row.label, row.against): [on.other for on in row.sets] for row in over}

    # EASE lacks a seed on the second set: it is A's only other baseline, and no yardstick of ours
    over = found("two", {"A<b> | c_d": (0.2,) * 3, "EASE": (0.4, 0.4, None)})
    assert over["A<b> | c_d", None] == ["EASE", "EASE"]
    assert over["SymCERE", None] == ["A<b> | c_d", "A<b> | c_d"]
    assert over["EASE", None] == ["A<b> | c_d", "A<b> | c_d"]
    # of two named rows the better one has but one seed on the second set
    groups = [("A<b> | c_d", "EASE")]
    over = found("one", {"A<b> | c_d": (0.5, None, None)}, groups)
    assert over["SymCERE", "A<b> | c_d/EASE"] == ["A<b> | c_d", "EASE"]
    # no baseline has two seeds there, but the named row has
    control = "SymCERE, shuffled text"
    whole[control] = (0.1, 0.1, 0.1)
    lacking = {"A<b> | c_d": (0.5, None, None), "EASE": (None, 0.4, None)}
    over = found("few", lacking, [("SymCERE",)])
    assert over["SymCERE", None] == ["A<b> | c_d"]
    assert over[control, "SymCERE"] == ["SymCERE", "SymCERE"]


def test_the_document_shows_rows_over_the_data_sets(blocks):
    given = options(datasets="one,two,three", against="EASE", seeds="0,1")
    over = over_sets(blocks, [given.against])
    page = Page(as_html(describe(blocks, over, given), "Comparison"))
    start = page.rows.index(["model", "best other baseline", "EASE"])
    rows = {row[0]: row[1:] for row in page.rows[start + 1 : start + 5]}
    pooled = next(r for r in over if r.label == "SymCERE").pooled
    ends = pooled.mean, *pooled.interval, *pooled.prediction
    shown = [f"{100 * math.expm1(x):+.1f}" for x in ends]
    wanted = f"{shown[0]} % [{shown[1]}, {shown[2]}] ({shown[3]}, {shown[4]})"
    assert rows["SymCERE"][0] == wanted
    assert rows["SymCERE"][1].endswith("(2 of 3 sets)")
    assert rows["EASE"] == ["-100.0 %", "-"]
    text = as_markdown(describe(blocks, over, given))
    assert "averaged over 3 data sets: a random-effects mean of the log ratio" in text
    assert "or where the NDCG@10 of the other one is 0" in text


def test_the_csv_of_sets_has_every_ratio_and_the_mean(blocks):
    over = over_sets(blocks)
    rows = list(csv.DictReader(io.StringIO(sets_as_csv(over))))
    ours = [row for row in rows if row["row"] == "SymCERE"]
    assert [row["dataset"] for row in ours] == ["one", "two", "three", "mean"]
    assert [row["other"] for row in ours] == ["EASE", "A<b> | c_d", "A<b> | c_d", ""]
    for row, on in zip(ours, over[0].sets, strict=False):
        assert float(row["log_ratio"]) == on.ratio.value
        assert float(row["standard_error"]) == on.ratio.error
        assert float(row["change_percent"]) == pytest.approx(100 * (math.exp(on.ratio.value) - 1))
    assert float(ours[-1]["log_ratio"]) == over[0].pooled.mean
    assert float(ours[-1]["interval_low_percent"]) == pytest.approx(
        100 * (math.exp(over[0].pooled.interval.low) - 1)
    )
    assert float(ours[-1]["prediction_high_percent"]) == pytest.approx(
        100 * (math.exp(over[0].pooled.prediction.high) - 1)
    )
    assert (ours[-1]["sets"], float(ours[-1]["tau"])) == ("3", over[0].pooled.tau)
    nothing = next(row for row in rows if row["row"] == "EASE" and row["dataset"] == "mean")
    assert (nothing["change_percent"], nothing["tau"]) == ("-100.0", "")


def test_rows_are_paired_by_the_seeds_that_both_have(tmp_path):
    runs = []
    for n, (label, seeds) in enumerate({"SymCERE": (0, 2), "EASE": (0, 1, 2)}.items()):
        for seed in seeds:
            folder = tmp_path / f"{n}-{seed}"
            found = np.random.default_rng([n, seed]).uniform(0, 1, 40) + seed
            write_run(folder, found, np.random.default_rng(seed).permutation(40))
            runs.append(Done(label, "data", seed, folder, None))
    block = make_block("data", [ROWS[0], ROWS[2]], runs, "ndcg@10")
    found = line_of(block, "SymCERE").comparison
    expected = [
        np.random.default_rng([0, seed]).uniform(0, 1, 40).mean()
        - np.random.default_rng([1, seed]).uniform(0, 1, 40).mean()
        for seed in (0, 2)
    ]
    assert found.seeds == 2
    assert found.difference == pytest.approx(np.mean(expected))
    ours, base = (block.values[label] for label in ("SymCERE", "EASE"))
    first, second = paired(base, ours)
    assert (first - second).mean() == pytest.approx(-np.mean(expected))
    single = replace(ours, seeds=(1,), table=ours.table[:, :1])
    assert paired(single, base) is None


def test_without_baselines_the_best_proposed_is_the_reference(values, tmp_path):
    rows = [Row("X", "SymCERE", proposed=True), Row("Y", "SymCERE", proposed=True)]
    runs = []
    for n, (label, key) in enumerate((("X", "SymCERE"), ("Y", "EASE"))):
        for seed in (0, 1):
            folder = tmp_path / f"{n}-{seed}"
            write_run(folder, values[key, seed], range(40))
            runs.append(Done(label, "data", seed, folder, None))
    block = make_block("data", rows, runs, "ndcg@10", test=False)
    assert block.reference == "X"
    assert line_of(block, "Y").improvement < 0
    assert line_of(block, "Y").comparison is None


def test_a_row_whose_runs_all_failed_is_shown_without_values(values, tmp_path):
    write_run(tmp_path / "a", values["EASE", 0], range(40))
    runs = [
        Done("EASE", "data", 0, tmp_path / "a", None),
        Done("SymCERE", "data", 0, tmp_path / "b", None, 2, "broke"),
    ]
    block = make_block("data", [ROWS[0], ROWS[2]], runs, "ndcg@10")
    text = as_markdown(describe([block], [], options(seeds="0", significance="False")))
    assert r"| SymCERE \(0 of 1 seeds\) | - | - |" in text


def test_presets_have_the_papers_rows_and_printed_values():
    labels = [label for label, *_ in preset_rows("table2")]
    assert labels[:4] == ["NeuMF", "NGCF", "LightGCN", "SGL"]
    assert labels[-2:] == ["SymCERE (NGCF)", "SymCERE (LightGCN)"]
    settings = {label: given for label, _, given in preset_rows("table3")}
    assert len(settings) == 6
    assert settings["SymCERE (NGCF), w/o Norm"] == {"backbone": "NGCF", "l2_normalize": False}
    printed = printed_values("table2", "yelp")
    assert printed["SymCERE (NGCF)"] == (0.344, 0.112)
    assert printed_values("table2", "Video-Games")["SymCERE (LightGCN)"] == (0.343, 0.109)
    assert printed_values("table3", "nothing_of_the_paper") == {}


def preset_document(preset, more, first, step, folder):
    """The document of a preset's rows and ``more``, whose values go from the first by a step."""
    rows = [
        Row(label, model, given, proposed=model == "SymCERE")
        for label, model, given in preset_rows(preset)
    ] + more
    runs = []
    for n, row in enumerate(rows):
        write_run(folder / str(n), np.full(40, first + n * step), range(40))
        runs.append(Done(row.label, "yelp", 0, folder / str(n), None))
    block = make_block("yelp", rows, runs, "ndcg@10", test=False)
    given = options(preset=preset, significance="False", seeds="0")
    return as_markdown(describe([block], [], given))


def test_a_preset_stands_beside_what_is_printed(tmp_path):
    text = preset_document("table2", [], 0.1, 0.01, tmp_path)
    paper = "| yelp | NDCG@10 | paper | 0.078 | - | 0.037 | - | - | **0.112** | _0.082_ | +43.6 % |"
    assert paper in text
    here = "| 0.100 | 0.110 | 0.120 | 0.130 | 0.140 | _0.150_ | **0.160** | +14.3 % |"
    assert f"| yelp | NDCG@10 | here {here}" in text
    assert "| yelp | HR@10 | paper | 0.238 |" in text


def test_a_control_is_no_ablation_of_table_3_and_nothing_there_is_a_baseline(tmp_path):
    label = "SymCERE (NGCF), w/o Norm"
    control = Row(f"{label}, shuffled text", "SymCERE", {"text_control": "shuffled"})
    text = preset_document("table3", [control], 0.2, -0.01, tmp_path)
    # NGCF: .20, .19, .18 and LightGCN: .17, .16, .15; the control has .14
    assert "| -10.0 % | -11.8 % |" in text
    assert r"| SymCERE \(NGCF\) \(best\) |" in text
    assert "best baseline) |" not in text


def test_a_baseline_that_lacks_seeds_is_no_yardstick(tmp_path):
    runs = []
    values = {"SymCERE": (0.3, 0.3), "A<b> | c_d": (0.9,), "EASE": (0.2, 0.2)}
    for label, means in values.items():
        for seed, mean in enumerate(means):
            folder = tmp_path / f"{len(runs)}"
            write_run(folder, np.linspace(0, mean, 40), range(40))
            runs.append(Done(label, "data", seed, folder, None))
    runs.append(Done("A<b> | c_d", "data", 1, tmp_path, None, 2, "broke"))
    block = make_block("data", ROWS[:3], runs, "ndcg@10")
    assert block.reference == "EASE"
    assert line_of(block, "SymCERE").p_value is not None
    assert line_of(block, "A<b> | c_d").p_value is None  # one seed would be one draw


def make_lacking(folder, given, rows=()):
    """A block of rows with the seeds that they have; the others failed."""
    runs = []
    for label, means in given.items():
        for seed, mean in enumerate(means):
            place = folder / f"{len(runs)}"
            if mean is None:
                runs.append(Done(label, "data", seed, place, None, 2, "broke"))
                continue
            write_run(place, np.linspace(0, 2 * mean, 40), range(40))
            runs.append(Done(label, "data", seed, place, None))
    rows = rows or [row for row in ROWS if row.label in given]
    return make_block("data", rows, runs, "ndcg@10")


def test_a_row_that_lacks_seeds_is_neither_marked_nor_called_the_best(tmp_path):
    given = {"SymCERE": (0.3, 0.3), "A<b> | c_d": (0.4, None), "EASE": (0.2, 0.2)}
    block = make_lacking(tmp_path, given)
    assert [line.cells["ndcg@10"].mark for line in block.lines] == ["best", "", "second"]
    text = as_markdown(describe([block], [], options(seeds="0,1")))
    assert "On data SymCERE has the best NDCG@10, 0.3000: +50.0 % against EASE" in text
    assert r"Not counted, because they lack seeds: A\<b> \| c\_d." in text
    assert "underlined or in italics; rows that lack seeds don't count." in text
    whole = make_lacking(tmp_path / "whole", {**given, "A<b> | c_d": (0.4, 0.4)})
    assert "lack seeds" not in as_markdown(describe([whole], [], options(seeds="0,1")))
    # a single row with every seed isn't the best of anything
    block = make_lacking(tmp_path / "one", {**given, "EASE": (None, 0.2)})
    assert {line.cells["ndcg@10"].mark for line in block.lines} == {""}
    text = as_markdown(describe([block], [], options(seeds="0,1")))
    said = r"On data no row is called the best: these lack seeds: A\<b> \| c\_d; EASE."
    assert said in text


def test_a_row_that_lacks_seeds_is_not_the_best_of_the_papers_tables(tmp_path):
    rows = [
        Row(label, model, given, proposed=model == "SymCERE")
        for label, model, given in preset_rows("table2")
    ]
    given = {row.label: (0.1 + 0.01 * n,) * 2 for n, row in enumerate(rows)}
    given["NGCF"] = (0.5, None)
    given["SymCERE (NGCF)"] = (0.4, None)
    block = make_lacking(tmp_path, given, rows)
    text = as_markdown(describe([block], [], options(preset="table2", seeds="0,1")))
    here = "| 0.100 | 0.500 | 0.120 | 0.130 | _0.140_ | 0.400 | **0.160** | +14.3 % |"
    assert f"| data | NDCG@10 | here {here}" in text


def test_a_metric_that_a_seed_lacks_has_no_mean(tmp_path):
    """It was over the seeds that had it, and gone where the first one lacked it."""
    for lacking in (0, 1):
        runs = []
        for seed in (0, 1):
            folder = tmp_path / f"{lacking}-{seed}"
            write_run(folder, np.full(40, 0.5), range(40))
            metrics = json.loads((folder / "metrics.json").read_text())
            if seed == lacking:
                del metrics["beyond"]["cold_items"]["ndcg@10"]
            (folder / "metrics.json").write_text(json.dumps(metrics))
            runs.append(Done("EASE", "data", seed, folder, None))
        line = make_block("data", ROWS[2:3], runs, "ndcg@10", test=False).lines[0]
        assert "ndcg@10/cold items" not in line.cells
        assert line.cells["ndcg@10/rare items"].mean == pytest.approx(0.25)


def test_a_metric_without_k_has_a_column(tmp_path):
    write_run(tmp_path / "run", np.full(40, 0.5), range(40))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    metrics["test"] = {"auc": 0.75}
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(metrics))
    runs = [Done("EASE", "data", 0, tmp_path / "run", None)]
    block = make_block("data", [ROWS[2]], runs, "auc", test=False)
    text = as_markdown(describe([block], [], options(seeds="0", significance="False")))
    assert "| model | AUC | seconds per run |" in text
    assert "| EASE | 0.7500 |" in text


# --- plots -----------------------------------------------------------------------------------


def texts_of(picture):
    root = ET.fromstring(picture.content)
    return ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def drawn(monkeypatch):
    """What is handed to the forest plot: label, value and interval, role."""
    kept = []

    def keeping(shown, *rest):
        kept.append(shown)
        return forest(shown, *rest)

    forest = comparison_plots._forest
    monkeypatch.setattr(comparison_plots, "_forest", keeping)
    return kept


def test_the_forest_plot_has_each_gain_with_its_interval(block, drawn):
    picture = comparison_plots.gains_plot(block)
    base = line_of(block, "EASE").cells["ndcg@10"].mean
    rows = {label: (estimate, role) for label, estimate, role in drawn[0]}
    assert rows.keys() == MEANS.keys() - {"EASE"}
    for label, (estimate, _) in rows.items():
        found = line_of(block, label).comparison
        assert estimate.value == pytest.approx(100 * found.difference / base)
        assert (estimate.low, estimate.high) == pytest.approx(
            [100 * end / base for end in found.interval]
        )
    assert {role for _, role in rows.values()} == {"proposed", "baseline", "control"}
    values = [estimate.value for _, estimate, _ in drawn[0]]
    assert values == sorted(values, reverse=True)
    names = texts_of(picture)
    assert {"A<b> | c_d", "gain in NDCG@10, %"} <= {*names}
    assert "in NDCG@10 over EASE on data" in picture.caption
    assert comparison_plots.gains_plot(replace(block, reference=None)) is None


def test_the_forest_plot_over_sets_is_of_the_pooled_means(blocks, drawn):
    over = over_sets(blocks)
    comparison_plots.gains_over_sets(over, ROWS, "NDCG@10")
    pooled = {row.label: row.pooled for row in over}
    assert {label for label, *_ in drawn[0]} == {
        name for name, one in pooled.items() if one.interval
    }
    for label, estimate, _ in drawn[0]:
        assert estimate.value == pytest.approx(100 * math.expm1(pooled[label].mean))


def test_costs_and_groups_are_drawn(block):
    names = texts_of(comparison_plots.cost_plot(block))
    assert {*MEANS} <= {*names}
    assert "seconds of a run" in names
    groups = comparison_plots.groups_plots(block)
    assert [texts_of(one)[-1] for one in groups] == ["rare items", "users with k = 0", "cold items"]
    for one in groups:
        assert {*MEANS} <= {*texts_of(one)}


def test_the_page_says_first_which_row_is_best_and_whether_that_is_chance(block):
    page = as_html(describe([block], [], options()), "Comparison")
    check_structure(page)
    line = line_of(block, "SymCERE")
    sure = "more than chance" if line.p_value < 0.05 else "no more than chance could be"
    first = page[page.index("</h1>") : page.index("<h2")]
    assert f"On data SymCERE has the best NDCG@10, {line.cells['ndcg@10'].mean:.4f}" in first
    assert f"which is {sure} (p (Holm) {line.p_value:.4f})" in first
    untested = replace(block, lines=[replace(one, p_value=None) for one in block.lines])
    assert "wasn't tested" in as_markdown(describe([untested], [], options()))


def test_plots_of_the_table_before_go_and_others_stay(tmp_path):
    plot = Picture("gains_now.svg", b"<svg/>", "of (now)")
    for name in ("gains_gone.svg", "gains_now.svg", "mine.svg"):
        (tmp_path / name).write_text("before")
    (tmp_path / "table.md").write_text(
        "![a (b)](gains_gone.svg)\n![](gains_now.svg)\n![](../x.svg)\n"
    )
    write_tables(tmp_path, [plot], [], [], [])
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["gains_now.svg", "mine.svg"]
    assert (tmp_path / "gains_now.svg").read_bytes().startswith(b"<svg")
    assert "gains_now.svg" in (tmp_path / "table.md").read_text()
