"""The command encode: what a run would encode, found by it."""

import sys

import pytest

from recbole_symcere.cli import main
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, read_dataset, split_data
from recbole_symcere.run.ray_cluster import reason_of
from recbole_symcere.text import vectors as cache


def words(small, **changes):
    return [f"--{key}={value}" for key, value in {"dataset": "small", **small, **changes}.items()]


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("SymCERE", {}),
        ("SymCERE", {"text_level": "item", "masked_views": 2}),
        ("SymCEREPlus", {"alpha": 0.2}),
        ("AlphaRec", {}),
        ("CollabContext", {"text_mode": "frozen"}),
    ],
)
def test_a_run_encodes_nothing_after_it(small, tmp_path, monkeypatch, capsys, model, settings):
    small = {**small, **settings, "cache_dir": str(tmp_path / "cache")}
    assert main(["encode", f"--model={model}", *words(small)]) == 0
    first = capsys.readouterr().out.splitlines()
    assert " texts: 0 there already, " in first[0]
    assert "tokens/s" in first[0]
    assert first[-2].endswith(f"MB of vectors are kept in {tmp_path}/cache/vectors")
    assert f"--model={model} --dataset=small" in first[-1]
    files = sorted((tmp_path / "cache" / "vectors").iterdir())
    monkeypatch.setattr(cache, "encode_plan", None)  # calling it would fail
    config = Config(model, "small", config_dict=small)
    train_data, _, _ = split_data(config, read_dataset(config))
    build_model(config, train_data)
    assert main(["encode", f"--model={model}", *words(small)]) == 0
    assert "texts: there already" in capsys.readouterr().out
    assert sorted((tmp_path / "cache" / "vectors").iterdir()) == files


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--model=LightGCN"], "LightGCN reads no texts, so there is nothing to encode."),
        (["--text_mode=lora"], "it trains the text encoder. Give --text_mode=frozen, to the run"),
        (["--workers=2"], "workers are those of a Ray cluster; name it with --ray_address"),
        (["--ray_address=host"], "ray_address is 'host'; expected auto or host:port."),
        (["--ray_address=127.0.0.1:9"], "There is no Ray cluster at 127.0.0.1:9 ("),
        (["--ray_adress=auto"], "Unknown key 'ray_adress'. Did you mean 'ray_address'?"),
    ],
)
def test_a_mistake_gets_one_line(small, capsys, given, message):
    if "ray_address" in given[0]:
        pytest.importorskip("ray")
    assert main(["encode", *words(small), *given]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_without_ray_one_line_says_how_to_install_it(small, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["encode", *words(small), "--ray_address=auto"]) == 2
    assert capsys.readouterr().err == "error: This needs Ray: pip install 'ray[tune]'.\n"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("The actor died.\nIts node has died.", "Its node has died"),
        ("killed\nlow on memory ... at the time of OOM (check ...)", "a node ran out of memory"),
        ("x\nThe actor never ran - it was cancelled", "set RAY_AUTH_MODE=disabled"),
        ("", "RuntimeError"),
    ],
)
def test_why_a_worker_was_lost_is_told_in_a_few_words(told, reason):
    assert reason in reason_of(RuntimeError(told))
    assert "\n" not in reason_of(RuntimeError(told))
