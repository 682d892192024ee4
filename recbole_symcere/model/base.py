"""What models of ours share: scores from cached vectors, and a graph encoder with its view."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import GeneralRecommender
from torch import nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option, read_options
from recbole_symcere.data.recency import Histories
from recbole_symcere.evaluate.products import ROWS, all_products
from recbole_symcere.graph.bipartite import BipartiteGraph, edge_dropout
from recbole_symcere.graph.encoders import NGCF, LightGCN, NoisyLightGCN
from recbole_symcere.model.blend import Blend
from recbole_symcere.model.loss_batches import BatchGroup, group_loss

__all__ = ["BatchNeeds", "GraphRecommender", "PropagationOptions", "VectorRecommender"]

_log = logging.getLogger(__name__)

# Below some 100,000 interactions at the default batch size each batch has its own propagation.
_PROPAGATIONS = 200


@dataclass(frozen=True)
class PropagationOptions:
    """How often the graph's vectors are worked out anew."""

    batches_per_propagation: int | None = option(
        None,
        "batches of train_batch_size rows that share a propagation and an optimizer step, whose "
        f"loss is their mean; ~ takes as few as keep an epoch at {_PROPAGATIONS} propagations",
        minimum=1,
    )


@dataclass(frozen=True)
class _Scaling:
    """RecBole's setting of the scaler of losses in half precision."""

    enable_scaler: bool = option(False)


@dataclass(frozen=True)
class _Sampling:
    """RecBole's setting of the negatives that batches hold."""

    train_neg_sample_args: dict[str, Any] | None = option()


class BatchNeeds(NamedTuple):
    """What a model's losses read of a training batch, beside the ids and the history mask.

    Attributes:
        tokens: those of the reviews; without them a review is known by its ``text_id`` alone.
        negatives: sampled items.
    """

    tokens: bool = True
    negatives: bool = True


class VectorRecommender(GeneralRecommender):  # type: ignore[misc] # RecBole has no types
    """A recommender whose score is the product of a user's and an item's vector.

    Vectors are computed once per evaluation. No text is needed to score. Subclasses give `forward`.

    Attributes:
        text_use: what the model reads of the training reviews. "batch": every batch holds their
            tokens and the history mask. "once": it makes vectors of them when it is built. "none":
            it runs on any data set, with reviews or without.
        option_groups: the dataclasses that it reads its settings into. The configuration is
            checked against them before any data are read.
        cosine: whether vectors are brought to length 1 before scoring.
        blends: whether it makes its `Blend` itself, also in a stock run.
        protocol: what a result should tell of the model's inputs.
        blend: what is added to the scores; None for nothing.
    """

    text_use: ClassVar[Literal["batch", "once", "none"]] = "none"
    option_groups: ClassVar[tuple[type, ...]] = ()
    cosine = False
    blends: ClassVar[bool] = False

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.protocol: dict[str, Any] = {}
        self.blend: Blend | None = None
        self._written_over: torch.Tensor | None = None
        self.forget()
        self.register_load_state_dict_post_hook(lambda *_: self.forget())

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of all users [n_users, d] and of all items [n_items, d]."""
        raise NotImplementedError(f"{type(self).__name__} must say what its vectors are.")

    def forget(self) -> None:
        """Drop what was computed from weights that are about to change."""
        self._scoring: tuple[torch.Tensor, torch.Tensor] | None = None

    def begin_epoch(self) -> None:
        """What has to be done anew before an epoch; the trainer calls it."""

    def batches_per_step(self, n_batches: int) -> int:  # noqa: ARG002 # for subclasses
        """How many of an epoch's ``n_batches`` the trainer hands to `calculate_loss` at once."""
        return 1

    @classmethod
    def batch_needs(cls, config: Any, device: torch.device) -> BatchNeeds:  # noqa: ARG003 # for subclasses
        """What the losses read of a batch: with these settings the loader makes nothing else."""
        return BatchNeeds()

    def train(self, mode: bool = True) -> "VectorRecommender":
        """Switch between training and evaluation."""
        self.forget()
        super().train(mode)
        return self

    @torch.no_grad()
    def scoring_vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """User and item vectors as they are scored, [n_users, d] and [n_items, d]."""
        if self._scoring is None:
            self._scoring = self.blended(*self.as_scored(*self.forward()))
        return self._scoring

    @torch.no_grad()
    def stored_vectors(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that scoring needs neither text encoder nor reviews.

        Returns:
            "raw", the vectors of users and of items that `forward` gives, and "scored", those of
            `scoring_vectors`, or None where they are the same.
        """
        raw, scored = self.forward(), self.scoring_vectors()
        same = all(torch.equal(ours, theirs) for ours, theirs in zip(raw, scored, strict=True))
        return {"raw": raw, "scored": None if same else scored}

    def as_scored(
        self, users: torch.Tensor, items: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors whose dot product is the score: at length 1 if that is a cosine."""
        if self.cosine:
            users, items = F.normalize(users, dim=-1), F.normalize(items, dim=-1)
        return users.contiguous(), items.contiguous()

    def blended(
        self, users: torch.Tensor, items: torch.Tensor, known: Histories | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The vectors of `as_scored` with what the `Blend` adds for users who know ``known``."""
        return self.blend(users, items, known) if self.blend else (users, items)

    @classmethod
    def refuse_sampled_negatives(cls, config: Any) -> None:
        """Stop if point-wise batches would mix random items with those that users chose.

        Raises:
            InputError: for a loss that takes every row of a batch for an interaction.
        """
        sampling = read_options(_Sampling, config).train_neg_sample_args or {}
        if sampling.get("distribution", "none") != "none":
            raise InputError(
                f"train_neg_sample_args is {sampling}, but {cls.__name__} would take a sampled "
                "item for one that the user chose. Leave it out, or set train_neg_sample_args: ~."
            )

    def predict(self, interaction: Any) -> torch.Tensor:
        """Scores [B] of pairs of a user and an item."""
        users, items = self.scoring_vectors()
        return (users[interaction[self.USER_ID]] * items[interaction[self.ITEM_ID]]).sum(-1)

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        """Scores [B * n_items] of the users and every item."""
        users, items = self.scoring_vectors()
        users = users[interaction[self.USER_ID]]
        if self._written_over is not None and len(self._written_over) < len(users):
            self._written_over = users.new_empty(max(len(users), ROWS), len(items))
        return all_products(users, items, self._written_over).view(-1)

    @contextmanager
    def scores_in_place(self) -> Iterator[None]:
        """Let `full_sort_predict` write each batch's scores over those of the batch before.

        New memory for each batch is a third of the time.
        """
        self._written_over = torch.empty(0)
        try:
            yield
        finally:
            self._written_over = None

    def training_graph(self, dataset: Any) -> BipartiteGraph:
        """The graph of the interactions of ``dataset``, the training split."""
        users, items = (dataset.inter_feat[f].numpy() for f in (self.USER_ID, self.ITEM_ID))
        return BipartiteGraph(users, items, self.n_users, self.n_items)

    def groups(self, tuned: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
        """Parameter groups: all but ``tuned`` at the run's rate; what learns in it at its own."""
        inside = {id(p) for p in tuned.parameters()}
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.parameters() if id(p) not in inside]}
        ]
        learning = [p for p in tuned.parameters() if p.requires_grad]
        if learning:
            groups.append({"params": learning, "lr": learning_rate})
        return groups


class GraphRecommender(VectorRecommender):
    """A recommender whose vectors come from a graph encoder over the training interactions.

    Args:
        config: RecBole's configuration.
        dataset: the training split.
        backbone: the graph encoder.
        embedding_size: width of the trainable layer 0 of users and items; None if the subclass
            makes layer 0 itself, in `ego`.
        dropout: share of edges left out in the augmented view.
        view_per: "epoch" or "step", when that view is drawn anew.
    """

    def __init__(
        self,
        config: Any,
        dataset: Any,
        backbone: LightGCN | NGCF | NoisyLightGCN,
        embedding_size: int | None,
        dropout: float = 0.0,
        view_per: str = "epoch",
    ) -> None:
        super().__init__(config, dataset)
        self._epochs_are_told = False
        self._augmented: BipartiteGraph | None = None
        self.graph = self.training_graph(dataset)
        if embedding_size is not None:
            self.embedding = nn.Embedding(self.n_users + self.n_items, embedding_size)
        self.backbone = backbone
        self.dropout, self.view_per = dropout, view_per
        self._group_size = read_options(PropagationOptions, config).batches_per_propagation
        why = self._why_alone(config)
        if why:
            if (self._group_size or 1) > 1:
                _log.warning(
                    f"batches_per_propagation is {self._group_size}, but without effect, because "
                    f"{why}: each step has one batch."
                )
            self._group_size = 1

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Graph vectors g of all users [n_users, d] and items [n_items, d], not normalised."""
        users, items = torch.split(self.nodes(self.graph), [self.n_users, self.n_items])
        return users, items

    def batches_per_step(self, n_batches: int) -> int:
        """How many of an epoch's ``n_batches`` share a propagation.

        A subclass with a `calculate_loss` of its own gets one batch at a time, and so does float16
        with RecBole's scaler of losses, which would come too late for a group's gradients.
        """
        return self._group_size or max(-(-n_batches // _PROPAGATIONS), 1)

    def _why_alone(self, config: Any) -> str | None:
        """Why no batches share a propagation; None where they may."""
        if type(self).calculate_loss is not GraphRecommender.calculate_loss:
            return (
                f"{type(self).__name__} has a calculate_loss of its own (override losses instead)"
            )
        return "enable_scaler is True" if read_options(_Scaling, config).enable_scaler else None

    def calculate_loss(self, interaction: Any) -> Any:
        """The weighted loss terms of a batch, each a scalar; of a `BatchGroup` their means."""
        shared = self.propagated()
        if isinstance(interaction, BatchGroup):
            return group_loss(self.losses, interaction, shared, list(self.parameters()))
        return self.losses(interaction, *shared)

    def propagated(self) -> tuple[torch.Tensor, ...]:
        """What the losses read of the whole graph, whatever the batch."""
        return (self.nodes(self.graph),)

    def losses(self, interaction: Any, *propagated: torch.Tensor) -> Any:
        """The weighted loss terms of a batch, a named tuple of scalars.

        Args:
            interaction: the batch.
            propagated: what `propagated` gives.
        """
        raise NotImplementedError(f"{type(self).__name__} must say what its losses are.")

    def nodes(self, graph: BipartiteGraph) -> torch.Tensor:
        """Vectors of users and then items [n_users + n_items, d]."""
        nodes: torch.Tensor = self.backbone(graph, self.ego())
        return nodes

    def ego(self) -> torch.Tensor:
        """Layer 0 of users and then items [n_users + n_items, d]."""
        return self.embedding.weight

    def triples(self, interaction: Any) -> torch.Tensor:
        """Nodes of the users, their items and the sampled items [3, B]."""
        items, sampled = (interaction[f] + self.n_users for f in (self.ITEM_ID, self.NEG_ITEM_ID))
        return torch.stack([interaction[self.USER_ID], items, sampled])

    def begin_epoch(self) -> None:
        """Draw the augmented graph anew: sampling by score evaluates the model within an epoch."""
        self._epochs_are_told, self._augmented = True, None

    def train(self, mode: bool = True) -> "GraphRecommender":
        """Switch between training and evaluation, which begins an epoch if nobody tells of them."""
        super().train(mode)
        if not self._epochs_are_told:
            self._augmented = None
        return self

    def augmented_graph(self) -> BipartiteGraph:
        """The graph with edges left out at random."""
        if self._augmented is None or self.view_per == "step":
            seed = int(torch.randint(2**62, ()))  # from the global state, which a resumed run has
            generator = torch.Generator().manual_seed(seed)
            self._augmented = edge_dropout(self.graph, self.dropout, generator)
        return self._augmented
