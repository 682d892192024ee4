"""SequentialRules: what users took after the items that a user took last; nothing is trained."""

from typing import Any

from recbole_symcere.model.blend_of import training_histories
from recbole_symcere.model.untrained import OneExpert

__all__ = ["SequentialRules"]


class SequentialRules(OneExpert):
    """Items by x_ui = sum_{j in N_u} .1^{a_uj} |{v in N_j : v took i with j or later}| / |N_j|.

    The sequential rules of Ludewig & Jannach (UMUAI 2018). Of the interactions of v those of j's
    time and the 100 next count; a_uj is the number of interactions that u had after that with j.
    Scores are divided by their deviation over a user's items, which changes no list. Without times
    all a are 0, and what follows is what comes together. Approximate for many pairs, see
    `OneExpert`.

    Differs from the paper: what follows n steps later counts 1 and not 1 / n, which was better on
    validation where what comes next depends on what came last; and the rules of all that a user
    knows count, not those of the last interaction alone, so that equal times need no order.

    Args:
        config: RecBole's configuration.
        dataset: the training split.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self._rank_by("next", training_histories(dataset))
