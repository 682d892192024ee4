"""Show that no held-out review reaches a model: plant a word in each and see that nothing changes.

Two runs of one seed are compared bit by bit, one on the data as they are, one on a copy in which
every validation and test review carries a planted word. A third look, with the word in the training
reviews, must differ; otherwise the comparison itself would be blind.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import get_trainer, init_seed

from recbole_symcere.config import Config
from recbole_symcere.data.dataset import ROW_FIELD, ReviewDataset
from recbole_symcere.errors import InputError
from recbole_symcere.trainer import resumable

__all__ = ["AuditResult", "audit", "run"]

CANARY = "zyxcanaryxyz"
"""A word that stands in no review."""


@dataclass(frozen=True)
class AuditResult:
    """What was compared, and how it came out.

    Attributes:
        planted: number of held-out reviews that got the word.
        equal: name of what was compared -> whether both runs agree bit for bit.
        control_differs: whether the word in the training reviews changes the batches, as it must.
        held_out_in_history: held-out pairs that the history mask knows; 0 unless
            ``history_scope: all``.
    """

    planted: int
    equal: Mapping[str, bool]
    control_differs: bool
    held_out_in_history: int

    @property
    def clean(self) -> bool:
        """Whether nothing leaks and the check could have seen it."""
        return all(self.equal.values()) and self.control_differs and not self.held_out_in_history


def run(pairs: dict[str, Any]) -> int:
    """The command ``audit --dataset=NAME [--model=SymCERE] [--key=value ...]``.

    Returns:
        0 if nothing leaks, 1 if something does.
    """
    result = audit(pairs.pop("model", "SymCERE"), pairs.pop("dataset", None), pairs)
    lines = [f"planted {CANARY!r} in {result.planted:,} validation and test reviews"]
    lines += [
        f"  {name:<34}{'bit-equal' if equal else 'CHANGED: held-out text leaks'}"
        for name, equal in result.equal.items()
    ]
    history = result.held_out_in_history
    lines.append(
        f"  {'held-out pairs in the history mask':<34}{history:,}{'  LEAK' if history else ''}"
    )
    seen = (
        "changes the batches" if result.control_differs else "CHANGES NOTHING: the check is blind"
    )
    lines.append(f"  {'control: planted in training':<34}{seen}")
    lines.append("no held-out review reaches the model" if result.clean else "the audit FAILED")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if result.clean else 1


def audit(model: str, dataset: str | None, settings: Mapping[str, Any]) -> AuditResult:
    """Compare two trainings of one epoch, without and with a word planted in held-out reviews.

    Args:
        model: a model that reads reviews.
        dataset: name of the data set.
        settings: further settings, as of `run_recbole`; ``epochs`` is 1 unless given.

    Raises:
        InputError: if the model reads no reviews, or a setting is wrong.
    """
    settings = {"epochs": 1, **settings}
    config = Config(model, dataset, config_dict=settings)
    data = create_dataset(config)
    if not isinstance(data, ReviewDataset):
        raise InputError(f"{config['model']} reads no reviews, so there is nothing to audit.")
    parts = data.build()
    rows = [part.inter_feat[ROW_FIELD].numpy() for part in parts]
    held_out = np.concatenate(rows[1:])
    with tempfile.TemporaryDirectory(prefix="recbole_symcere-audit-") as folder:
        place = Path(folder)

        def observe(name: str, planted: np.ndarray, train: bool) -> dict[str, str]:
            source = _planted_copy(data, place / name, planted)
            own = {"data_path": str(source), "cache_dir": str(place / f"cache-{name}")}
            own |= {"checkpoint_dir": str(place / f"saved-{name}")}
            return dict(_observations(config, {**settings, **own}, train))

        before = observe("original", np.array([], dtype=np.int64), train=True)
        after = observe("planted", held_out, train=True)
        control = observe("control", rows[0], train=False)
    return AuditResult(
        planted=len(held_out),
        equal={name: before[name] == after[name] for name in before},
        control_differs=control["training batches"] != before["training batches"],
        held_out_in_history=_held_out_in_history(config, parts),
    )


def _planted_copy(data: ReviewDataset, folder: Path, rows: np.ndarray) -> Path:
    """A copy of the data set below ``folder`` with the word at the end of the reviews ``rows``."""
    target = folder / data.dataset_name
    shutil.copytree(data.dataset_path, target)
    planted = np.zeros(sum(pq.read_metadata(p).num_rows for p in data.review_files()), dtype=bool)
    planted[rows] = True
    for path in data.review_files():
        table = pq.read_table(path)
        here, planted = planted[: len(table)], planted[len(table) :]
        texts = [
            f"{text or ''} {CANARY}" if mark else text
            for text, mark in zip(table["text"].to_pylist(), here, strict=True)
        ]
        column = table.column_names.index("text")
        table = table.set_column(column, "text", pa.array(texts, pa.string()))
        pq.write_table(table, target / path.name)
    return folder


def _observations(config: Any, settings: dict[str, Any], train: bool) -> Iterator[tuple[str, str]]:
    """Digests of everything that held-out text could reach."""
    config = Config(config["model"], config["dataset"], config_dict=settings)
    init_seed(config["seed"], config["reproducibility"])
    train_data, valid_data, _ = data_preparation(config, create_dataset(config))
    yield "training batches", _digest(tensor for batch in train_data for tensor in _tensors(batch))
    if not train:
        return
    init_seed(config["seed"], config["reproducibility"])
    model = config.model_class(config, train_data.dataset).to(config["device"])
    yield "vectors before training", _digest([*model.buffers(), *model.parameters()])
    trainer = resumable(get_trainer(config["MODEL_TYPE"], config["model"]))(config, model)
    trainer.fit(train_data, valid_data, verbose=False, saved=False)
    yield "vectors after training", _digest([*model.buffers(), *model.parameters()])
    model.eval()
    users = Interaction({model.USER_ID: torch.arange(1, model.n_users)}).to(config["device"])
    yield "scores of all users and items", _digest([model.full_sort_predict(users)])


def _tensors(batch: Interaction) -> Iterator[torch.Tensor]:
    for name in sorted(batch.columns):
        yield batch[name]


def _digest(tensors: Any) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        array = np.ascontiguousarray(tensor.detach().cpu().numpy())
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _held_out_in_history(config: Any, parts: list[Any]) -> int:
    """Validation and test pairs that the mask's history holds."""
    train, *others = parts
    history = train.all_history if config["history_scope"] == "all" else train.history()
    return sum(int(part.history().multiply(history).sum()) for part in others)
