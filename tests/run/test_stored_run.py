"""A run's folder that was damaged, edited, mixed up or moved: never another result."""

import contextlib
import json
import random
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from run.test_trainer import killing, same

from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.quick_start import load_data_and_model, resume, run_recbole
from recbole_symcere.run.run_directory import RunDirectory
from recbole_symcere.run.trainer import ReviewTrainer

MODELS = [
    ("SymCERE", {}),
    ("SymCERE", {"text_mode": "lora"}),
    ("SymCEREPlus", {"lexical_size": 8}),
    ("CollabContext", {"first_phase_epochs": 2}),
    ("LightGCN", {}),
]


def killed_run(monkeypatch, model, settings, after, folder="broken"):
    """A run that was killed when it had finished epoch ``after``."""
    with killing(monkeypatch, after):
        run_recbole(model, "small", config_dict={**settings, "run_dir": folder})
    return Path(folder)


def flip(path, place=0.9):
    """Turn one bit of a file."""
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_folder, tiny_encoder, cache_folder):
    """A finished run of LightGCN, to be copied."""
    from small_data import small_settings

    folder = tmp_path_factory.mktemp("finished")
    settings = small_settings(small_folder, tiny_encoder, cache_folder, folder)
    settings |= {"epochs": 3, "run_dir": str(folder / "run"), "learning_rate": 0.2}
    run_recbole("LightGCN", "small", config_dict=settings)
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics["best_epoch"] < 2  # its weights are in no other file
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        *(pytest.param(*one, marks=pytest.mark.slow) for one in MODELS[1:2] + MODELS[4:]),
        *(MODELS[:1] + MODELS[2:4]),
    ],
    ids=str,
)
def test_without_its_last_checkpoint_a_run_goes_on_from_its_best(
    small, monkeypatch, caplog, model, extra
):
    settings = {**small, "epochs": 6, "learning_rate": 0.01, "stopping_step": 100, **extra}
    run_recbole(model, "small", config_dict={**settings, "run_dir": "unbroken"})
    broken = killed_run(monkeypatch, model, settings, after=3)
    flip(broken / "checkpoint" / "last.safetensors")
    best = checkpoint.load(broken / "checkpoint" / "best.safetensors")["epoch"]
    resume(broken)
    assert "last.safetensors can't be read as a checkpoint" in caplog.text
    assert f"goes on from best.safetensors, after epoch {best}" in caplog.text
    assert same(Path("unbroken"), broken)


def test_a_blend_that_was_chosen_is_chosen_again(small, caplog):
    settings = {**small, "epochs": 4, "learning_rate": 0.01, "lexical_size": 8}
    settings |= {"stopping_step": 100, "eval_step": 1}
    for name in ("unbroken", "broken"):
        run_recbole("SymCEREPlus", "small", config_dict={**settings, "run_dir": name})
    Path("broken/checkpoint/last.safetensors").unlink()
    resume("broken")
    assert same(Path("unbroken"), Path("broken"))
    told = [json.loads(Path(name, "metrics.json").read_text()) for name in ("unbroken", "broken")]
    assert len({told[n]["blend"]["before"] for n in (0, 1)}) == 1


def test_a_damaged_best_checkpoint_is_never_tested(run):
    before = json.loads((run / "metrics.json").read_text())
    flip(run / "checkpoint" / "best.safetensors")
    message = rf"best\.safetensors can't be read .* of epoch {before['best_epoch']}, are nowhere"
    with pytest.raises(InputError, match=message):
        resume(run)
    assert json.loads((run / "metrics.json").read_text()) == before
    with pytest.raises(InputError, match=r"best\.safetensors can't be read"):
        load_data_and_model(run)


def test_a_damaged_best_checkpoint_is_written_anew_from_the_last(small, monkeypatch, caplog):
    settings = {**small, "epochs": 3, "learning_rate": 0.01, "stopping_step": 100}
    run_recbole("SymCERE", "small", config_dict={**settings, "run_dir": "unbroken"})
    broken = killed_run(monkeypatch, "SymCERE", settings, after=0)  # the first epoch is the best
    flip(broken / "checkpoint" / "best.safetensors")
    resume(broken)
    assert "It is written anew: the last epoch is the best one" in caplog.text
    assert same(Path("unbroken"), broken)


def test_both_checkpoints_damaged(run):
    for name in ("last", "best"):
        flip(run / "checkpoint" / f"{name}.safetensors")
    with pytest.raises(InputError, match=r"can't go on from best\.safetensors either"):
        resume(run)


def test_no_mutation_of_a_checkpoint_loads(run):
    path, rng = run / "checkpoint" / "best.safetensors", random.Random(0)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for n in range(120):
        content = bytearray(whole)
        place = rng.randrange(header if n % 2 else len(whole))
        if n % 3 == 0:
            content[place] ^= 1 << rng.randrange(8)
        elif n % 3 == 1:
            content = content[:place]
        else:
            content[place:place] = rng.randbytes(1 + n % 9)
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"best\.safetensors"):
            checkpoint.load(path)


def without_checksum(path):
    """Rewrite a checkpoint as the version before wrote it."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # no dict
        metadata = file.metadata()
    tree = json.loads(metadata["state"])
    new = {"settings", "protocol", "vectors"}
    tree["items"] = [item for item in tree["items"] if item[0] not in new]
    if path.name == "best.safetensors":
        tree["items"] = [item for item in tree["items"] if item[0] != "rng"]
    metadata = {"format": "recbole_symcere.checkpoint.1", "state": json.dumps(tree)}
    tensors = {k: v for k, v in tensors.items() if not k.startswith("state.vectors")}
    save_file(tensors, path, metadata=metadata)


def test_checkpoints_of_the_version_before_load_and_say_that_they_have_no_checksum(
    small, monkeypatch, caplog
):
    settings = {**small, "epochs": 4, "learning_rate": 0.01, "stopping_step": 100}
    run_recbole("SymCERE", "small", config_dict={**settings, "run_dir": "unbroken"})
    broken = killed_run(monkeypatch, "SymCERE", settings, after=1)
    for name in ("last", "best"):
        without_checksum(broken / "checkpoint" / f"{name}.safetensors")
    load_data_and_model(broken)
    load_data_and_model(broken)
    resume(broken)
    said = re.findall(r"(\w+)\.safetensors was written by an earlier version", caplog.text)
    assert sorted(said) == ["best", "last"]
    assert same(Path("unbroken"), broken)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_a_damaged_checkpoint_of_the_version_before_is_no_traceback(run, seed):
    path, rng = run / "checkpoint" / "best.safetensors", random.Random(seed)
    without_checksum(path)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(80):
        content = bytearray(whole)
        content[rng.randrange(header)] = rng.randrange(256)
        path.write_bytes(content)
        with contextlib.suppress(InputError):  # anything else fails the test
            load_data_and_model(run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", b"{", r"metrics\.json is damaged: Expecting"),
        ("metrics.json", b"\xff\xfe", r"metrics\.json is damaged"),
        ("metrics.json", b"[]", r"metrics\.json is damaged: model is missing"),
        ("config.yaml", b"\xff\xfe\x00", r"config\.yaml isn't valid YAML"),
        ("config.yaml", b"a: [", r"config\.yaml isn't valid YAML"),
        ("config.yaml", b"- 1", r"config\.yaml holds no settings of a run: model, dataset"),
        ("config.yaml", b"model: 3", r"config\.yaml holds no settings of a run: model, dataset"),
    ],
)
@pytest.mark.parametrize("command", ["report", "explain geometry", "resume"])
def test_a_damaged_text_file_is_named(run, capsys, name, content, message, command):
    if (name, command) == ("metrics.json", "resume"):
        pytest.skip("it is written anew")
    (run / name).write_bytes(content)
    words = ["--resume=run"] if command == "resume" else [*command.split(), "--run=run"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.count("\n") == 1


def test_another_digit_in_metrics_json_is_seen(run, capsys):
    text = (run / "metrics.json").read_text()
    metrics = json.loads(text)
    metrics["test"]["ndcg@10"] += 0.001
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert main(["report", "--run=run"]) == 2
    assert "its content isn't what its checksum says" in capsys.readouterr().err
    (run / "metrics.json").write_text(text.replace('"checksum"', '"chgcksum"'))  # one bit
    assert main(["report", "--run=run"]) == 2
    assert "holds a checksum" in capsys.readouterr().err
    (run / "metrics.json").write_text(json.dumps(json.loads(text)))  # another layout does no harm
    assert main(["report", "--run=run"]) == 0


def test_damaged_results_are_in_no_table(run):
    from recbole_symcere.compare.table import metrics_of

    folder = RunDirectory(run)
    assert len(folder.read_per_user("ndcg@10")) == 24
    flip(run / "per_user.parquet", 0.3)
    with pytest.raises(InputError, match=r"per_user\.parquet can't be read: it isn't the file"):
        folder.read_per_user("ndcg@10")
    flip(run / "metrics.json", 0.5)
    with pytest.raises(InputError, match=r"metrics\.json is damaged"):
        metrics_of(run)
    (run / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"has lost its metrics\.json"):
        metrics_of(run)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff" * 64, "is damaged: it holds"), (b"", "is damaged"), (b"0" * 64, "tells other data")],
)
def test_a_damaged_fingerprint_is_named(run, content, message):
    (run / "data_fingerprint").write_bytes(content)
    with pytest.raises(InputError, match=f"data_fingerprint {message}"):
        resume(run)


# --- edited or mixed up --------------------------------------------------------------------------


def edit(run, **changes):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**settings, **changes}))


def test_settings_that_were_edited_are_shown_with_both_values(run):
    edit(run, seed=7, learning_rate=0.5, embedding_size=8)
    with pytest.raises(InputError) as error:
        resume(run)
    for told in (
        "seed is 7 in config.yaml, 2020 in the checkpoint",
        "learning_rate is 0.5 in config.yaml, 0.2 in the checkpoint",
        "embedding_size is 8 in config.yaml, 16 in the checkpoint",
    ):
        assert told in str(error.value)
    for show in (load_data_and_model, lambda path: main(["report", f"--run={path}"])):
        if show is load_data_and_model:
            with pytest.raises(InputError, match="seed is 7"):
                show(run)
        else:
            assert show(run) == 2


def test_a_setting_that_was_taken_out_counts_as_its_default(run):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    del settings["learning_rate"], settings["seed"]
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    message = r"learning_rate is 0\.001 in config\.yaml, 0\.2 in the checkpoint\. If"
    with pytest.raises(InputError, match=message):
        resume(run)


def test_a_setting_that_one_version_lacks_is_no_difference(run):
    load_data_and_model(run)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("cold_items: 0\n", ""))
    resume(run)


def test_what_may_change_and_where_things_lie_may_be_edited(run, cache_folder):
    edit(run, epochs=4, stopping_step=99, show_progress=False, state="WARNING", runs_dir="x")
    assert resume(run)["run_dir"] == str(run)
    assert json.loads((run / "metrics.json").read_text())["epochs_run"] == 4


def test_settings_of_the_version_before_are_compared_as_far_as_it_stored_them(run):
    without_checksum(run / "checkpoint" / "last.safetensors")
    edit(run, embedding_size=8)
    with pytest.raises(InputError, match=r"embedding_size is 8 in config\.yaml, 16 in the"):
        resume(run)


def test_weights_that_do_not_fit_are_no_traceback(run, monkeypatch):
    edit(run, embedding_size=8)
    monkeypatch.setattr("recbole_symcere.run.quick_start.check_settings", lambda *_: None)
    with pytest.raises(InputError, match=r"weights of the checkpoint don't fit LightGCN.*size mis"):
        resume(run)


def test_a_checkpoint_of_another_run_is_refused(run, small):
    settings = {**small, "epochs": 3, "learning_rate": 0.2}
    run_recbole("LightGCN", "small", config_dict={**settings, "seed": 9, "run_dir": "other"})
    for name in ("best", "last"):
        kept = (run / "checkpoint" / f"{name}.safetensors").read_bytes()
        shutil.copy(f"other/checkpoint/{name}.safetensors", run / "checkpoint")
        with pytest.raises(InputError, match=r"seed is 2020 in config\.yaml, 9 in the checkpoint"):
            resume(run)
        (run / "checkpoint" / f"{name}.safetensors").write_bytes(kept)
    shutil.copy("other/checkpoint/best.safetensors", run / "checkpoint")
    with pytest.raises(InputError, match=r"seed is 2020 in config\.yaml, 9"):
        load_data_and_model(run)


def test_a_checkpoint_of_another_model_is_refused(run, small):
    run_recbole("BPR", "small", config_dict={**small, "run_dir": "other"})
    shutil.copy("other/checkpoint/best.safetensors", run / "checkpoint")
    with pytest.raises(InputError, match=r'model is "LightGCN" in config\.yaml, "BPR" in the'):
        load_data_and_model(run)


def test_a_checkpoint_of_another_epoch_is_refused(run):
    last, best = (run / "checkpoint" / f"{name}.safetensors" for name in ("last", "best"))
    shutil.copy(last, best)
    with pytest.raises(InputError, match=r"best\.safetensors is of epoch 2, but the best epoch"):
        resume(run)
    with pytest.raises(InputError, match=r"best\.safetensors isn't the one that metrics\.json"):
        load_data_and_model(run)


def test_best_in_the_place_of_last_trains_on_from_it(run):
    before = (run / "metrics.json").read_text()
    shutil.copy(run / "checkpoint" / "best.safetensors", run / "checkpoint" / "last.safetensors")
    resume(run)
    after = json.loads((run / "metrics.json").read_text())
    assert after["test"] == json.loads(before)["test"]


# --- moved ---------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, small, small_folder, tiny_encoder):
    """Settings of a run in a project folder of its own, with data, cache and encoder in it."""
    root = tmp_path / "project"
    shutil.copytree(small_folder, root / "dataset_atomic")
    shutil.copytree(tiny_encoder, root / "encoders" / "bert")
    return root, {
        **small,
        "data_path": str(root / "dataset_atomic"),
        "cache_dir": str(root / "runs" / "cache"),
        "text_encoder": str(root / "encoders" / "bert"),
        "runs_dir": str(root / "runs"),
        "run_dir": str(root / "runs" / "one"),
        "epochs": 4,
        "learning_rate": 0.01,
        "stopping_step": 100,
    }


def scores(run, **places):
    config, model, _, train, _, test = load_data_and_model(run, **places)
    trainer = ReviewTrainer(config, model)
    trainer.eval_collector.data_collect(train)
    return trainer.evaluate(test, load_best_model=False)


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        ("SymCERE", {}),
        pytest.param("SymCERE", {"text_mode": "lora"}, marks=pytest.mark.slow),
        pytest.param("AlphaRec", {}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_project_that_moved_goes_on(project, tmp_path, monkeypatch, model, extra):
    root, settings = project
    unbroken = {**settings, **extra, "run_dir": str(tmp_path / "unbroken")}
    run_recbole(model, "small", config_dict=unbroken)
    killed_run(monkeypatch, model, {**settings, **extra}, 1, root / "runs" / "one")
    moved = tmp_path / "elsewhere" / "deeper" / "again"
    moved.parent.mkdir(parents=True)
    root.rename(moved)
    resume(moved / "runs" / "one")
    assert same(tmp_path / "unbroken", moved / "runs" / "one")
    told = yaml.safe_load((moved / "runs" / "one" / "config.yaml").read_text())
    assert told["data_path"] == str(moved / "dataset_atomic")
    # and once more, finished
    moved.rename(root)
    result = json.loads((root / "runs" / "one" / "metrics.json").read_text())["test"]
    assert scores(root / "runs" / "one") == result


def test_places_are_given_anew(project, tmp_path, monkeypatch, capsys):
    root, settings = project
    killed_run(monkeypatch, "SymCERE", settings, 1, tmp_path / "one")
    root.rename(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone" / "runs")
    things = tmp_path / "things"
    (tmp_path / "gone" / "dataset_atomic").rename(things)
    (tmp_path / "gone" / "encoders" / "bert").rename(tmp_path / "b")
    assert main([f"--resume={tmp_path / 'one'}"]) == 2
    assert "Name the one that holds small" in capsys.readouterr().err
    assert main([f"--resume={tmp_path / 'one'}", f"--data_path={things}"]) == 2
    assert "If it was moved, name it: --text_encoder=DIR" in capsys.readouterr().err
    places = [f"--data_path={things}", f"--text_encoder={tmp_path / 'b'}", "--cache_dir=c"]
    assert main([f"--resume={tmp_path / 'one'}", *places]) == 0
    for words in (["report"], ["explain", "geometry"]):
        assert main([*words, f"--run={tmp_path / 'one'}", *places]) == 0
    result = json.loads((tmp_path / "one" / "metrics.json").read_text())["test"]
    given = {"data_path": str(things), "text_encoder": str(tmp_path / "b"), "cache_dir": "c"}
    assert scores(tmp_path / "one", **given) == result


def test_other_data_at_the_old_place_are_passed_over(project, tmp_path, monkeypatch):
    from small_data import write_small

    root, settings = project
    run_recbole("LightGCN", "small", config_dict={**settings, "run_dir": str(root / "runs/one")})
    moved = shutil.copytree(root, tmp_path / "moved")
    write_small(root / "dataset_atomic", seed=5)
    result = json.loads((moved / "runs" / "one" / "metrics.json").read_text())["test"]
    assert scores(moved / "runs" / "one") == result
    with pytest.raises(InputError, match=r"has changed since .*best\.safetensors was written"):
        load_data_and_model(root / "runs" / "one")
    with pytest.raises(InputError, match="has changed since this run began"):
        resume(root / "runs" / "one")


def test_another_encoder_is_refused(project, tmp_path, monkeypatch):
    from safetensors.torch import load_file, save_file

    root, settings = project
    run = killed_run(monkeypatch, "SymCERE", {**settings, "text_mode": "lora"}, 1, root / "one")
    other = shutil.copytree(root / "encoders" / "bert", tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][7] += 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    for go_on in (
        lambda: resume(run, {"text_encoder": str(other)}),
        lambda: load_data_and_model(run, text_encoder=str(other)),
    ):
        with pytest.raises(InputError, match="has other weights or another tokenizer than"):
            go_on()


def with_head(folder, mode, seed):
    """Let an encoder's folder say how tokens become one vector: a pooling and a dense layer."""
    from safetensors.torch import save_file

    kinds = ("Transformer", "Pooling", "Dense")
    places = [folder / path for path in ("", "1_Pooling", "2_Dense")]
    listed = [
        {"idx": n, "path": place.name if n else "", "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, place) in enumerate(zip(kinds, places, strict=True))
    ]
    pooling = {f"pooling_mode_{name}": name == mode for name in ("cls_token", "mean_tokens")}
    dense = {"in_features": 32, "out_features": 16, "bias": False,
             "activation_function": "torch.nn.modules.linear.Identity"}  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(listed))
    for place, settings in zip(places[1:], (pooling, dense), strict=True):
        place.mkdir(exist_ok=True)
        (place / "config.json").write_text(json.dumps(settings))
    weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(seed))
    save_file({"linear.weight": weight}, places[2] / "model.safetensors")


@pytest.mark.parametrize("model", ["SymCERE", "CollabContext"])
def test_an_encoder_with_another_head_is_refused(project, monkeypatch, model):
    root, settings = project
    own = root / "encoders" / "bert"
    with_head(own, "mean_tokens", 0)
    run = killed_run(monkeypatch, model, settings, 1, root / "one")
    load_data_and_model(run)
    dense = r"has other weights after the language model \(Dense, LayerNorm\) than .*bert, with"
    pooling = r"another pooling or text_normalize \(first, Dense\(32 -> 16\), not mean, Dense\("
    plain = r"another pooling or text_normalize \(first, not mean, Dense\(32 -> 16\)\) than "
    for how, message in ((("mean_tokens", 1), dense), (("cls_token", 0), pooling), (None, plain)):
        if how is None:
            (own / "modules.json").unlink()
            shutil.rmtree(own / "1_Pooling")
        else:
            with_head(own, *how)
        for go_on in (lambda: resume(run), lambda: load_data_and_model(run)):
            with pytest.raises(InputError, match=message):
                go_on()


@pytest.mark.parametrize(("model", "extra"), [
    *MODELS[:-1],
    ("AlphaRec", {}), ("RLMRecCon", {}), ("SMORET", {}), ("DGCLR", {"review_size": 8}),
], ids=str)  # fmt: skip
def test_scoring_needs_no_encoder(project, caplog, model, extra):
    root, settings = project
    run_recbole(model, "small", config_dict={**settings, **extra, "epochs": 3})
    run = root / "runs" / "one"
    with_it = load_data_and_model(run)[1].eval().scoring_vectors()
    shutil.rmtree(root / "encoders")
    shutil.rmtree(root / "runs" / "cache")
    result = json.loads((run / "metrics.json").read_text())["test"]
    assert scores(run) == result
    assert "loaded for scoring alone" in caplog.text
    without = load_data_and_model(run)[1].scoring_vectors()
    for ours, theirs in zip(with_it, without, strict=True):
        assert torch.equal(ours, theirs)
    if model == "SymCERE":
        assert main(["report", f"--run={run}"]) == 0
        page = (run / "report.html").read_text()
        assert "Geometry of the vectors" in page
        assert "text encoder is gone" in page


def test_what_reads_reviews_asks_for_the_encoder(project, capsys):
    root, settings = project
    run_recbole("SymCERE", "small", config_dict=settings)
    shutil.rmtree(root / "encoders")
    assert main(["explain", "lime", f"--run={root / 'runs' / 'one'}"]) == 2
    assert "If it was moved, name it: --text_encoder=DIR" in capsys.readouterr().err
