"""The command line as a user types it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import hints_of, parse_pairs
from recbole_symcere.cli import _COMMANDS, main
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.config_patches import option_groups

ROOT = Path(__file__).parents[1]


def words(settings):
    return [f"--{key}={value}" for key, value in settings.items()]


def test_pairs_with_and_without_an_equals_sign():
    assert parse_pairs(["--a=1", "--b", "2", "--c=x=y", "--d=-3", "--e= ", "--f=~"]) == {
        "a": "1", "b": "2", "c": "x=y", "d": "-3", "e": " ", "f": "~",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--a"], "--a needs a value: --a=VALUE"),
        (["--a", "--b=1"], "--a needs a value"),
        (["--a=1", "b"], "'b' isn't understood"),
        (["-a=1"], "'-a=1' isn't understood"),
        (["--a=1", "--a=2"], "--a is given twice: '1' and '2'"),
        (["--b=1", "--a="], r"^--a is empty\. Write --a=VALUE, or leave it out\.$"),
        (["--a", "", "--b=1"], r"^--a is empty\. Write --a=VALUE, or leave it out\.$"),
    ],
)
def test_what_is_not_understood(given, message):
    with pytest.raises(InputError, match=message):
        parse_pairs(given)


def test_an_interrupted_search_says_how_to_go_on(small, monkeypatch, capsys):
    from recbole_symcere.tune import search

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "_run_trials", interrupted)
    tuned = ("--max_length", "--embedding_size", "--train_batch_size")  # or not read by BPR
    given = [word for word in words(small) if not word.startswith(tuned)]
    assert main(["tune", "--model=BPR", "--dataset=small", "--out=found", *given]) == 130
    said = capsys.readouterr().err
    assert said == "\ninterrupted; tune --resume=found goes on with the search\n"


@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda text: "\ufeff" + text, "begins with a byte order mark"),
        (lambda text: text.replace("timestamp:float", "when:float"), "no column 'timestamp'"),
        (lambda text: text.replace("item_id:token", "item_id"), "isn't of the form name:type"),
    ],
    ids=["mark", "column", "type"],
)
def test_a_broken_header_is_named(small, small_folder, tmp_path, capsys, model, harm, message):
    folder = shutil.copytree(small_folder, tmp_path / "harmed")
    file = folder / "small" / "small.inter"
    file.write_text(harm(file.read_text()))
    given = [f"--model={model}", "--dataset=small", *words(small | {"data_path": str(folder)})]
    assert main([word for word in given if model == "SymCERE" or "max_l" not in word]) == 2
    assert message in capsys.readouterr().err


def test_a_run_leaves_everything_in_its_folder(small, capsys):
    assert main(["--model=SymCERE", "--dataset", "small", "--run_dir=run", *words(small)]) == 0
    out = capsys.readouterr().out
    run = Path("run")
    assert {path.name for path in run.iterdir()} >= {
        "config.yaml", "metrics.json", "per_user.parquet", "run.log", "checkpoint", "tensorboard",
    }  # fmt: skip
    assert {path.name for path in (run / "checkpoint").iterdir()} == {
        "best.safetensors", "last.safetensors",
    }  # fmt: skip
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics) >= {
        "model", "dataset", "seed", "valid", "test", "best_epoch", "epochs_run", "seconds",
        "protocol", "versions", "data_fingerprint",
    }  # fmt: skip
    assert (metrics["model"], metrics["dataset"], metrics["seed"]) == ("SymCERE", "small", 2020)
    assert set(metrics["seconds"]) == {"prepare", "train", "evaluate"}
    assert metrics["epochs_run"] == len(metrics["history"]) == 2
    assert metrics["protocol"]["history_scope"] == "train"
    assert metrics["versions"]["recbole"] == "1.2.1"
    assert re.fullmatch(r"[0-9a-f]{64}", metrics["data_fingerprint"])
    assert len(pq.read_table(run / "per_user.parquet")) == 24
    # what a person sees
    assert "SymCERE on small: 24 users, 30 items, 192 interactions; seed 2020" in out
    assert out.count("small and SYNTHETIC") == 1
    assert f"test    {metrics['test']['ndcg@10']:7.4f}" in out
    assert out.count("epoch   ") == 2
    assert "\x1b" not in (run / "run.log").read_text()


def test_nothing_is_written_elsewhere(small, tmp_path):
    main(["--model=BPR", "--dataset=small", f"--data_path={small['data_path']}", "--epochs=1"])
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_runs_configuration_repeats_it(small):
    main(["--model=SymCERE", "--dataset=small", "--run_dir=a", "--alpha=0.3", *words(small)])
    assert yaml.safe_load(Path("a/config.yaml").read_text())["alpha"] == 0.3
    main(["--config_files=a/config.yaml", "--run_dir=b"])
    first, second = (json.loads(Path(run, "metrics.json").read_text()) for run in "ab")
    assert first["test"] == second["test"]


def test_convert_then_train(small, capsys):
    rows = [
        {
            "who": f"user {n % 7}",
            "what": f"item {(n * 5) % 11}",
            "when": 10 * n,
            "said": f"bafa {n}",
        }
        for n in range(70)
    ]
    Path("reviews.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n{cut")
    convert = ["convert", "generic", "--input=reviews.jsonl", "--name=mine", "--user_field=who"]
    convert += ["--item_field=what", "--time_field=when", "--text_field=said", "--max_bad=0.1"]
    assert main(convert) == 0
    out = capsys.readouterr().out
    assert "not valid JSON" in out
    del small["data_path"]
    train = ["--model=SymCERE", "--dataset=mine", *words(small)]
    assert main(train) == 2
    assert "topk is [10, 20], but mine has only 11 items" in capsys.readouterr().err
    assert main([*train, "--topk=[5,10]"]) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--model=SymCER", "--dataset=yelp"], "Did you mean 'SymCERE'"),
        (["--model=SymCERE", "--dataset=yelpp"], "There is no data set 'yelpp'"),
        (["--model=SymCERE", "--dataset=yelp", "--tempreture=1"], "Did you mean 'temperature'"),
        (["--model=SymCERE", "--dataset=yelp", "--temperature=0"], "must be more than 0"),
        (["--model=SymCERE", "--dataset=yelp", "--backbone=GCN"], "one of LightGCN, NGCF"),
        (["--model=SymCERE", "--dataset=yelp", "--metrics=[Foo]"], "no metric named 'Foo'"),
        (["--model=SymCERE", "--dataset=yelp", "--topk=0"], "topk must be a positive integer"),
        (["--model=SymCERE", "--dataset=yelp", "--epochs=many"],
         "epochs is 'many', but it must be"),
        (["--model=SymCERE", "--dataset=yelp", "--learning_rate=0"], "learning_rate is 0.0, but"),
        (["--model=SymCERE", "--dataset=yelp", "--topk=[20]"], "valid_metric is 'NDCG@10'"),
        (["--model=SymCERE", "--dataset=yelp", "--topk=[10.5]"], "topk is [10.5]"),
        (["--model=SymCERE", "--dataset=yelp", "--metrics=[]"], "metrics"),
        (["--model=SymCERE", "--dataset=yelp", "--state=foo"], "state is 'foo', but it must be"),
        (["--model=SymCERE", "--dataset=yelp", "--rm_dup_inter=foo"], "rm_dup_inter is 'foo'"),
        (["--model=SymCERE", "--dataset=yelp", "--load_col=abc"], "load_col is 'abc'"),
        (["--model=BPR", "--dataset=yelp", "--eval_args={order: XX}"],
         "eval_args's order is 'XX', but it must be one of TO, RO"),
        (["--model=SymCERE", "--dataset=yelp", "--run_dir=/proc"], "/proc can't be written"),
        (["--model=SymCERE", "--dataset=yelp", "--config_files=none.yaml"], "none.yaml"),
        (["--model=SymCERE", "--dataset=yelp", "--text_encoder=./nowhere"], "there is no such"),
        (["--model=SymCERE", "--dataset=yelp", "--user_inter_num_interval=[500,inf)"],
         "no interaction is left"),
        (["--model=SymCERE", "--dataset=../yelp"], "must be the name of a folder"),
        (["--model=SymCERE", "--dataset=yelp", "--encoding=foo"], "encoding is 'foo'"),
        (["--model=SymCERE", "--dataset=yelp", "--use_gpu=maybe"], "use_gpu is 'maybe'"),
        (["--model=SymCERE", "--dataset=yelp", "--user_inter_num_interval=abc"],
         "expected an interval such as [5,inf)"),
        (["--model=BPR", "--dataset=yelp", "--train_neg_sample_args=None"], "can't be none"),
        (["--model=BPR", "--dataset=yelp", "--log_wandb=True"], "pip install wandb"),
        (["--model=SymCERE"], "No dataset is given"),
        (["--resume=nowhere"], "--resume=nowhere: there is no such folder"),
        (["--model=SymCERE", "--dataset=yelp", "--epochs"], "--epochs needs a value"),
        (["--model=SymCERE", "--dataset=yelp", "--config_file=a.yaml"],
         "Unknown key 'config_file'. Did you mean 'config_files'?"),
        (["tune", "--model=BPR", "--dataset=yelp", "--num_sample=3"],
         "Unknown key 'num_sample'. Did you mean 'num_samples'?"),
        (["tune", "--model=BPR", "--dataset=yelp", "--schedular=asha"], "Did you mean 'scheduler'"),
        (["tune", "--model=BPR", "--dataset=yelp", "--lerning_rate=1"],
         "Did you mean 'learning_rate'"),
        (["compare", "--models=BPR", "--datasets=yelp", "--seeds=0,1", "--out=o", "--job=2"],
         "Unknown key 'job'. Did you mean 'jobs'?"),
        (["audit", "--dataset=yelp", "--modle=SymCERE"], "Did you mean 'model'"),
        (["report", "--run=x", "--geometri=False"], "report has no option --geometri. Did you"),
        (["explain", "lime", "--run=x", "--n_sample=5"], "Did you mean 'n_samples'"),
        (["trian"], "no command 'trian'"),
        (["audit", "--dataset=nothing"], "no data set 'nothing'"),
    ],
    ids=str,
)  # fmt: skip
def test_a_mistake_gets_one_line_and_status_2(given, message, capsys):
    assert main(given) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err


def test_a_folder_that_holds_a_run_is_kept(small, capsys):
    run = ["--model=SymCERE", "--dataset=small", "--run_dir=run", *words(small)]
    assert main(run) == 0
    before = Path("run/metrics.json").read_bytes()
    assert main(run) == 2
    assert "run holds a run already. Go on with it by --resume=run" in capsys.readouterr().err
    assert Path("run/metrics.json").read_bytes() == before


def test_a_failed_first_try_does_not_keep_the_folder(small, capsys):
    run = ["--model=SymCERE", "--dataset=small", "--run_dir=run", *words(small)]
    wrong = [word for word in run if "text_encoder" not in word]
    assert main([*wrong, "--text_encoder=./nowhere"]) == 2
    assert "there is no such" in capsys.readouterr().err
    assert main(run) == 0


def test_a_data_set_named_like_a_number(small, tmp_path):
    from small_data import write_small

    write_small(tmp_path / "d", "123")
    settings = {**small, "data_path": str(tmp_path / "d"), "run_dir": "2024"}
    assert main(["--model=SymCERE", "--dataset=123", *words(settings)]) == 0
    assert main(["--resume=2024"]) == 0


def test_a_checkpoint_and_data_that_changed(small, tmp_path):
    from small_data import write_small

    from recbole_symcere.run.quick_start import load_data_and_model

    write_small(tmp_path / "d")
    settings = {**small, "data_path": str(tmp_path / "d"), "run_dir": "run"}
    assert main(["--model=BPR", "--dataset=small", *words(settings)]) == 0
    write_small(tmp_path / "d", seed=1)
    with pytest.raises(InputError, match=r"small in .* has changed since"):
        load_data_and_model("run")


def test_a_planted_pickle_is_not_read(small, capsys):
    run = ["--model=SymCERE", "--dataset=small", "--run_dir=run", *words(small)]
    assert main(run) == 0
    Path("run/checkpoint/small-ReviewDataset.pth").write_bytes(b"anything")
    assert main(["--resume=run"]) == 2
    assert "RecBole would unpickle it" in capsys.readouterr().err


def test_help_and_version(capsys):
    assert main(["--help"]) == main([]) == main(["--version"]) == 0
    out = capsys.readouterr().out
    assert "--model=SymCERE --dataset=yelp" in out
    assert re.search(r"recbole_symcere \d+\.\d+\.\d+", out)


@pytest.mark.parametrize("command", [*_COMMANDS, "explain lime", "convert stats", "convert yelp"])
def test_every_command_tells_its_options(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(command) or command in {"explain lime", "convert yelp"}
    assert max(map(len, out.splitlines())) <= 100
    assert len(re.findall(r"(?m)^  --\w+", out)) >= (0 if command == "convert" else 2)


def test_a_model_tells_its_settings_with_the_defaults_in_force(small, capsys):
    assert main(["--model=SymCEREPlus", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    config = Config("SymCEREPlus", "small", config_dict=small)
    for key, group in ((k, g) for g in option_groups(config.model_class) for k in hints_of(g)):
        assert f"--{key} " in told, group
    assert "weight of L_intra, eq. 13 (default: 0.0)" in told  # SymCERE's is 0.5
    assert "--learning_rate of the optimizer; more than 0 (default: 0.005)" in told
    assert main(["--model=LightGCN", "--help"]) == 0
    assert "n_layers: 2" in capsys.readouterr().out
    for model in ("Pop", "Random"):  # a file without settings, and none
        assert main([f"--model={model}", "--help"]) == 0
        assert f"{model} is RecBole's; it has no settings beside" in capsys.readouterr().out
    assert main(["--model=XGBoost", "--help"]) == 2
    assert "labels given pairs" in capsys.readouterr().err
    assert main(["--model=LightGNC", "--help"]) == 2
    assert "Did you mean 'LightGCN'" in capsys.readouterr().err


def test_lists_may_be_written_with_commas(small, capsys):
    Path("a.yaml").write_text("epochs: 1\n")
    Path("with, comma.yaml").write_text("topk: [5]\n")
    given = [word for word in words(small) if not word.startswith("--epochs")]
    files = '--config_files=a.yaml,"with, comma.yaml"'
    run = ["--model=SymCERE", "--dataset=small", "--run_dir=run", "--metrics=NDCG,Hit", files]
    assert main([*run, "--valid_metric=NDCG@5", *given]) == 0
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (config["metrics"], config["topk"], config["epochs"]) == (["NDCG", "Hit"], [5], 1)


HEAVY = (
    *("torch", "recbole", "transformers", "numpy", "scipy", "pandas", "polars", "pyarrow"),
    *("matplotlib", "ray", "sklearn"),
)
# what a person waits for most often: help, and a mistake that is told
QUICK = (
    *("", "--version", "--help", "convrt"),
    *(f"{name} --help" for name in _COMMANDS),
    *("convert yelp --help", "convert stats --help", "convert attach --help"),
    *("explain", "explain lime --help", "explain anchr", "convert ylp"),
    *("--model=LightGCN --help", "--model=SymCRE --dataset=yelp"),
    *("--model=SymCERE --dataset=yelpp", "--model=SymCERE --dataset=yelp --lerning_rate=1"),
    *("tune --model=BPR --dataset=yelp --num_sampels=1", "audit --dataset=yelpp"),
    *("compare --models=BPRR --datasets=yelp --seeds=0 --out=nowhere", "encode --dataset=yelpp"),
    *("recommend --run=nowhere", "similar --run=nowhere --item=x", "serve --run=nowhere"),
    *("export --run=nowhere --out=x", "refit --run=nowhere", "report --run=nowhere"),
    *("explain lime --run=nowhere", "--resume=nowhere", "doctor --selftest=False"),
)


def test_help_and_mistakes_load_nothing_heavy():
    script = f"""
import sys
import recbole_symcere
assert not {{*{HEAVY!r}}} & set(sys.modules)
from recbole_symcere.cli import main
for words in {QUICK!r}:
    status = main(words.split())
    heavy = sorted({{*{HEAVY!r}}} & set(sys.modules))
    assert not heavy, (words, heavy)
    print(status, words, file=sys.stderr)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment, stdout=-3, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    ended = dict(re.findall(r"(?m)^(\d) (.*)$", done.stderr)[i][::-1] for i in range(len(QUICK)))
    assert ended == {words: "0" if told(words) else "2" for words in QUICK}


def told(words):
    """Whether it is no mistake."""
    return words in {"", "--version", "explain"} or words.endswith("--help")


def test_two_processes_do_not_share_a_run(small, capsys):
    from recbole_symcere.run.run_directory import RunDirectory

    run = ["--model=SymCERE", "--dataset=small", "--run_dir=run", *words(small)]
    assert main(run) == 0
    with RunDirectory(Path("run")).locked():
        assert main(["--resume=run"]) == 2
    assert "Another process works in" in capsys.readouterr().err
