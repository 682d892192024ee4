"""The command export: vectors whose product is the score, encoder, split, a card that runs."""

import contextlib
import io
import json
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from safetensors import safe_open
from small_data import small_rows, small_settings
from tiny_models import synthetic_texts, tiny_llama

from recbole_symcere.cli import main
from recbole_symcere.run.catalogue import Catalogue
from recbole_symcere.run.quick_start import load_data_and_model, run_recbole
from recbole_symcere.serve import export_text_tower
from recbole_symcere.serve.export_split import write_split
from recbole_symcere.serve.export_vectors import write_index, write_vectors
from recbole_symcere.text.encode import encode_texts
from recbole_symcere.text.encoder import TextEncoder, load_encoder

SETTINGS = {
    "SymCERE": {"text_mode": "lora", "lora_learning_rate": 0.05, "text_normalize": True},
    "SymCEREPlus": {"lexical_size": 8},
    "EASE": {},
    "LightGCN": {},
    "BPR": {},
}
_TEXT = {"text_encoder", "max_length", "cache_dir"}


def export(*words):
    """Exit status of the command, and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(["export", *map(str, words)])
    return status, said.getvalue()


@pytest.fixture(scope="module")
def exported(tmp_path_factory, small_folder, tiny_encoder):
    """Model -> the folder of a finished run, that of its export, and what the command said."""
    known = {}

    def of(model):
        if model not in known:
            folder = tmp_path_factory.mktemp("export")
            settings = small_settings(small_folder, tiny_encoder, folder / "cache", folder)
            settings |= {"run_dir": str(folder / "run"), **SETTINGS[model]}
            if not model.startswith("SymCERE"):
                settings = {key: value for key, value in settings.items() if key not in _TEXT}
            run_recbole(model, "small", config_dict=settings)
            status, said = export(f"--run={folder / 'run'}", f"--out={folder / 'out'}")
            assert status == 0, said
            known[model] = folder / "run", folder / "out", said
        return known[model]

    return of


def matrix(table):
    return np.stack(table["vector"].to_numpy())


# --- vectors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["SymCERE", "SymCEREPlus", "LightGCN", "BPR"])
def test_the_product_of_exported_vectors_is_the_evaluations_score(exported, model):
    run, out, _ = exported(model)
    _, trained, dataset, *_ = load_data_and_model(run)
    trained.eval()
    users, items = (pq.read_table(out / f"{side}.parquet") for side in ("users", "items"))
    found = matrix(users) @ matrix(items).T
    places = [dataset.token2id("user_id", name) for name in users["user_id"].to_pylist()]
    columns = [dataset.token2id("item_id", name) for name in items["item_id"].to_pylist()]
    batch = Interaction({"user_id": torch.tensor(places)})
    scores = trained.full_sort_predict(batch).detach().view(len(places), -1)[:, columns]
    assert sorted(places) == [*range(1, dataset.user_num)]
    assert sorted(columns) == [*range(1, dataset.item_num)]
    np.testing.assert_allclose(found, scores.numpy(), atol=1e-5, rtol=1e-6)
    assert pa.types.is_fixed_size_list(users.schema.field("vector").type)
    with safe_open(out / "vectors.safetensors", "np") as file:
        assert json.loads(file.metadata()["user_ids"]) == users["user_id"].to_pylist()
        assert json.loads(file.metadata()["item_ids"]) == items["item_id"].to_pylist()
        np.testing.assert_array_equal(file.get_tensor("users"), matrix(users))
        np.testing.assert_array_equal(file.get_tensor("items"), matrix(items))


def test_embeddings_that_arent_the_whole_score_are_no_vectors(exported, monkeypatch):
    from recbole_symcere.serve.scorers import ModelScorer

    config, model, _, train, _, test = load_data_and_model(exported("BPR")[0])
    scorer = ModelScorer(config, model.eval(), train.dataset, test)
    assert scorer.two_towers() is not None
    right = model.full_sort_predict

    def with_bias(batch):
        scores = right(batch).view(len(batch), -1)
        scores[:, 5] += 0.01
        return scores.view(-1)

    monkeypatch.setattr(model, "full_sort_predict", with_bias)
    assert scorer.two_towers() is None


def planted(n_users, n_items, width=8):
    """A catalogue with titles, and vectors whose padding row would win if it were exported."""
    generator = torch.Generator().manual_seed(3)
    users = torch.randn(n_users + 1, width, generator=generator)
    items = torch.randn(n_items + 1, width, generator=generator)
    items[:, -1] *= 5  # a popularity, that users weigh alike
    users[:, -1] = 1
    items[0] = 1000
    ids = [
        pa.array(["[PAD]", *(f"{s}{n}" for n in range(k))])
        for s, k in zip("ui", (n_users, n_items), strict=True)
    ]
    titles = pa.array(["", *(f"Title {n}" for n in range(n_items))])
    none = np.zeros(0, np.int64)
    return Catalogue(ids[0], ids[1], titles, none, none, none.astype(np.int8)), users, items


def test_rows_bear_the_ids_and_titles_of_their_vectors(tmp_path):
    catalogue, users, items = planted(5, 7)
    write_vectors(tmp_path, catalogue, users, items)
    table = pq.read_table(tmp_path / "items.parquet")
    assert table["item_id"].to_pylist() == [f"i{n}" for n in range(7)]
    assert table["title"].to_pylist() == [f"Title {n}" for n in range(7)]
    np.testing.assert_array_equal(matrix(table), items[1:].numpy())
    np.testing.assert_array_equal(matrix(pq.read_table(tmp_path / "users.parquet")), users[1:])


@pytest.mark.parametrize("large", [100_000, 100])
def test_the_index_finds_the_best_by_the_product(tmp_path, large):
    faiss = pytest.importorskip("faiss")
    _, users, items = planted(60, 2000)
    said = write_index(tmp_path, users, items, large)
    recall = float(re.search(r"recall@10 against exact ([\d.]+)", said)[1])
    index = faiss.read_index(str(tmp_path / "items.faiss"))
    assert ("HNSW" in said) == (large == 100)
    found = index.search(users[1:].numpy(), 10)[1]
    exact = np.argsort(-(users[1:] @ items[1:].T).numpy(), axis=1)[:, :10]
    hits = np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, exact, strict=True)])
    assert recall == pytest.approx(hits, abs=1e-4)
    assert hits == 1 if large == 100_000 else hits > 0.9


def test_a_bad_index_is_told_so(tmp_path, monkeypatch):
    faiss = pytest.importorskip("faiss")
    _, users, items = planted(60, 2000)
    reading = faiss.read_index

    def wrong(name):
        index = reading(name)
        other = faiss.IndexFlatIP(index.d)
        other.add(np.roll(index.reconstruct_n(0, index.ntotal), 1, axis=0))
        return other

    monkeypatch.setattr(faiss, "read_index", wrong)
    said = write_index(tmp_path, users, items)
    assert float(re.search(r"exact ([\d.]+)", said)[1]) < 0.2


def test_without_faiss_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    _, users, items = planted(3, 20)
    assert "pip install faiss-cpu" in write_index(tmp_path, users, items)
    assert not [*tmp_path.iterdir()]


# --- the text encoder -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(tiny_encoder):
    """An encoder whose LoRA weights are far from zero, and its tokenizer."""
    backbone, tokenizer = load_encoder(str(tiny_encoder))
    encoder = TextEncoder(backbone, "mean", None)
    encoder.add_lora()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in encoder.model.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    return encoder.eval(), tokenizer


TEXTS = synthetic_texts(40, longest=30)


def test_the_tower_gives_the_encoders_vectors(tuned, tiny_encoder, tmp_path):
    from sentence_transformers import SentenceTransformer

    encoder, tokenizer = tuned
    _, said = export_text_tower.write_tower(tmp_path, encoder, tokenizer, 16, TEXTS)
    tower = SentenceTransformer(str(tmp_path / "text_tower"), device="cpu")
    found = tower.encode(TEXTS, normalize_embeddings=False)
    expected = encode_texts(encoder, tokenizer, TEXTS, 16, torch.device("cpu"))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert float(re.search(r"vectors to (\S+),", said)[1]) <= 1e-6
    plain = TextEncoder(load_encoder(str(tiny_encoder))[0], "mean", None)
    without = encode_texts(plain, tokenizer, TEXTS, 16, torch.device("cpu"))
    assert np.abs(found - without.numpy()).max() > 0.01  # the adapters do something
    assert any("lora_" in name for name, _ in encoder.model.named_parameters())  # it keeps them
    again = TextEncoder(load_encoder(str(tmp_path / "text_tower"))[0])  # it is a text_encoder too
    ours = encode_texts(again, tokenizer, TEXTS, 16, torch.device("cpu"))
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_a_tower_without_a_token_to_pad_with_can_pad(tmp_path):
    backbone, tokenizer = load_encoder(str(tiny_llama(tmp_path / "llama")))
    encoder = TextEncoder(backbone)
    encoder.add_lora()
    for name, weight in encoder.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(weight, 0.1)
    tower, _ = export_text_tower.write_tower(tmp_path, encoder.eval(), tokenizer, 16, TEXTS)
    expected = encode_texts(encoder, tokenizer, TEXTS, 16, torch.device("cpu"))
    found = tower.encode(TEXTS, batch_size=7)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert tokenizer.pad_token is None


def test_a_tower_with_other_vectors_is_refused(tuned, tmp_path, monkeypatch):
    from recbole_symcere.base.errors import InputError

    encoder, tokenizer = tuned
    right = export_text_tower.merged

    def wrong(model):
        found = right(model)
        found.encoder.layer[0].attention.self.query.weight.mul_(1.2)
        return found

    monkeypatch.setattr(export_text_tower, "merged", wrong)
    with pytest.raises(InputError, match="gives other vectors than the run's text encoder"):
        export_text_tower.write_tower(tmp_path, encoder, tokenizer, 16, TEXTS)


def test_onnx_runtime_gives_the_towers_vectors_for_other_shapes(tuned, tmp_path):
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name)
    onnxruntime = pytest.importorskip("onnxruntime")
    encoder, tokenizer = tuned
    tower, _ = export_text_tower.write_tower(tmp_path, encoder, tokenizer, 16, TEXTS)
    said = export_text_tower.write_onnx(tmp_path, tower, TEXTS)
    assert float(re.search(r"vectors to (\S+),", said)[1]) <= 1e-4
    file = tmp_path / "text_tower.onnx"
    assert not re.search(rb"site-packages|\.py\b", file.read_bytes())  # the exporter's notes
    session = onnxruntime.InferenceSession(str(file))
    for some in (TEXTS[:1], TEXTS[3:20]):
        asked = tokenizer(some, padding=True, truncation=True, max_length=16, return_tensors="np")
        fed = {name: asked[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
        (found,) = session.run(["sentence_embedding"], fed)
        expected = encode_texts(encoder, tokenizer, some, 16, torch.device("cpu"))
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_without_onnx_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(export_text_tower, "find_spec", lambda name: None)
    said = export_text_tower.write_onnx(tmp_path, None, TEXTS)
    assert "onnx isn't installed (pip install onnx onnxscript onnxruntime)" in said


def test_the_tower_of_a_run_is_that_of_its_best_epoch(exported):
    from sentence_transformers import SentenceTransformer

    run, out, said = exported("SymCERE")
    _, model, _, train, *_ = load_data_and_model(run)
    encoder, texts = model.reviews.encoder, train.dataset.training_reviews().to_pylist()
    texts = [text for text in texts if text.strip()][:30]
    trained = [w for name, w in encoder.model.named_parameters() if "lora_B" in name]
    assert all(weight.abs().max() > 0 for weight in trained)
    tower = SentenceTransformer(str(out / "text_tower"), device="cpu")
    found = tower.encode(texts)
    _, tokenizer = load_encoder(model.protocol["text_encoder"])
    expected = encode_texts(encoder, tokenizer, texts, 16, torch.device("cpu"))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)  # text_normalize
    assert "in text_tower/: sentence-transformers gives its vectors" in said


# --- the split ------------------------------------------------------------------------------------


def by_recbole(out, tmp_path, model="BPR", **more):
    """The pairs of each part as RecBole reads them from the exported files."""
    settings = {
        "data_path": str(out / "split"),
        "benchmark_filename": ["train", "valid", "test"],
        "checkpoint_dir": str(tmp_path),
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
        **more,
    }
    config = Config(model, "small", config_dict=settings)
    dataset = create_dataset(config)
    return dataset, [part.dataset.inter_feat for part in data_preparation(config, dataset)]


def pairs_of(dataset, table):
    names = (dataset.id2token(field, table[field].numpy()) for field in ("user_id", "item_id"))
    return [*zip(*names, strict=True)]


@pytest.mark.parametrize("model", ["SymCERE", "EASE"])
def test_recbole_reads_the_runs_own_split(exported, tmp_path, model):
    run, out, said = exported(model)
    _, _, theirs, *loaders = load_data_and_model(run)
    dataset, parts = by_recbole(out, tmp_path)
    for loader, part in zip(loaders, parts, strict=True):
        expected = pairs_of(theirs, loader.dataset.inter_feat)
        assert sorted(pairs_of(dataset, part)) == sorted(expected)
        ratings = dict(zip(expected, loader.dataset.inter_feat["rating"].tolist(), strict=True))
        found = dict(zip(pairs_of(dataset, part), part["rating"].tolist(), strict=True))
        assert found == ratings
    assert "(user_id, item_id, rating, timestamp)" in said


def split_of(tmp_path, rows):
    data = tmp_path / "data"
    data.mkdir()
    lines = ["user_id:token\titem_id:token\trating:float", *("\t".join(row) for row in rows)]
    (data / "d.inter").write_text("\n".join(lines) + "\n")
    catalogue, *_ = planted(3, 3)
    catalogue = Catalogue(
        *(catalogue.users, catalogue.items, catalogue.titles),
        np.array([1, 2, 3]), np.array([3, 2, 1]), np.array([0, 1, 2], np.int8),
    )  # fmt: skip
    (tmp_path / "out").mkdir()
    said = write_split(tmp_path / "out", catalogue, {"RATING_FIELD": "rating"}, (data, "d"))
    files = sorted((tmp_path / "out" / "split" / "d").iterdir())
    return said, [file.name for file in files], [file.read_text() for file in files]


def test_ratings_come_from_the_file_as_it_spells_them(tmp_path):
    rows = [("u2", "i0", "1.50"), ("u0", "i2", "4"), ("u1", "i1", "2"), ("u1", "i0", "9")]
    _, names, texts = split_of(tmp_path, rows)
    assert names == ["d.test.inter", "d.train.inter", "d.valid.inter"]
    head = "user_id:token\titem_id:token\trating:float\n"
    assert texts == [head + "u2\ti0\t1.50\n", head + "u0\ti2\t4\n", head + "u1\ti1\t2\n"]


@pytest.mark.parametrize(
    "more", [[("u0", "i2", "3")], []], ids=["a pair that is there twice", "a pair that is gone"]
)
def test_where_ratings_are_in_doubt_pairs_stand_alone(tmp_path, more):
    rows = [("u2", "i0", "1.50"), ("u0", "i2", "4"), ("u1", "i1", "2")]
    _, _, texts = split_of(tmp_path, [*rows, *more] if more else rows[1:])
    assert texts[1] == "user_id:token\titem_id:token\nu0\ti2\n"


# --- the card -------------------------------------------------------------------------------------


def card_of(out):
    """The YAML at the head of README.md, its text, and its examples."""
    text = (out / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body, re.findall(r"```python\n(.*?)```", body, re.S)


@pytest.mark.parametrize(
    "model",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in ("SymCERE", "SymCEREPlus")), "EASE"],
)
def test_the_examples_of_the_card_run(exported, model):
    run, out, _ = exported(model)
    head, body, examples = card_of(out)
    metrics = json.loads((run / "metrics.json").read_text())
    assert head["library_name"] == "recbole_symcere"
    assert head["datasets"] == ["small"]
    told = head["model-index"][0]["results"][0]["metrics"]
    assert {entry["name"].split()[0]: entry["value"] for entry in told} == metrics["test"]
    assert f"{metrics['data']['train']:,} train" in body
    assert "| masked_at_test | train and valid |" in body
    assert "/tmp" not in body
    assert len(examples) == (2 if model == "SymCERE" else 1)
    said = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=True
        ).stdout
        for code in examples
    ]
    if model == "EASE":
        assert "training interactions; the most popular items:" in said[0]
        return
    from recbole_symcere.serve.recommender import Recommender

    rows = [line.split(" ") for line in said[0].splitlines()]
    expected = Recommender.load(run).recommend(rows[0][0], 7)
    assert [row[2] for row in rows[:7]] == expected["item_id"].tolist()
    assert [float(row[3]) for row in rows[:7]] == pytest.approx(expected["score"], abs=1e-3)


def test_the_example_leaves_out_what_no_split_has(small_folder, tiny_encoder, tmp_path):
    settings = small_settings(small_folder, tiny_encoder, tmp_path / "cache", tmp_path)
    settings = {key: value for key, value in settings.items() if key not in _TEXT}
    settings |= {"val_interval": {"rating": "[3,inf)"}, "run_dir": str(tmp_path / "run")}
    run_recbole("LightGCN", "small", config_dict=settings)
    status, said = export(f"--run={tmp_path / 'run'}", f"--out={tmp_path / 'out'}")
    assert status == 0, said
    gone = [row for row in small_rows() if row[2] < 3]
    lines = (tmp_path / "out/split/small/small.left_out.inter").read_text().splitlines()
    assert lines[0] == "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    assert {tuple(line.split("\t")[:2]) for line in lines[1:]} == {row[:2] for row in gone}
    assert f" test, {len(gone)} left out (user_id, item_id, rating, timestamp)" in said
    _, body, (code,) = card_of(tmp_path / "out")
    assert (
        f" test. {len(gone)} more were left out of all three by val_interval, cold_items or "
        "cold_users; they are in no list of the user either." in body
    )
    code = code.replace("[:10]", "[:99]")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True
    )
    found = [line.split(" ") for line in done.stdout.splitlines()]
    user = found[0][0]
    known = {item for who, item, *_ in small_rows() if who == user}
    assert any(who == user for who, *_ in gone)
    assert {row[2] for row in found} == {item for _, item, *_ in small_rows()} - known


def test_hugging_face_reads_the_card(exported):
    hub = pytest.importorskip("huggingface_hub")
    _, out, _ = exported("SymCEREPlus")
    data = hub.ModelCard.load(out / "README.md").data
    assert data.model_name == "SymCEREPlus-small"
    assert {result.metric_type for result in data.eval_results} == {"ndcg", "hit", "recall", "mrr"}


def test_a_model_without_vectors_says_so_and_gives_what_there_is(exported):
    _, out, said = exported("EASE")
    assert "no vectors: EASE doesn't score by the product" in said
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "export.json", "split"]


def test_the_manifest_knows_every_file(exported):
    _, out, _ = exported("SymCERE")
    told = json.loads((out / "export.json").read_text())
    there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert told["sha256"].keys() == there - {"export.json"}
    assert "text_tower/model.safetensors" in there
    assert not [path for path in out.rglob("*.json") if "/tmp" in path.read_text()]


# --- bad input ------------------------------------------------------------------------------------


def test_places_that_cannot_be_written_are_told_in_one_line(exported, tmp_path):
    run, _, _ = exported("EASE")
    file, full = tmp_path / "file", tmp_path / "full"
    file.write_text("mine")
    full.mkdir()
    (full / "thesis.txt").write_text("mine")
    for words, told in (
        ((f"--run={run}", f"--out={file}"), "is a file; name a folder"),
        ((f"--run={run}", f"--out={full}"), "holds other files, which are never replaced"),
        ((f"--run={run}", f"--out={full}", "--overwrite=True"), "are never replaced"),
        ((f"--run={tmp_path / 'no'}", f"--out={tmp_path / 'new'}"), "there is no such folder"),
        ((f"--run={run}",), "--out=... is missing"),
        ((f"--run={run}", f"--out={tmp_path / 'new'}", "--ovewrite=True"), "'overwrite'"),
    ):
        status, said = export(*words)
        assert status == 2
        assert said.count("\n") == 1
        assert told in said
    assert (full / "thesis.txt").read_text() == file.read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_a_run_without_its_best_checkpoint_is_refused(exported, tmp_path):
    import shutil

    run, _, _ = exported("EASE")
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "checkpoint" / "best.safetensors").unlink()
    status, said = export(f"--run={copy}", f"--out={tmp_path / 'new'}")
    assert (status, said.count("\n")) == (2, 1)
    assert "has no checkpoint/best.safetensors" in said
    assert not (tmp_path / "new").exists()


def test_an_earlier_export_is_replaced_when_asked_and_kept_when_that_fails(
    exported, tmp_path, monkeypatch
):
    run, _, _ = exported("SymCEREPlus")
    out = tmp_path / "out"
    assert export(f"--run={run}", f"--out={out}")[0] == 0
    before = (out / "README.md").read_text()
    status, said = export(f"--run={run}", f"--out={out}")
    assert status == 2
    assert "--overwrite=True replaces it" in said
    (out / "old.txt").write_text("of the export before")

    def fails(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("recbole_symcere.serve.export_split.write_split", fails)
        status, said = export(f"--run={run}", f"--out={out}", "--overwrite=True")
    assert (status, said.count("\n")) == (2, 1)
    assert (out / "old.txt").is_file()
    assert export(f"--run={run}", f"--out={out}", "--overwrite=True")[0] == 0
    assert not (out / "old.txt").exists()
    assert (out / "README.md").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
