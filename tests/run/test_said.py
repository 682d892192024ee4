"""What a run says: counts that agree with what is encoded, epochs counted one way, one document."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from small_data import small_rows, write_rows

from benchmarks.silence import listen
from recbole_symcere.cli import main
from recbole_symcere.run.log_lines import EpochLines
from recbole_symcere.text import encode

ROOT = Path(__file__).parents[2]


def words(settings):
    return [f"--{key}={value}" for key, value in settings.items()]


def test_the_document_is_what_metrics_json_holds(small, capsys):
    run = ["--model=BPR", "--dataset=small", "--run_dir=run", f"--data_path={small['data_path']}"]
    assert main([*run, "--epochs=2", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["metrics"] == json.loads(Path("run/metrics.json").read_text())
    assert told["notice"] == "small and SYNTHETIC"
    assert said.err.count("SYNTHETIC") == 1
    assert Path(told["run_dir"]) == Path("run").absolute()
    assert "epoch   1  loss" in said.err
    assert main(["recommend", "--run=run", "--k=2", "--users=u1,u2", "--json", "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    lists = json.loads(said.out)["lists"]
    assert [(row["user_id"], row["rank"]) for row in lists] == [
        ("u1", 1), ("u1", 2), ("u2", 1), ("u2", 2),
    ]  # fmt: skip
    assert main(["similar", "--run=run", "--item=i1", "--k=2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["rank"] for row in told["by_vectors"]] == [1, 2]
    assert main(["report", "--run=run", "--geometry=False", "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out)["page"]).is_file()
    assert main(["refit", "--run=run", "--json", "--quiet"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["metrics"] == json.loads(Path("run-refit/metrics.json").read_text())


def test_quiet_leaves_the_result_and_what_makes_it_doubtful(small, capsys):
    given = words({**small, "masked_views": 3, "alpha": 0})
    assert main(["--model=SymCERE", "--dataset=small", "--run_dir=run", "--quiet", *given]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("\n        NDCG@10")
    assert "epoch   0" not in said.out
    assert "everything is in run" in said.out
    assert said.err == (
        "small and SYNTHETIC\n"
        "masked_views: without effect, because no loss reads masked copies (alpha is 0).\n"
    )


@pytest.fixture
def repeated(tmp_path):
    """A data_path where texts stand many times, and some are empty or white space."""
    rows = [
        (u, i, r, t, text if n % 3 else ["the same text", "", " "][n // 3 % 3])
        for n, (u, i, r, t, text) in enumerate(small_rows())
    ]
    write_rows(tmp_path / "data", "repeated", rows)
    return tmp_path / "data"


def test_the_counts_are_of_what_is_encoded(small, repeated, capsys, monkeypatch):
    seen, lengths = [], []
    vectors_of = encode.Work.advance

    def counted(self, n=1, weight=None):
        if self.label == "encoding":
            seen.append((self.unit, self.total, n))
        vectors_of(self, n, weight)

    monkeypatch.setattr(encode.Work, "advance", counted)
    given = small | {"data_path": str(repeated), "cache_dir": "cache", "epochs": 1}
    run = ["--model=SymCERE", "--dataset=repeated", *words(given)]
    assert main([*run, "--run_dir=a"]) == 0
    out = capsys.readouterr().out
    data = json.loads(Path("a/metrics.json").read_text())
    distinct, empty = (data["protocol"][f"{name}_texts"] for name in ("distinct", "empty"))
    assert empty == 2
    told = re.search(r"(\d+) distinct training reviews, (\d+) empty", out)
    assert (int(told[1]), int(told[2])) == (distinct, empty)
    for unit in ("texts", "masked copies"):
        told = re.search(rf"  (\d+) {unit}: 0 there already, (\d+) encoded in", out)
        of_unit = [(total, n) for name, total, n in seen if name == unit]
        assert {total for total, _ in of_unit} == {int(told[1])}
        assert sum(n for _, n in of_unit) == int(told[1]) == int(told[2])
        lengths.append(int(told[1]))
    assert lengths[0] == distinct - empty
    seen.clear()
    assert main([*run, "--run_dir=b"]) == 0
    out = capsys.readouterr().out
    assert f"  {lengths[0]} texts: there already" in out
    assert f"  {lengths[1]} masked copies: there already" in out
    assert not seen


def test_epochs_are_counted_from_0_everywhere(small, capsys):
    given = ["--model=BPR", "--dataset=small", f"--data_path={small['data_path']}"]
    assert main([*given, "--run_dir=run", "--epochs=3"]) == 0
    out = capsys.readouterr().out
    metrics = json.loads(Path("run/metrics.json").read_text())
    numbers = [epoch["epoch"] for epoch in metrics["history"]]
    assert numbers == [0, 1, 2]
    log = Path("run/run.log").read_text()
    assert [int(n) for n in re.findall(r"^epoch +(\d+)  loss", out, re.M)] == numbers
    assert [int(n) for n in re.findall(r"epoch (\d+) training", log)] == numbers
    stars = [int(n) for n in re.findall(r"^epoch +(\d+) .*\*", out, re.M)]
    assert stars[-1] == metrics["best_epoch"]
    assert out.count("epochs are counted from 0; * is the best one on validation so far\n") == 1
    assert f"best epoch {metrics['best_epoch']} of 0 to 2\n" in out
    assert f"best.safetensors  the weights of epoch {metrics['best_epoch']}\n" in out
    assert main(["--resume=run", "--epochs=4"]) == 0
    out = capsys.readouterr().out
    assert "going on after epoch 2\n" in out
    assert "\nepoch   3  loss" in out


def test_with_show_progress_the_epochs_stand_in_the_log_alone(small, capsys):
    given = ["--model=BPR", "--dataset=small", f"--data_path={small['data_path']}"]
    assert main([*given, "--run_dir=run", "--epochs=2", "--show_progress=True"]) == 0
    assert "epoch   1" not in capsys.readouterr().out
    assert "epoch   1" in Path("run/run.log").read_text()


def test_one_epoch_has_nothing_to_explain():
    said = []
    config = {"epochs": 1, "valid_metric": "NDCG@10"}
    line = {"epoch": 0, "loss": {"a": 1.0}, "seconds": 1.0, "valid": {"ndcg@10": 0.5}}
    EpochLines(config, said.append)(line, True)
    assert said == ["epoch   0  loss 1.0000  valid NDCG@10 0.5000 *  1.00 s"]


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [None, (80, 24)], ids=["pipe", "terminal"])
def test_a_command_says_something_at_once_and_is_never_silent(small, terminal):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    run = ["--model=SymCERE", "--dataset=small", "--run_dir=run", *words(small)]
    few = ["--n=20", "--n_control=10", "--n_gradients=5", "--bootstrap=100"]
    for command in (
        run,
        ["recommend", "--run=run", "--users=u1"],
        ["explain", "anchor", "--run=run", *few],
        ["refit", "--run=run"],
        ["export", "--run=run", "--out=export"],
        ["convert", "synthetic", "--name=made", "--output_dir=data"],
    ):
        started = [sys.executable, str(ROOT / "run_recbole_symcere.py"), *command]
        heard = listen(started, terminal, env)
        assert heard.status == 0, heard.out
        assert heard.said[0][1].startswith(b"recbole_symcere "), command
        assert heard.first < 2, command  # on a machine that does nothing else it is under 1
        assert heard.pause < 5, command
        if not terminal:
            assert not {"\r", "\x1b"} & {*heard.out, *heard.err}
