"""What scores items for users: vectors alone where a run has them, else its model."""

import threading
from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard

import torch
from torch import Tensor

from recbole_symcere.base.errors import InputError
from recbole_symcere.evaluate.products import ROWS, all_products

__all__ = ["ModelScorer", "Scorer", "VectorScorer"]

_PAIRS = 1024  # of a model that scores pair by pair, at once
# where RecBole's models keep vectors of users and items, whose product may be the score
_TOWERS = (("restore_user_e", "restore_item_e"), ("user_embedding", "item_embedding"))
_SCORES = 4_000_000  # of a batch: what the processor's own memory holds is quickest
_FEWEST = 64
_SAMPLE = 2048  # users whose scores tell what items are like where a model has no vectors


class Scorer(Protocol):
    """Scores of all items for users."""

    at_once: int
    """Users that are best scored together."""

    def scores(self, users: Tensor) -> Tensor:
        """Scores [B, n_items] of users [B], as the evaluation of the run gets them.

        They may be written to, and hold until the thread asks for others.
        """

    def item_vectors(self) -> Tensor:
        """[n_items, d], whose cosine tells how near two items are."""


class VectorScorer:
    """The product of vectors.

    Args:
        stored: what `VectorRecommender.stored_vectors` gave.
    """

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self.users, self.items = stored["scored"] or stored["raw"]
        self._raw_items = stored["raw"][1]
        self.at_once = max(_FEWEST, min(1024, _SCORES // len(self.items)))
        self._own = threading.local()

    def scores(self, users: Tensor) -> Tensor:
        """Scores [B, n_items] of users [B]."""
        n_rows = max(len(users), ROWS)
        buffer = getattr(self._own, "buffer", None)  # new memory for each batch is half the time
        if buffer is None or len(buffer) < n_rows:
            buffer = self._own.buffer = torch.empty(n_rows, len(self.items))
        return all_products(self.users[users], self.items, buffer)

    def item_vectors(self) -> Tensor:
        """The vectors that the model gives its items, before a blend or popularity is added.

        Raises:
            InputError: if they are all zero, as those of models without training are.
        """
        if not self._raw_items.any():
            raise InputError(
                "The run's model has no vectors of items, so that nothing tells which are alike. "
                "Take a run of a model that is trained."
            )
        return torch.as_tensor(self._raw_items)


class ModelScorer:
    """A model as RecBole evaluates it.

    Args:
        config: of its run.
        model: in evaluation mode.
        dataset: the training split.
        test_data: its loader, which knows what a sequential model has to see of a user.
    """

    def __init__(self, config: Any, model: Any, dataset: Any, test_data: Any) -> None:
        from recbole.utils import ModelType

        self._model, self._dataset = model, dataset
        self._name = str(config["model"])
        self._rows: Any = None
        self._row_of: dict[int, int] = {}  # of a user
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            self._rows = test_data.dataset.inter_feat
            users = self._rows[dataset.uid_field].tolist()
            self._row_of = {user: row for row, user in enumerate(users)}
        self.at_once = max(_FEWEST, min(1024, _SCORES // dataset.item_num))

    @torch.no_grad()
    def scores(self, users: Tensor) -> Tensor:
        """Scores [B, n_items] of users [B]."""
        n_users = len(users)
        if n_users < ROWS:
            users = torch.cat([users, users[:1].expand(ROWS - n_users)])
        batch = self._batch(users)
        try:
            found = self._model.full_sort_predict(batch)
        except NotImplementedError:
            found = self._by_pairs(batch)
        return torch.as_tensor(found.reshape(len(users), -1)[:n_users].cpu().clone())

    def _batch(self, users: Tensor) -> Any:
        from recbole.data.interaction import Interaction

        field = self._dataset.uid_field
        if self._rows is None:
            batch = self._dataset.join(Interaction({field: users}))
        else:
            lost = [user for user in users.tolist() if user not in self._row_of]
            if lost:
                name = self._dataset.id2token(field, lost[0])
                raise InputError(
                    f"{self._name} is a sequential model, which scores what follows a user's test "
                    f"interaction, but user {name} has none."
                )
            batch = self._rows[torch.tensor([self._row_of[user] for user in users.tolist()])]
        return batch.to(self._model.device)

    def _by_pairs(self, batch: Any) -> Tensor:
        from recbole.data.interaction import Interaction

        n_items, n_users = self._dataset.item_num, len(batch)
        items = self._dataset.join(Interaction({self._dataset.iid_field: torch.arange(n_items)}))
        pairs = batch.repeat_interleave(n_items)
        pairs.update(items.to(self._model.device).repeat(n_users))
        parts = [pairs[start : start + _PAIRS] for start in range(0, len(pairs), _PAIRS)]
        return torch.cat([self._model.predict(part).view(-1) for part in parts])

    def item_vectors(self) -> Tensor:
        """Scores of an item over users, less each user's mean: alike are items for the same users.

        At most 2,048 users, spread over all of them, are asked.
        """
        n = self._dataset.user_num
        users = torch.arange(1, n) if n <= _SAMPLE else torch.linspace(1, n - 1, _SAMPLE).long()
        parts = torch.split(users, self.at_once)
        scores = torch.cat([self.scores(part).clamp(-1e30, 1e30) for part in parts])
        return (scores - scores[:, 1:].mean(dim=1, keepdim=True)).T.contiguous()

    def two_towers(self) -> tuple[Tensor, Tensor] | None:
        """Vectors of users and items whose dot product is the score; None where there are none.

        Names tell nothing for sure: what is found must give the scores of at most 2,048 users,
        spread over all of them.
        """
        if self._rows is not None:
            return None
        n = self._dataset.user_num
        users = torch.linspace(1, n - 1, min(n - 1, _SAMPLE)).round().long()
        self.scores(users[:1])  # some keep their vectors when they are first asked
        for names in _TOWERS:
            found = [getattr(self._model, name, None) for name in names]
            sides: list[Any] = [getattr(side, "weight", side) for side in found]
            users_and_items = [len(side) if _is_matrix(side) else 0 for side in sides]
            if users_and_items == [n, self._dataset.item_num]:
                towers = (sides[0].detach().cpu(), sides[1].detach().cpu())
                if all(self._are_scores(part, towers) for part in torch.split(users, self.at_once)):
                    return towers
        return None

    def _are_scores(self, users: Tensor, towers: tuple[Tensor, Tensor]) -> bool:
        if towers[0].shape[1] != towers[1].shape[1]:
            return False
        scores, products = self.scores(users)[:, 1:], towers[0][users] @ towers[1][1:].T
        slack = 1e-5 * float(scores.abs().max())
        return torch.allclose(products, scores, rtol=1e-4, atol=slack)


def _is_matrix(value: Any) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.dim() == 2
