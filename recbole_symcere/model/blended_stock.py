"""RecBole's own models with a blend, which is added to the scores that they give."""

from typing import Any

import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_symcere.base.errors import InputError
from recbole_symcere.model.blend import Blend

__all__ = ["with_blend"]


def with_blend(model: Any, blend: Blend) -> Any:
    """One of RecBole's own models, whose scores have those of the experts added.

    Raises:
        InputError: for a model that doesn't score all items for a user.
    """
    kind = type(model)
    if hasattr(model, "blend"):
        raise InputError(
            f"blend: {kind.__name__} has something of its own called blend. Leave the setting out."
        )
    if not any("full_sort_predict" in vars(one) for one in kind.__mro__[:-1] if _is_whole(one)):
        raise InputError(
            f"blend: {kind.__name__} scores pairs of users and items one by one, so that its "
            "scores of all items have no scale to blend on. Leave blend out."
        )
    model.__class__ = type(kind.__name__, (_Blended, kind), {"__module__": kind.__module__})
    model.blend = blend
    return model


def _is_whole(kind: type) -> bool:
    return "abstract_recommender" not in kind.__module__


class _Blended:
    """Put before the class of a model that has a `Blend`."""

    blend: Blend
    USER_ID: str
    ITEM_ID: str
    n_items: int

    def full_sort_predict(self, interaction: Any) -> Tensor:
        scores = super().full_sort_predict(interaction)  # type: ignore[misc] # the model's
        users = interaction[self.USER_ID]
        known = self.blend.known_of(users.cpu().numpy())
        return self.blend.added(scores.view(len(users), -1), known).view(-1)

    def predict(self, interaction: Any) -> Tensor:
        if self.blend.alone:
            scores: Tensor = super().predict(interaction)  # type: ignore[misc] # the model's
            return scores
        users, place = torch.unique(interaction[self.USER_ID], return_inverse=True)
        every = self.full_sort_predict(Interaction({self.USER_ID: users})).view(len(users), -1)
        return every[place, interaction[self.ITEM_ID]]
