"""What the passes over the training data say of the loss, whichever trainer makes them."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from recbole.trainer.trainer import Trainer

from recbole_symcere.base import processes
from recbole_symcere.base.live_line import working
from recbole_symcere.base.work import Work

__all__ = ["EpochPasses"]


class EpochPasses(Trainer):  # type: ignore[misc] # RecBole has no types
    """RecBole's Trainer, which notes the terms of the loss of each pass.

    It stands where a trainer of RecBole's calls ``super()``: RecVAE's makes four passes an epoch,
    each with a loss of its own, those of knowledge-aware models two.

    Attributes:
        work: the training that is shown.
        sums: name of a term -> its sum over the batches of all passes since `forget_passes`.
    """

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.work = Work("")
        self.forget_passes()
        self._terms: tuple[Any, ...] = ()  # of the batch at hand
        self._term_names: tuple[str, ...] = ()
        self._pass = "loss"  # what it is called by
        self._place = (0, 0)  # epoch and batch, both counted from 0

    @contextlib.contextmanager
    def shown_training(self, labels: Mapping[str, Any], at_most: bool) -> Iterator[None]:
        """Show how many epochs are over while the block lasts."""
        label = " ".join(["training", *(f"{name} {value}" for name, value in labels.items())])
        with working(label, self.epochs, "epochs", at_most=at_most) as self.work:
            self.work.skip(self.start_epoch)
            yield

    def evaluate(self, eval_data: Any, *args: Any, **kwargs: Any) -> Any:
        """RecBole's `evaluate`, shown."""
        batches = len(eval_data) if eval_data else None
        with working("evaluating", batches, "batches of users") as work:
            self.eval_collector.on_batch = work.advance
            return super().evaluate(eval_data, *args, **kwargs)

    def forget_passes(self) -> None:
        """Begin a new epoch."""
        self.sums: dict[str, float] = defaultdict(float)
        self._batches: dict[str, int] = defaultdict(int)

    @property
    def loss_means(self) -> dict[str, float]:
        """Name of a term -> its mean over the batches that have it."""
        return {name: total / self._batches[name] for name, total in self.sums.items()}

    def _train_epoch(
        self,
        train_data: Any,
        epoch_idx: int,
        loss_func: Callable[[Any], Any] | None = None,
        show_progress: bool = False,
    ) -> Any:
        function = loss_func or self.model.calculate_loss
        word, _, rest = getattr(function, "__name__", "").partition("_")
        name, batches = rest if word == "calculate" else "loss", 0

        def remembered(interaction: Any) -> Any:
            nonlocal batches
            losses = function(interaction)
            self._terms = losses if isinstance(losses, tuple) else (losses,)
            self._term_names = getattr(losses, "_fields", None) or tuple(
                f"{name}{n + 1}" if len(self._terms) > 1 else name for n in range(len(self._terms))
            )
            self._pass, self._place = name, (epoch_idx, batches)
            batches += 1
            self.work.part = batches / max(len(train_data), 1)
            if processes.count() > 1 and self.config["single_spec"]:
                _average_after(self._terms, self.model)
            return losses

        totals = super()._train_epoch(train_data, epoch_idx, remembered, show_progress)
        if self.config["single_spec"]:
            processes.check_alike(_sum_of(self.model), f"The weights after epoch {epoch_idx}")
        values = totals if isinstance(totals, tuple) else (totals,)
        for term, value in zip(self._term_names, values, strict=True):
            self.sums[term] += float(value)
            self._batches[term] += batches
        return totals

    def _generate_train_loss_output(
        self,
        epoch_idx: int,
        s_time: float,
        e_time: float,
        losses: Any,  # noqa: ARG002 # RecBole's
    ) -> str:
        shown = ", ".join(f"{name}: {total:.4f}" for name, total in self.sums.items())
        time_taken = f"{e_time - s_time:.2f}s"
        return f"epoch {epoch_idx} training [time: {time_taken}, sum over batches: {shown}]"

    def _add_train_loss_to_tensorboard(
        self,
        epoch_idx: int,
        losses: Any,  # noqa: ARG002 # as above
        tag: str = "Loss/Train",
    ) -> None:
        for name, total in self.sums.items():
            self.tensorboard.add_scalar(f"{tag}/{name}", total, epoch_idx)


def _sum_of(model: Any) -> float:
    weights = model.parameters() if processes.count() > 1 else ()
    return float(sum(weight.detach().double().sum() for weight in weights))


def _average_after(terms: tuple[Any, ...], model: Any) -> None:
    """Let the processes average the gradients when the backward pass of a batch has ended.

    A part of the work that is shared out gives each process its part of a gradient, times their
    number; all other gradients are the same everywhere, up to the order of a GPU's sums. The mean
    keeps the weights of all processes equal.
    """
    learns = next((t for t in terms if torch.is_tensor(t) and t.requires_grad), None)
    if learns is None:
        return

    def mean() -> None:
        processes.average(p.grad for p in model.parameters() if p.grad is not None)

    def begin(gradient: Any) -> None:  # noqa: ARG001 # torch's
        torch.autograd.Variable._execution_engine.queue_callback(mean)  # as DDP does

    learns.register_hook(begin)  # type: ignore[no-untyped-call] # torch gives it no types
