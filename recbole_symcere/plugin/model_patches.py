"""What changes in RecBole's own models, so that they run, count right, and can be resumed."""

import logging
from collections.abc import Sequence
from functools import wraps
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_symcere.base.errors import InputError

__all__ = ["change_models", "leave_out_modules"]

_USERS_AT_A_TIME = 16  # hidden vectors of all items for so many users stay in a CPU's cache
_ROUNDS_OF_KMEANS = 25  # as many as faiss makes
_CLUSTERS = ("user_centroids", "user_2cluster", "item_centroids", "item_2cluster")
_REMEMBERED = {
    "general_recommender": {
        **dict.fromkeys(("MacridVAE", "MultiVAE", "RaCT"), ("update",)),
        "DiffRec": ("Lt_history", "Lt_count"),
        "LDiffRec": ("update_count", "update_count_vae"),
        "LINE": ("random_list", "random_pr"),
        "NCL": _CLUSTERS,
    }
}


def change_models(package: ModuleType) -> None:
    """Change the models of one of RecBole's packages of models, after it was imported."""
    kind = package.__name__.rpartition(".")[2]
    if kind == "general_recommender":
        _let_dgcf_draw(package.dgcf)
        _let_ncl_cluster(package.ncl.NCL)
        _let_neumf_rank(package.neumf.NeuMF)
        _let_pop_count(package.pop.Pop)
        _let_ract_speak(package.ract.RaCT)
    if kind == "knowledge_aware_recommender":
        _let_kgat_attend(package.kgat.KGAT)
    for name, attributes in _REMEMBERED.get(kind, {}).items():
        _remember(getattr(package, name), attributes)


def leave_out_modules(abstract: Any) -> None:
    """Keep parts of a model out of what checkpoints hold beside the weights.

    DIN, SASRecF and others list such a part, whose weights are among the model's own.
    """
    other_parameter = abstract.other_parameter

    @wraps(other_parameter)
    def without_modules(self: Any) -> Any:
        found = other_parameter(self) or {}
        return {name: value for name, value in found.items() if not isinstance(value, nn.Module)}

    abstract.other_parameter = without_modules


def _remember(model_class: Any, names: Sequence[str]) -> None:
    """Keep further attributes of a model in its checkpoints, where RecBole lets a model list them.

    What a model counts or averages while it trains isn't a weight; without it a resumed run would
    go on as another one.
    """
    init = model_class.__init__

    @wraps(init)
    def with_names(self: Any, config: Any, dataset: Any) -> None:
        init(self, config, dataset)
        listed = getattr(self, "other_parameter_name", [])
        self.other_parameter_name = [*listed, *(name for name in names if name not in listed)]

    model_class.__init__ = with_names


def _let_dgcf_draw(module: ModuleType) -> None:
    """Let DGCF draw no more users or items than there are.

    RecBole draws as many of each as the larger of the two has in a batch.
    """
    draw = module.sample_cor_samples

    @wraps(draw)
    def drawn(n_users: int, n_items: int, wanted: int) -> tuple[list[int], list[int]]:
        if wanted <= min(n_users, n_items):
            both: tuple[list[int], list[int]] = draw(n_users, n_items, wanted)
            return both
        users, _ = draw(n_users, n_users, min(wanted, n_users))
        items, _ = draw(n_items, n_items, min(wanted, n_items))
        return users, items

    module.sample_cor_samples = drawn  # type: ignore[attr-defined]


def _let_kgat_attend(model_class: Any) -> None:
    """Let KGAT build its graph by SciPy instead of dgl, which has no build for today's torch.

    Its attention is no weight, but follows from the weights: it is made anew from loaded ones.
    """
    init, load = model_class.__init__, model_class.load_other_parameter

    @wraps(init)
    def without_dgl(self: Any, config: Any, dataset: Any) -> None:
        def graph(form: str, value_field: str) -> Any:  # noqa: ARG001 # RecBole asks for dgl's
            return dataset.ckg_graph(form="coo", value_field=value_field)

        init(self, config, SimpleNamespace(num=dataset.num, ckg_graph=graph))

    @wraps(load)
    def loaded(self: Any, parameters: Any) -> None:
        load(self, parameters)
        with torch.no_grad():
            self.update_attentive_A()

    model_class.__init__, model_class.load_other_parameter = without_dgl, loaded
    model_class.init_graph = _attention_by_degree


def _attention_by_degree(self: Any) -> Tensor:
    """`KGAT.init_graph`: each relation's edges, divided by how many a node has of them."""
    row, column, relation = self.ckg.row, self.ckg.col, self.ckg.data
    weights = np.zeros(len(row))
    for kind in range(1, self.n_relations):
        of_kind = relation == kind
        degree = np.bincount(row[of_kind], minlength=self.matrix_size[0])
        weights[of_kind] = 1 / degree[row[of_kind]]
    places, values = torch.from_numpy(np.stack([row, column])), torch.from_numpy(weights).float()
    return torch.sparse_coo_tensor(places, values, self.matrix_size).coalesce().to(self.device)


def _let_ncl_cluster(model_class: Any) -> None:
    """Let NCL find its clusters by scikit-learn, which RecBole needs anyway, instead of faiss.

    RecBole asks faiss for a GPU, too. More clusters than users or items are refused.
    """
    init = model_class.__init__

    @wraps(init)
    def with_enough(self: Any, config: Any, dataset: Any) -> None:
        init(self, config, dataset)
        least = min(self.n_users, self.n_items)
        if not 0 < self.k <= least:
            raise InputError(
                f"num_clusters is {self.k}, but {config['dataset']} has {self.n_users - 1} users "
                f"and {self.n_items - 1} items, which NCL puts into clusters. Give a number well "
                f"below, such as --num_clusters={max(least // 20, 1)}."
            )

    model_class.__init__, model_class.run_kmeans = with_enough, _find_clusters


def _find_clusters(self: Any, x: Any) -> tuple[Tensor, Tensor]:
    """`NCL.run_kmeans`: the normalised centroids and each row's cluster."""
    from sklearn.cluster import KMeans

    # NumPy's global state, which checkpoints keep, is what it draws from
    found = KMeans(self.k, init="random", n_init=1, max_iter=_ROUNDS_OF_KMEANS).fit(x)
    centroids = torch.from_numpy(found.cluster_centers_.astype(np.float32)).to(self.device)
    clusters = torch.from_numpy(found.labels_.astype(np.int64)).to(self.device)
    return F.normalize(centroids, p=2, dim=1), clusters


def _let_ract_speak(model_class: Any) -> None:
    """Let RaCT say which model it goes on from: RecBole's log line has no place for the path."""
    init = model_class.__init__

    def mended(record: logging.LogRecord) -> bool:
        if record.args and "%" not in str(record.msg):
            record.msg, record.args = f"{record.msg} {record.args[0]}", ()  # type: ignore[index]
        return True

    @wraps(init)
    def saying(self: Any, config: Any, dataset: Any) -> None:
        root = logging.getLogger()
        root.addFilter(mended)
        try:
            init(self, config, dataset)
        finally:
            root.removeFilter(mended)

    model_class.__init__ = saying


def _let_pop_count(model_class: Any) -> None:
    """Let Pop count every training interaction.

    RecBole counts an item once per batch, however often it is in it, and sampled negatives too.
    """
    init = model_class.__init__

    @wraps(init)
    def with_label(self: Any, config: Any, dataset: Any) -> None:
        init(self, config, dataset)
        self.label = config["LABEL_FIELD"]

    model_class.__init__, model_class.calculate_loss = with_label, _count_items


def _let_neumf_rank(model_class: Any) -> None:
    """Give NeuMF a `full_sort_predict`: RecBole sends every pair through the whole network."""
    model_class.full_sort_predict = _rank_with_neumf


def _count_items(self: Any, interaction: Any) -> Tensor:
    """`Pop.calculate_loss`; Pop learns nothing, so it returns a zero."""
    items = interaction[self.ITEM_ID]
    if self.label in interaction:
        items = items[interaction[self.label] > 0]
    self.item_cnt += torch.bincount(items, minlength=self.n_items)[:, None]
    self.max_cnt = self.item_cnt.max()
    return nn.Parameter(torch.zeros(1, device=self.device))


def _rank_with_neumf(self: Any, interaction: Any) -> Tensor:
    """The values of `NeuMF.predict` for the users of a batch and all items, as [B * n_items].

    The first layer is linear in [user; item], so it is applied to users and to items, and only
    their sums to pairs.
    """
    layers = [layer for layer in self.mlp_layers.mlp_layers if isinstance(layer, nn.Linear)]
    if not layers:
        raise NotImplementedError  # RecBole then scores pairs
    users, width = interaction[self.USER_ID], self.mf_embedding_size if self.mf_train else 0
    weight, bias = self.predict_layer.weight[0], self.predict_layer.bias
    scores: Tensor = bias.expand(len(users), self.n_items).clone()
    if self.mf_train:
        scores += (self.user_mf_embedding(users) * weight[:width]) @ self.item_mf_embedding.weight.T
    if self.mlp_train:
        first, *rest = layers
        of_user, of_item = torch.split(first.weight, self.mlp_embedding_size, dim=1)
        by_user = F.linear(self.user_mlp_embedding(users), of_user, first.bias)  # [B, h]
        by_item = F.linear(self.item_mlp_embedding.weight, of_item)  # [n_items, h]
        parts = (torch.split(x, _USERS_AT_A_TIME) for x in (scores, by_user))
        for part, rows in zip(*parts, strict=True):
            hidden = (rows[:, None] + by_item).relu_()
            for layer in rest:
                hidden = layer(hidden).relu_()
            part += hidden @ weight[width:]
    return torch.sigmoid(scores).flatten()
