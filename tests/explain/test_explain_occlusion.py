"""Occlusion and integrated gradients against the encoder asked one text at a time."""

import numpy as np
import pytest
import torch
from explain.planted import train

from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.data.dataset import ROW_FIELD
from recbole_symcere.data.reviews import reviews_of
from recbole_symcere.explain import occlusion
from recbole_symcere.explain.gradients import integrated_gradients
from recbole_symcere.explain.loaded_run import load_text_run
from recbole_symcere.explain.occlusion import gather, occlude
from recbole_symcere.model import symcere
from recbole_symcere.model import text_side as text


@pytest.fixture(scope="module")
def run(planted_run):
    return load_text_run(str(planted_run))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def vector(run, text):
    """t of one text, in float64 after the encoder."""
    tokens = run.tokens(text)
    with torch.no_grad():
        found = run.encoder(tokens["input_ids"], tokens["attention_mask"]).double().numpy()
    layer = run.model.projection.layers[0]
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    return unit(found @ weight.T + bias)[0]


def test_vectors_are_those_that_the_model_trained_with(run):
    reviews = reviews_of(run.dataset)
    text_ids = reviews.text_ids(run.dataset.inter_feat[ROW_FIELD].numpy(), run.items)
    with torch.no_grad():
        theirs = run.model.unit(run.model.projection(run.model.reviews.original[text_ids]))
    assert torch.allclose(run.text_vectors(run.texts), theirs, atol=1e-5)


def test_occlusion_is_what_deletion_costs(run, monkeypatch):
    monkeypatch.setattr(occlusion, "_TEXTS", 40)  # several chunks
    reviews = run.sample(12, 3)
    found = gather(run, occlude(run, reviews))
    assert found.reviews.tolist() == reviews.tolist()
    users, items = (v.detach().double().numpy() for v in run.model.forward())
    pairs = unit((users[run.users] + items[run.items]) / 2)
    at = 0
    for n, review in enumerate(reviews):
        whole, words = vector(run, run.texts[review]), run.texts[review].split()
        assert found.similarity[n] == pytest.approx(whole @ pairs[review], abs=1e-5)
        for word in dict.fromkeys(words):
            left = vector(run, " ".join(w for w in words if w != word))
            own = (whole - left) @ pairs[review]
            others = np.mean([(whole - left) @ pair for pair in pairs])
            assert found.vocabulary[found.word[at]] == word
            assert found.review[at] == review
            assert found.own[at] == pytest.approx(own, abs=1e-5)
            assert found.specific[at] == pytest.approx(own - others, abs=1e-5)
            at += 1
    assert at == len(found.word)


def test_reviews_of_one_word_and_of_none_are_left_out(run):
    texts = list(run.texts)
    run.texts[:3] = ["", "bafo", "bafo bafo"]
    try:
        assert 0 not in run.sample(None, 0)
        assert gather(run, occlude(run, np.arange(4))).reviews.tolist() == [3]
        assert len(gather(run, occlude(run, np.arange(3))).word) == 0
    finally:
        run.texts[:] = texts


def test_gradients_add_up_to_the_difference_from_the_blank_text(run):
    text = run.texts[5]
    direction = run.pairs[5]
    tokens = run.tokens(text)
    ids = tokens["input_ids"].clone()
    inner = ~torch.isin(ids, torch.tensor(run.special_ids))
    ids[inner] = run.blank_id
    with torch.no_grad():
        blank = run.encoder(ids, tokens["attention_mask"])
    change = (run.text_vectors([text]) - run.unit(run.projected(blank))) @ direction
    found = integrated_gradients(run, text, direction, n_steps=64)
    assert list(found) == list(dict.fromkeys(text.split()))
    assert sum(found.values()) == pytest.approx(change.item(), abs=2e-3)
    assert abs(change.item()) > 0.01


def test_a_random_encoder_is_another_one_and_leaves_the_run_alone(run):
    before = run.text_vectors(run.texts[:4])
    other = run.randomised(1)
    assert not torch.allclose(other.text_vectors(run.texts[:4]), before, atol=1e-2)
    assert torch.equal(other.text_vectors(["bafo"]), run.randomised(1).text_vectors(["bafo"]))
    assert torch.equal(run.text_vectors(run.texts[:4]), before)


def test_a_review_counts_as_far_as_the_model_reads_it(tmp_path, small):
    path = train(tmp_path, small, max_length=6, epochs=1)
    run = load_text_run(str(path))
    assert max(len(text.split()) for text in run.texts) < 5
    assert torch.allclose(
        run.text_vectors(run.texts[:9]),
        run.text_vectors(run.dataset.training_reviews().to_pylist()[:9]),
        atol=1e-6,
    )


def test_a_lora_run_is_explained_with_its_own_weights(tmp_path, small, monkeypatch):
    with monkeypatch.context() as elsewhere:  # a machine with an accelerator, where auto is lora
        for module in (text, symcere):
            elsewhere.setattr(module, "resolve_text_mode", lambda *_: ("lora", "an accelerator"))
        path = train(tmp_path, small, epochs=1, lora_learning_rate=0.05)
    run = load_text_run(str(path))
    assert run.encoder is run.model.reviews.encoder
    fresh = load_text_run(str(path)).randomised(0)
    assert not any("lora" in name for name, _ in fresh.encoder.named_parameters())
    whole = vector(run, run.texts[0])
    assert run.text_vectors(run.texts[:1])[0].numpy() == pytest.approx(whole, abs=1e-5)


def test_what_can_not_be_explained(tmp_path, small, planted_run):
    with pytest.raises(InputError, match="--run=nowhere: there is no such folder"):
        load_text_run("nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no run: it has no config\.yaml"):
        load_text_run(str(tmp_path / "empty"))
    path = train(tmp_path / "bpr", small, model="LightGCN", epochs=1)
    with pytest.raises(InputError, match="the run is of LightGCN, which reads no review"):
        load_text_run(str(path))
    path = train(tmp_path / "item", small, text_level="item", epochs=1)
    with pytest.raises(InputError, match="text_level: item, where a text is all reviews"):
        load_text_run(str(path))
    (path / "checkpoint" / "best.safetensors").unlink()
    with pytest.raises(InputError, match=r"no checkpoint/best\.safetensors"):
        load_text_run(str(path))


def test_changed_data_are_refused(tmp_path, small, capsys):
    path = train(tmp_path, small, epochs=1)
    file = tmp_path / "planted" / "planted.inter"
    file.write_text(file.read_text().replace("\t5.0\t", "\t4.0\t", 1))
    assert main(["explain", "anchor", f"--run={path}"]) == 2
    assert "planted" in (error := capsys.readouterr().err)
    assert "has changed since" in error
