"""Damaged files: refused or repaired, never another result.

For each file a reader says what it makes of it. A mutant must give what the sound file gives, or
stop with an `InputError`; anything else is a silent wrong result or a traceback.
"""

import hashlib
import json
import logging
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from faults.mutate import MUTATORS, mutated
from faults.world import made
from recbole.data import create_dataset

from recbole_symcere.base import known_hashes
from recbole_symcere.base.errors import InputError
from recbole_symcere.data.items import item_texts
from recbole_symcere.explain import report_command
from recbole_symcere.plugin import checkpoint
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import split_data
from recbole_symcere.run.quick_start import resume
from recbole_symcere.run.run_directory import BEST_CHECKPOINT, LAST_CHECKPOINT, RunDirectory
from recbole_symcere.run.stored_run import load_data_and_model, newest_state
from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.load import load_encoder
from recbole_symcere.text.tokens import TokenStore
from recbole_symcere.text.vectors import text_vectors

LONG = 1000
TEXTS = ["bala fodo", "gate", "", "fodo fodo bala dute"]


def told(*values):
    """One string for anything that a reader makes of a file."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()


# --- readers: from a folder with the damaged file to what is made of it ---------------------------


def read_data(world, _):
    config = Config("AlphaRec", "small", config_dict=world.settings)
    dataset = create_dataset(config)
    texts = item_texts(dataset)
    train = split_data(config, dataset)[0].dataset
    columns = (train.inter_feat[name].numpy() for name in train.inter_feat.columns)
    ids = (train.id2token(field, np.arange(train.num(field))) for field in ("user_id", "item_id"))
    reviews = train.training_reviews().to_pylist()
    return told(*columns, *(list(of) for of in ids), reviews, texts[0].to_pylist(), texts[1])


def read_remembered(world, folder):
    """As `read_data`, with hashes of files that are seconds old remembered, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_hashes, "_SETTLED", -1)
        return read_data(world, folder)


def go_on(world, run):
    """What a stopped run goes on from: its last epoch, or its best one, and it says so."""
    state = newest_state(RunDirectory(run))
    if "goes on from best.safetensors" in read_log():
        assert progress(state) == progress(checkpoint.load(world.killed / BEST_CHECKPOINT))
        return progress(checkpoint.load(world.killed / LAST_CHECKPOINT))
    return progress(state)


def progress(state):
    weights = state["state_dict"]
    return told(state["history"], state["rng"], *(weights[key].numpy() for key in weights))


def load_best(_, run):
    _, model, *_ = load_data_and_model(run)
    return told(*(weight.detach().numpy() for weight in model.state_dict().values()))


def resume_finished(_, run):
    resume(run)
    metrics = json.loads((run / "metrics.json").read_text())
    return told(metrics["valid"], metrics["test"], metrics["best_epoch"])


def report_of(_, run):
    report_command.run({"run": str(run)})
    metrics = RunDirectory(run).read_metrics()
    return told({key: metrics[key] for key in metrics if key != "seconds"})


def per_user(_, run):
    return told(RunDirectory(run).read_per_user("ndcg@10"))


def tokens(world, folder):
    store = TokenStore.open_or_build(TEXTS, tokenizer_of(world), 16, folder)
    arrays = store.take(np.arange(len(store)))
    return told(*(array.numpy() for array in arrays), store.text_index, store.unknown_share)


def vectors(world, folder):
    model, tokenizer = load_encoder(world.settings["text_encoder"])
    store = TokenStore.open_or_build(TEXTS, tokenizer, 16, folder / "tokens")
    found = text_vectors(
        TextEncoder(model), tokenizer, store, masked_views=1, mask_probability=0.5, seed=1,
        directory=folder / "vectors", show_progress=False,
    )  # fmt: skip
    return told(*(rows.numpy() for rows in found))


_tokenizers = {}


def tokenizer_of(world):
    folder = world.settings["text_encoder"]
    if folder not in _tokenizers:
        _tokenizers[folder] = load_encoder(folder)[1]
    return _tokenizers[folder]


# file -> where it lies, and its reader; * is what the reader has made itself
CASES = {
    "small.inter": ("data", read_data),
    "small.reviews.parquet": ("data", read_data),
    "small.items.parquet": ("data", read_data),
    "manifest.json": ("data", read_data),
    "checked.json": ("cache", read_remembered),
    "checkpoint/last.safetensors": ("killed", go_on),
    "checkpoint/best.safetensors": ("finished", load_best),
    "config.yaml": ("finished", resume_finished),
    "data_fingerprint": ("finished", resume_finished),
    "metrics.json": ("finished", report_of),
    "per_user.parquet": ("finished", per_user),
    "*/ids.bin": ("tokens", tokens),
    "*/words.bin": ("tokens", tokens),
    "*/offsets.npy": ("tokens", tokens),
    "*/text_index.npy": ("tokens", tokens),
    "*/meta.json": ("tokens", tokens),
    "vectors/*": ("vectors", vectors),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_encoder):
    return made(tmp_path_factory.mktemp("world"), tiny_encoder)


@pytest.fixture
def place(world, tmp_path):
    """A copy of the folder in which a file is damaged."""

    def copied(name):
        folder = tmp_path / "copy"
        if name in {"data", "cache"}:  # read where they are
            return world.data if name == "data" else Path(world.settings["cache_dir"])
        if hasattr(world, name):
            return shutil.copytree(getattr(world, name), folder)
        folder.mkdir()
        return folder

    return copied


_log = []


def read_log():
    return "".join(record.getMessage() for record in _log)


def check(world, folder, file, reader, seeds):
    """Damage the file in a way of each seed, and read it."""
    reference = reader(world, folder)
    path = next(folder.glob(file))
    keep = {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}
    handler = logging.Handler()
    handler.emit = _log.append
    logging.getLogger("recbole_symcere").addHandler(handler)
    refused = 0
    try:
        for seed in seeds:
            content, how = mutated(keep[path], seed)
            path.write_bytes(content)
            _log.clear()
            try:
                made_of_it = reader(world, folder)
            except InputError as error:
                refused += 1
                made_of_it = reference if len(str(error)) > 30 else f"a bare {error}"
            assert made_of_it == reference, f"{file}, {how}, seed {seed}: a silent wrong result"
            for each, sound in keep.items():
                each.parent.mkdir(parents=True, exist_ok=True)
                each.write_bytes(sound)
    finally:
        logging.getLogger("recbole_symcere").removeHandler(handler)
    return refused


@pytest.mark.parametrize("file", CASES)
def test_damage_is_refused_or_repaired(world, place, file):
    name, reader = CASES[file]
    check(world, place(name), file, reader, range(len(MUTATORS)))


@pytest.mark.slow
@pytest.mark.parametrize("file", CASES)
def test_a_thousand_damages_are_refused_or_repaired(world, place, file, record_property):
    name, reader = CASES[file]
    refused = check(world, place(name), file, reader, range(100, 100 + LONG))
    record_property("Faults", f"{file}: {LONG} damages, {refused} refused, 0 silent")


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda mutator: mutator.__name__)
def test_a_mutator_changes_what_it_gets(mutator):
    content = b"user_id:token\tx:float\n" + b"u1\t3.5\nu2\t4.5\n" * 20
    changed = {mutator(content, random.Random(seed)) for seed in range(20)}
    assert changed - {content}
