import pytest
import torch
from text.training_parts import texts_of
from tiny_models import tiny_bert
from transformers import AutoModel

from recbole_symcere.base.errors import InputError
from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.layer_cut import LayerCut

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
KINDS = [
    *("bert", "roberta", "llama", "mpnet", "distilbert", "modernbert", "gpt2", "electra"),
    *("qwen2", "deberta-v2", "mistral", "gemma2"),
]


def random_model(kind, **other):
    from transformers import AutoConfig

    torch.manual_seed(0)
    shape = {**SHAPE, **other}
    if kind == "modernbert":
        shape |= {"cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}
    if kind == "gemma2":
        shape |= {"head_dim": 8}
    return AutoModel.from_config(AutoConfig.for_model(kind, **shape)).float().eval()


@pytest.mark.parametrize("top", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_two_parts_give_what_the_whole_gives(kind, top):
    model = random_model(kind)
    texts = texts_of([7, 3, 5, 1])
    tokens = {"input_ids": texts.input_ids, "attention_mask": texts.attention_mask.long()}
    with torch.no_grad():
        whole = model(**tokens, output_hidden_states=True)
        cut = LayerCut(model, top)
        with cut.below() as below:
            hidden = below(**tokens)
        parts = cut.above(hidden, **tokens)
        zeros = cut.above(torch.zeros_like(hidden), **tokens)
        after = model(**tokens).last_hidden_state
    seen = texts.attention_mask
    assert torch.equal(hidden[seen], whole.hidden_states[3 - top][seen])
    torch.testing.assert_close(parts[seen], whole.last_hidden_state[seen], atol=1e-6, rtol=0)
    assert not torch.allclose(zeros[seen], parts[seen], atol=1e-2)  # the lower layers didn't run
    assert torch.equal(after, whole.last_hidden_state)  # and the model is what it was


def test_an_error_leaves_the_model_whole():
    model = random_model("bert")
    cut = LayerCut(model, 1)
    with pytest.raises(IndexError), cut.below() as below:
        below(input_ids=torch.tensor([[99]]), attention_mask=torch.ones(1, 1))
    assert not any("forward" in vars(module) for module in model.modules())


def test_lora_is_in_the_top_layers_alone():
    encoder = TextEncoder(random_model("bert"), "mean")
    encoder.add_lora(rank=2, layers=2)
    trained = {name.split(".lora_")[0] for name in encoder.state_dict()}
    assert {name.split(".")[3] for name in trained} == {"1", "2"}
    assert len(trained) == 4
    assert encoder.cut.names == ["encoder.layer.1", "encoder.layer.2"]


@pytest.mark.parametrize("layers", [0, 4])
def test_more_layers_than_there_are(layers):
    encoder = TextEncoder(random_model("bert"), "mean")
    message = rf"lora_layers={layers}: the text encoder has 3 layers\. Set 1 to 3, or ~ for all\."
    with pytest.raises(InputError, match=message):
        encoder.add_lora(layers=layers)


def test_shared_layers_cannot_be_cut():
    encoder = TextEncoder(random_model("albert", embedding_size=8), "mean")
    message = (
        r"lora_layers=1: AlbertModel can't be cut between its layers \(its layers are not a list\)"
        r"\. Set lora_layers to ~, or choose another text_encoder\."
    )
    with pytest.raises(InputError, match=message):
        encoder.add_lora(layers=1)


class Twisted(torch.nn.Module):
    """A layer whose output depends on more than its input."""

    def __init__(self, layer, state):
        super().__init__()
        self.layer, self.state = layer, state

    def forward(self, hidden, *args, **kwargs):
        self.state.append(1)
        return self.layer(hidden, *args, **kwargs) + len(self.state)


def test_a_model_that_computes_something_else_when_cut_is_refused():
    model = random_model("bert")
    state = []
    for place, layer in enumerate(model.encoder.layer):
        model.encoder.layer[place] = Twisted(layer, state)
    with pytest.raises(InputError, match=r"BertModel can't be cut .* \(its vectors are others\)"):
        LayerCut(model, 1)


def test_targets_that_the_top_layers_lack(tmp_path):
    model, _ = load_encoder(tiny_bert(tmp_path))
    model.extra = torch.nn.Linear(4, 4)
    encoder = TextEncoder(model)
    message = r"lora_target_modules=\['extra'\]: encoder\.layer\.1 has no such layer"
    with pytest.raises(InputError, match=message):
        encoder.add_lora(target_modules=["extra"], layers=1)
