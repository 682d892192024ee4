"""The command report: one page that stands alone."""

import base64
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from explain.planted import train
from page.test_html_page import check_structure
from small_data import write_rows

from recbole_symcere.cli import main
from recbole_symcere.explain.run_figures import loss_panels, validation_pictures
from recbole_symcere.explain.run_page import _metrics as metrics_table
from recbole_symcere.explain.yardsticks import _Split, refusal, yardsticks
from recbole_symcere.page.html_page import as_html
from recbole_symcere.page.page import Entry, Heading, Picture, TextTable, as_markdown
from recbole_symcere.run.catalogue import read_catalogue
from recbole_symcere.run.metrics_file import checksum

SVG = "data:image/svg+xml;base64,"


def figures(text):
    """What the alternative text of each picture says -> the texts in the picture."""
    found = {}
    for attrs in check_structure(text).of("img"):
        root = ET.fromstring(base64.b64decode(attrs["src"].removeprefix(SVG)))
        texts = root.iter("{http://www.w3.org/2000/svg}text")
        found[attrs["alt"]] = ["".join(text.itertext()) for text in texts]
    return found


def rows_of(text, first):
    """The cells of the table whose head begins so."""
    table = next(t for t in re.findall(r"<table>.*?</table>", text, re.DOTALL) if first in t)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [[re.sub("<.*?>", "", c) for c in re.findall(r"<t[hd].*?</t[hd]>", r)] for r in rows]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_encoder, cache_folder):
    given = {"cache_dir": cache_folder, "text_encoder": tiny_encoder, "embedding_size": 8}
    folder = tmp_path_factory.mktemp("reported")
    path = train(folder, given, epochs=3)
    notice = {"notice": "made <up>", "source": "synthetic", "counts": {"users": 30}}
    (folder / "planted" / "manifest.json").write_text(json.dumps(notice))
    metrics = {**json.loads((path / "metrics.json").read_text()), "notice": "the run doubts"}
    metrics["checksum"] = checksum(metrics)
    (path / "metrics.json").write_text(json.dumps(metrics))
    return path


@pytest.fixture(scope="module")
def page(run):
    (run / "explain" / "anchor").mkdir(parents=True)
    tests = [{"question": "Is it?", "holds": True}, {"question": "Was it?", "holds": None}]
    (run / "explain" / "anchor" / "anchor.json").write_text(json.dumps({"tests": tests}))
    (run / "explain" / "anchor" / "kinds.svg").write_bytes(
        b"<svg><title>Kinds &lt;of&gt; words</title></svg>"
    )
    assert main(["report", f"--run={run}"]) == 0
    return (run / "report.html").read_text()


def test_it_needs_nothing_else(page):
    found = figures(page)
    # three loss terms are there, and alpha is 0; seven pictures are of the geometry
    assert [what for what in found if what.startswith("Loss term")] == [
        f"Loss term {term} over epochs" for term in ("cross", "bpr")
    ]
    assert "Switched off, and 0 throughout: intra." in page
    assert "Kinds <of> words" in found  # what anchor drew
    assert sum("Norm and popularity" in what for what in found) == 2
    assert all(len(texts) > 2 for what, texts in found.items() if not what.startswith("Kinds"))
    for texts in found.values():
        assert not any("\u00d7" in text or "$" in text for text in texts)


def test_it_holds_all_of_the_run(page, run):
    metrics = json.loads((run / "metrics.json").read_text())
    for part in ("valid", "test"):
        for value in metrics[part].values():
            assert f"<td>{value:.4f}</td>" in page
    settings = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in settings.items():
        assert f'<th scope="row">{key}</th>' in page, (key, value)
    assert '<th scope="row">learning_rate</th><td class="words">0.02</td>' in page
    for name, version in metrics["versions"].items():
        assert f'<th scope="row">{name}</th><td class="words">{version}</td>' in page
    assert metrics["data_fingerprint"] in page
    assert "Note: made &lt;up&gt;" in page
    assert "Note: the run doubts" in page  # what its metrics.json tells
    assert '<th scope="row">Is it?</th><td class="words">yes</td>' in page
    assert '<th scope="row">Was it?</th><td class="words">can&#x27;t be judged</td>' in page
    headings = re.findall(r"<h2.*?>(.*?)</h2>", page)
    assert headings == [
        *("Metrics", "Training", "Explanation: anchor", "Geometry of the vectors"),
        *("Data set", "Settings", "Environment"),
    ]


def test_the_first_screen_says_what_it_is_worth(page, run):
    metrics = json.loads((run / "metrics.json").read_text())
    first = page[page.index("</h1>") : page.index("<h2")]
    data = metrics["data"]
    assert f"trained on {data['train']:,} interactions of {data['users']:,} users" in first
    assert f"reaches NDCG@10 {metrics['test']['ndcg@10']:.4f}" in first
    rows = rows_of(page, "this run&#x27;s gain")
    assert [row[0] for row in rows] == ["model", "SymCERE", "Popularity", "EASE"]
    table = pq.read_table(run / "per_user.parquet").to_pydict()
    assert float(rows[1][1]) == pytest.approx(np.mean(table["ndcg@10"]), abs=5e-5)
    for row in rows[2:]:
        difference, low, high = map(float, re.findall(r"[-+][\d.]+", row[3]))
        assert low <= difference <= high
        assert difference == pytest.approx(float(rows[1][1]) - float(row[1]), abs=2e-4)
        sure = "more than chance" if float(row[4]) < 0.05 else "no more than chance could be"
        side = "above" if difference > 0 else "below"
        assert f"{side} {row[0]} ({row[1]}), which is {sure}" in first


def test_groups_and_data_are_drawn_and_told(page, run):
    found = figures(page)
    names = found["NDCG@10 of groups of items and users, with 95 % intervals over users"]
    assert {"SymCERE", "EASE", "Popularity", "rare items", "users with some interactions"} <= {
        *names
    }
    metrics = json.loads((run / "metrics.json").read_text())
    facts = dict(rows_of(page, ">fact<")[1:])
    share = metrics["data"]["users"] * metrics["data"]["items"]
    total = sum(metrics["data"][part] for part in ("train", "valid", "test"))
    assert facts["sparsity"].startswith(f"{100 * (1 - total / share):.2f} %")
    assert facts["words of a review"].startswith("5 in the middle")
    assert facts["texts in the file"] == "420, of which 0.0 % empty"
    assert facts["interactions per user"] == "14 in the middle, 14.0 on average, 14 to 14"
    assert facts["ties in time"].startswith("0.0 % of the users")
    assert found["Users by their number of interactions"][0:1] == ["0"]  # ticks are whole numbers
    assert "9 to 16" in found["Users by their number of interactions"]
    assert "5 to 8" in found["Reviews by their number of words"]


def test_popularity_and_ease_are_those_of_real_runs(run, small, tmp_path):
    catalogue = read_catalogue(run, json.loads((run / "metrics.json").read_text()))
    deepest = max(yaml.safe_load((run / "config.yaml").read_text())["topk"])
    popularity, ease = yardsticks(catalogue, 10, deepest)
    reg = re.match(r"regularisation ([\d.]+), the best on validation of 10, 100, 250", ease.how)
    for found, model, more in (
        (popularity, "Pop", {}),
        (ease, "EASE", {"reg_weight": float(reg[1])}),
    ):
        path = train(tmp_path / model, small, model=model, **more)
        table = pq.read_table(path / "per_user.parquet").to_pydict()
        for metric in ("ndcg@10", "hit@10", "ndcg@10/rare", "ndcg@10/popular"):
            theirs = dict(zip(table["user_id"], table[metric], strict=True))
            ours = dict(zip(found.users, found.columns[metric].tolist(), strict=True))
            assert ours.keys() == theirs.keys()
            for user, value in theirs.items():
                assert ours[user] == pytest.approx(
                    value if value is not None else math.nan, abs=1e-6, nan_ok=True
                ), (model, metric, user)


def test_the_regularisation_of_ease_is_the_best_on_validation(run):
    catalogue = read_catalogue(run, json.loads((run / "metrics.json").read_text()))
    split = _Split(catalogue, 10, 20)
    reached = {reg: split.validated(split.ease(reg).scores) for reg in (10.0, 100.0, 250.0, 1000.0)}
    how = yardsticks(catalogue, 10, 20)[1].how
    assert f"regularisation {max(reached, key=reached.get):g}," in how
    assert len(set(reached.values())) > 1
    without = replace(catalogue, part=np.where(catalogue.part == 1, 0, catalogue.part))
    how = yardsticks(without, 10, 20)[1].how
    assert how == "RecBole's default regularisation 250, not chosen for these data"


def metrics_of(**more):
    epochs = [0.10, 0.30, 0.20]
    history = [
        {
            **{"epoch": n, "loss": {"rank": 1.0 / (n + 1), "off": 0.0}},
            "valid": {"ndcg@10": value, "hit@10": 2 * value, "ndcg@20": value},
        }
        for n, value in enumerate(epochs)
    ]
    valid = {"ndcg@10": 0.40, "hit@10": 0.6, "ndcg@20": 0.3}
    return {
        **{"history": history, "best_epoch": 1, "valid": valid},
        **{"protocol": {"valid_metric": "NDCG@10"}, "blend": {"model": 1.0, "before": 0.3}},
        **more,
    }


def test_the_metrics_tell_what_a_blend_is_worth_out_of_bag():
    tested = metrics_of(test={"ndcg@10": 0.3})
    told = (
        "NDCG@10 on validation by weights of the blend that weren't chosen on the same users, as "
        "far from training as the test items are, is "
    )
    assert told not in metrics_table(tested).note
    found = metrics_table({**tested, "blend": {**tested["blend"], "out_of_bag": 0.37}}).note
    assert f"{told}0.3700 (out of bag)." in found


def test_the_curve_of_validation_and_the_table_agree():
    (picture,) = validation_pictures(metrics_of())
    assert "(NDCG@10 0.3000 without it, 0.4000 with it); these are the figures of the table" in (
        picture.caption
    )
    root = ET.fromstring(picture.content)
    names = ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"NDCG@10", "Hit@10"} <= {*names}  # of one k, beside their lines
    assert "NDCG@20" not in names
    # a diamond for each, at the tested epoch, above the line
    plain = {"ndcg@10": 0.30, "hit@10": 0.60, "ndcg@20": 0.30}
    (other,) = validation_pictures(metrics_of(valid=plain))
    assert "Diamonds" not in other.caption
    (without,) = validation_pictures({k: v for k, v in metrics_of().items() if k != "blend"})
    assert "Diamonds" not in without.caption
    assert picture.content.count(b"<use") > without.content.count(b"<use")


def test_terms_that_are_switched_off_have_no_plot():
    text, gallery = loss_panels(metrics_of())
    assert [one.name for one in gallery.pictures] == ["loss_rank.svg"]
    assert text.text.endswith("Switched off, and 0 throughout: off.")
    assert loss_panels(metrics_of(history=[])) == []
    only_off = [{"epoch": 0, "loss": {"off": 0.0}}]
    assert loss_panels(metrics_of(history=only_off)) == []


def test_several_runs_stand_side_by_side(run, tmp_path, tiny_encoder, cache_folder):
    given = {"cache_dir": cache_folder, "text_encoder": tiny_encoder, "embedding_size": 8}
    other = train(tmp_path, given, epochs=2, learning_rate=0.05)
    out = tmp_path / "side.html"
    other = other.rename(tmp_path / "other <b>")
    assert main(["report", f"--run={run},{other}", f"--out={out}"]) == 0
    text = out.read_text()
    found = figures(text)
    settings = {row[0]: row[1:] for row in rows_of(text, ">setting<")[1:]}
    assert settings["learning_rate"] == ["0.02", "0.05"]
    assert settings["epochs"] == ["3", "2"]
    assert "embedding_size" not in settings
    assert "run_dir" not in settings
    rows = rows_of(text, "difference to the first")
    assert [row[0] for row in rows[1:]] == ["run", "other &lt;b&gt;"]
    metric = [np.mean(pq.read_table(path / "per_user.parquet")["ndcg@10"]) for path in (run, other)]
    assert float(rows[2][2].split()[0]) == pytest.approx(metric[1] - metric[0], abs=1e-4)
    assert 0 <= float(rows[2][3]) <= 1
    lines = next(texts for what, texts in found.items() if what.startswith("NDCG@10 on valid"))
    assert {"run", "other <b>"} <= {*lines}
    assert any(what.startswith("Loss term cross of each run") for what in found)
    assert main(["report", f"--run={run},{other}"]) == 0
    assert (run / "runs.html").is_file()


def test_a_refusal_says_why(run):
    metrics = json.loads((run / "metrics.json").read_text())
    catalogue = read_catalogue(run, metrics)
    assert refusal(metrics, catalogue) is None
    assert "earlier version" in refusal(metrics, None)
    protocol = metrics["protocol"]
    for more, reason in (
        ({"cold_items": 0.1}, "held out of training"),
        ({"ranked_for": "each held-out interaction"}, "otherwise than once for each user"),
        ({"eval_args": {"mode": {"valid": "full", "test": "uni100"}}}, "a sample of the items"),
    ):
        assert reason in refusal({**metrics, "protocol": {**protocol, **more}}, catalogue)
    assert "nothing out to test on" in refusal({**metrics, "test": {}}, catalogue)
    many = replace(catalogue, items=pa.array(["i"] * 20_001))
    assert "EASE with 20,000 items would take too long" in refusal(metrics, many)


def test_runs_of_other_models(small, tmp_path, capsys):
    path = train(tmp_path, small, model="Pop", epochs=1)
    assert main(["report", f"--run={path}", f"--out={tmp_path / 'x.html'}"]) == 0
    text = (tmp_path / "x.html").read_text()
    check_structure(text)
    assert "Not computed. --run=" in text
    assert "By NDCG@10 that is the same as Popularity (" in text
    assert ">Data set</h2>" in text
    assert main(["report", f"--run={path}", "--geometry=False", "--baselines=False"]) == 0
    assert "measured beside it: --baselines=False." in (path / "report.html").read_text()
    assert "Geometry" not in (path / "report.html").read_text()
    # changed data don't change what was measured
    write_rows(tmp_path, "planted", [("u", "i", 1.0, 5, "x")])
    assert main(["report", f"--run={path}"]) == 0
    capsys.readouterr()
    (path / "metrics.json").unlink()
    assert main(["report", f"--run={path}"]) == 2
    assert "the run hasn't finished, it has no metrics.json" in capsys.readouterr().err
    assert main(["report", "--run=nowhere"]) == 2
    assert "--run=nowhere: there is no such folder" in capsys.readouterr().err
    assert main(["report", "--help"]) == 0


def test_pages_in_markdown_and_html():
    parts = [
        Heading("A <b> & |", 1),
        Picture("p.png", b"png", 'says "so"'),
        TextTable(["x", "y|z"], [[Entry("a_b"), Entry("1", "best")]]),
    ]
    text = as_markdown(parts)
    assert r"# A \<b> \& \|" in text
    assert '![says "so"](p.png)' in text
    assert r"| a\_b | **1** |" in text
    page = as_html(parts, "T")
    check_structure(page)
    assert 'alt="says &quot;so&quot;"' in page
    assert "<h1>A &lt;b&gt; &amp; |</h1>" in page
