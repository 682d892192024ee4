"""Changes in RecBole's own models."""

import pytest
import torch
from recbole.model.general_recommender import NeuMF, Pop

import recbole_symcere  # noqa: F401


class Config(dict):
    def __getitem__(self, key):
        return self.get(key)


class Data:
    def num(self, field):
        return {"user_id": 40, "item_id": 30}[field]


SETTINGS = {
    **{"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "NEG_PREFIX": "neg_"},
    **{"LABEL_FIELD": "label", "mf_embedding_size": 5, "mlp_embedding_size": 7},
    **{"dropout_prob": 0.3, "use_pretrain": False, "device": "cpu"},
}


@pytest.mark.parametrize("hidden", [[6], [8, 4]])
@pytest.mark.parametrize("parts", [(True, True), (True, False), (False, True)])
def test_all_items_get_the_values_of_predict(hidden, parts):
    mf, mlp = parts
    config = Config({**SETTINGS, "mlp_hidden_size": hidden, "mf_train": mf, "mlp_train": mlp})
    torch.manual_seed(0)
    model = NeuMF(config, Data()).eval().double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    users = torch.arange(1, 40)
    with torch.no_grad():
        found = model.full_sort_predict({"user_id": users}).view(39, 30)
        pairs = {"user_id": users.repeat_interleave(30), "item_id": torch.arange(30).repeat(39)}
        expected = model.predict(pairs).view(39, 30)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_a_model_without_hidden_layers_is_left_to_recbole():
    config = Config({**SETTINGS, "mlp_hidden_size": [6], "mf_train": True, "mlp_train": True})
    model = NeuMF(config, Data())
    model.mlp_layers.mlp_layers = torch.nn.Sequential()
    with pytest.raises(NotImplementedError):
        model.full_sort_predict({"user_id": torch.arange(1, 3)})


@pytest.mark.parametrize("labels", [None, [1, 1, 0, 1, 0, 1]])
def test_pop_counts_every_training_interaction(labels):
    config = Config({**SETTINGS, "LABEL_FIELD": "label"})
    model = Pop(config, Data())
    items = torch.tensor([3, 3, 3, 5, 5, 1])
    batch = {"item_id": items} | ({"label": torch.tensor(labels)} if labels else {})
    for _ in range(2):
        model.calculate_loss(batch)
    counts = {1: 2, 3: 6, 5: 4} if labels is None else {1: 2, 3: 4, 5: 2}
    assert {i: n for i, n in enumerate(model.item_cnt[:, 0].tolist()) if n} == counts
    assert model.max_cnt == max(counts.values())
