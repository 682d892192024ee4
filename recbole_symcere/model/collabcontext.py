"""CollabContext (arXiv 2310.09400): item texts teach users, then users teach item texts."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from recbole.model.init import xavier_normal_initialization
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_symcere.base.options import option, read_options
from recbole_symcere.graph.bipartite import Side
from recbole_symcere.graph.encoders import LightGCN
from recbole_symcere.loss.contrastive import alignment, uniformity
from recbole_symcere.model.base import VectorRecommender
from recbole_symcere.model.profiles import item_text_vectors
from recbole_symcere.text.adaptor import Adaptor, LearnedTable
from recbole_symcere.text.text_options import EncoderOptions, ItemTextOptions

__all__ = ["CollabContext", "CollabContextLoss", "CollabContextOptions"]


@dataclass(frozen=True)
class CollabContextOptions:
    """Hyper-parameters; the width p is that of the text encoder."""

    n_layers: int = option(2, "L of LightGCN", minimum=0)
    adaptor_hidden: list[int] | None = option(
        None, "widths of the adaptor's hidden layers; ~ is [p, p]", minimum=1
    )
    adaptor_dropout: float = option(0.2, "after each hidden layer", minimum=0, below=1)
    score: Literal["dot", "cosine"] = option("dot", "of users and items")
    gamma: float = option(1.0, "weight of l_uniform; 0 is the ablation without it", minimum=0)
    uniformity: Literal["learner", "both"] = option(
        "learner", "both: of users and items in both phases, as DirectAU"
    )
    user_tutoring: bool = option(True, "False: the ablation without phase 2")
    item_update: Literal["adaptor", "table"] = option(
        "adaptor", "table: in phase 2 the text vectors themselves learn"
    )


class CollabContextLoss(NamedTuple):
    """The weighted terms: l_align and gamma l_uniform; their sum is the loss."""

    align: Tensor
    uniform: Tensor


class CollabContext(VectorRecommender):
    """l = l_align + gamma l_uniform on a graph whose items are texts, in two phases.

    C [n_items, p] are the items' text vectors at length 1, frozen; E [n_users, p] is a table.
    LightGCN takes the mean of its layers over [E; items]; z are its outputs at length 1::

        l_align   = mean_{(u,i)} |z_u - z_i|^2                       over the batch
        l_uniform = log mean_{a<b} exp(-2 |z_a - z_b|^2)             over its distinct learners

        phase 1, item tutoring: items are C, users learn;            E learns, l_uniform of users
        phase 2, user tutoring: items are f(C), an adaptor of C;     f learns, l_uniform of items

    A score is the dot product of LightGCN's outputs; items without training interactions are ranked
    among themselves, without f (`full_sort_predict_cold`). `TwoPhaseTrainer` runs the phases.

    Args:
        config: RecBole's configuration.
        dataset: the training split, a `ReviewDataset`.

    Differs from the paper: nothing known; what the public code does by mistake is not repeated:
        random items aligned with users, training items ranked in evaluation, one optimizer for
        both phases, an untrained f if phase 2 fails. C is always brought to length 1, as the
        paper's text encoders but one deliver it; in the public code RecBole scales it first, by the
        least and the largest of all components of all items, to between 0 and 1 (min-max), so that
        no component is negative and all vectors lie in one corner.
    """

    text_use = "once"
    option_groups = (CollabContextOptions, ItemTextOptions, EncoderOptions)
    input_type = InputType.POINTWISE
    phase_names = ("item tutoring", "user tutoring")
    phase: Tensor
    item_text: Tensor
    _of_teacher: Tensor | None

    def __init__(self, config: Any, dataset: Any) -> None:
        o = read_options(CollabContextOptions, config)
        self.refuse_sampled_negatives(config)
        super().__init__(config, dataset)
        self.options, self.cosine = o, o.score == "cosine"
        how = read_options(EncoderOptions, config), read_options(ItemTextOptions, config)
        text, facts = item_text_vectors(dataset, *how, self.device)
        text = F.normalize(text, dim=-1)
        self.register_buffer("item_text", text, persistent=False)
        self.register_buffer("phase", torch.tensor(1))  # kept, for it decides what items are
        self.graph = self.training_graph(dataset)
        self.backbone = LightGCN(o.n_layers)
        self.user_embedding = nn.Embedding(self.n_users, text.shape[1])
        self.refine: nn.Module = nn.Identity()  # f
        self.n_phases = 2 if o.user_tutoring else 1
        if o.user_tutoring and o.item_update == "adaptor":
            self.refine = Adaptor(text.shape[1], o.adaptor_hidden, o.adaptor_dropout)
        self.apply(xavier_normal_initialization)
        if o.user_tutoring and o.item_update == "table":
            self.refine = LearnedTable(text)
        self.enter_phase(1)
        self.protocol = facts

    def enter_phase(self, phase: int) -> None:
        """Let the weights of phase 1 or 2 learn, and no others."""
        self.phase.fill_(phase)
        self.user_embedding.requires_grad_(phase == 1)
        self.refine.requires_grad_(phase == 2)
        self.forget()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What learns in this phase."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def forward(self) -> tuple[Tensor, Tensor]:
        """LightGCN's outputs for all users [n_users, p] and items [n_items, p]."""
        items = self.item_text if self.phase == 1 else self.refine(self.item_text)
        tables: list[tuple[Tensor, Side]] = [(self.user_embedding.weight, "user"), (items, "item")]
        learner, teacher = tables if self.phase == 1 else reversed(tables)
        if self._of_teacher is None:  # it stays the same, so it is worked out once an epoch
            with torch.no_grad():
                self._of_teacher = self.backbone.of_side(self.graph, *teacher)
        return self._outputs(self._of_teacher + self.backbone.of_side(self.graph, *learner))

    def forget(self) -> None:
        """Drop what was computed from weights that are about to change."""
        super().forget()
        self._of_teacher = None

    def _outputs(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        users, items = torch.split(nodes, [self.n_users, self.n_items])
        return users, items

    def calculate_loss(self, interaction: Any) -> CollabContextLoss:
        """The weighted loss terms of a batch, each a scalar."""
        distinct, unit = [], []
        for ids, nodes in zip(
            (interaction[self.USER_ID], interaction[self.ITEM_ID]), self.forward(), strict=True
        ):
            unique, row = ids.unique(return_inverse=True)
            distinct.append(F.normalize(F.embedding(unique, nodes), dim=-1))
            unit.append(F.embedding(row, distinct[-1]))  # [B, p]
        learners = distinct if self.options.uniformity == "both" else [distinct[self.phase - 1]]
        spread = torch.stack([uniformity(x) for x in learners]).mean()
        return CollabContextLoss(alignment(*unit), self.options.gamma * spread)

    @torch.no_grad()
    def full_sort_predict_cold(self, interaction: Any) -> Tensor:
        """Scores [B * n_items] as `full_sort_predict`, but without f: for items not trained on.

        Such an item has no neighbours, so its vector is its text's, C / (n_layers + 1).
        """
        nodes = self.backbone(self.graph, torch.cat([self.user_embedding.weight, self.item_text]))
        users, items = self.as_scored(*self._outputs(nodes))
        return (users[interaction[self.USER_ID]] @ items.T).view(-1)
