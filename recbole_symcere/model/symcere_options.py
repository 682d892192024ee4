"""The settings of SymCERE, and which of them nothing reads."""

from dataclasses import dataclass
from typing import Literal

from recbole_symcere.base.options import option

__all__ = ["SymCEREOptions"]


@dataclass(frozen=True)
class SymCEREOptions:
    """Hyper-parameters; a default that the paper doesn't give is our reading."""

    backbone: Literal["LightGCN", "NGCF"] = option("LightGCN", "the graph encoder")
    embedding_size: int = option(64, "d", minimum=1)
    n_layers: int = option(3, "K of LightGCN", minimum=0)
    hidden_size_list: list[int] = option(
        [64, 64, 64], "layer widths of NGCF; its output is d + their sum", minimum=1
    )
    message_dropout: float = option(0.1, "of NGCF", minimum=0, below=1)
    edge_dropout: float = option(
        0.1, "share of edges left out in the augmented view g'", minimum=0, below=1
    )
    edge_dropout_per: Literal["epoch", "step"] = option("epoch", "when that view is drawn anew")
    lora_learning_rate: float = option(
        0.0002, "of the LoRA weights; learning_rate is for all others", above=0
    )
    temperature: float = option(0.2, "tau of eq. 7, 8 and 10", above=0)
    intra_temperature: float | None = option(
        None, "tau of eq. 10 alone; ~ takes temperature", above=0
    )
    alpha: float = option(0.5, "weight of L_intra, eq. 13", minimum=0)
    beta: float = option(0.05, "weight of L_BPR, eq. 13", minimum=0)
    l2_normalize: bool = option(True, "eq. 3; False is the paper's ablation 'w/o Norm'")
    cross_modal_loss: Literal["sincere", "info_nce"] = option(
        "sincere", "info_nce is the ablation 'MM w/ InfoNCE'"
    )
    history_scope: Literal["train", "all"] = option(
        "train", "all also spares held-out pairs as negatives, which leaks them"
    )
    mask_orientation: Literal["anchor", "transpose", "both"] = option(
        "anchor", "the mask of the text-to-graph direction"
    )
    text_to_graph: Literal["inbatch", "anchor_user"] = option(
        "inbatch", "anchor_user reads eq. 8 literally"
    )
    bpr_reduction: Literal["mean", "sum"] = option("mean", "of eq. 12 over the batch")
    score: Literal["cosine", "dot"] | None = option(
        None, "~ is cosine with l2_normalize, dot without"
    )

    @property
    def idle(self) -> dict[str, set[str]]:
        """Why some of the settings are without effect, and which."""
        of_others = {"LightGCN": {"message_dropout", "hidden_size_list"}, "NGCF": {"n_layers"}}
        why = {f"backbone is {self.backbone}": of_others[self.backbone]}
        if self.text_to_graph == "anchor_user":
            why["text_to_graph is anchor_user"] = {"mask_orientation"}
        elif self.cross_modal_loss == "info_nce":  # it spares nothing but the row's own pair
            why["cross_modal_loss is info_nce"] = {"mask_orientation"}
        if not self.beta:
            why["beta is 0"] = {"bpr_reduction"}
        if not self.alpha:
            why["alpha is 0"] = {"edge_dropout", "edge_dropout_per", "intra_temperature"}
        return why
