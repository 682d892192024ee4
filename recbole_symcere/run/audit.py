"""Show that nothing held out reaches a model: change it, and see that nothing else changes.

Trainings of one seed are compared bit by bit: on the data as they are; with a word planted in every
validation and test review; with another item in every validation and test interaction. A last look,
with the word in the training reviews and the item texts, must differ; otherwise the comparison
would be blind.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from recbole.data.interaction import Interaction

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.live_line import step
from recbole_symcere.base.storage import scratch_folder, writing
from recbole_symcere.data.dataloader import REVIEW_IDS, TEXT_ID
from recbole_symcere.data.dataset import ROW_FIELD, ReviewDataset
from recbole_symcere.data.intact import copy_to_change
from recbole_symcere.data.items import item_file
from recbole_symcere.model.blend import Blend
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import (
    build_model,
    build_trainer,
    read_dataset,
    split_data,
    split_dataset,
)

__all__ = ["CANARY", "AuditResult", "audit"]

CANARY = "zyxcanaryxyz"
"""A word that stands in no review."""


@dataclass(frozen=True)
class AuditResult:
    """What was compared, and how it came out.

    Attributes:
        planted: number of held-out reviews that got the word.
        equal: name of what was compared -> whether both runs agree bit for bit.
        control_differs: whether the word in the training reviews and the item texts changes the
            batches or the model's vectors, as it must.
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


def audit(
    model: str, dataset: str | None, settings: Mapping[str, Any], files: Sequence[str] = ()
) -> AuditResult:
    """Compare short trainings, without and with a word planted in held-out reviews.

    Args:
        model: a model that reads reviews.
        dataset: name of the data set.
        settings: further settings, as of `run_recbole`; unless given, ``epochs`` is 1, or one for
            each phase of the model.
        files: yaml files of settings.

    Raises:
        InputError: if the model reads no reviews, or a setting is wrong.
    """
    # without validation, which may see held-out pairs, nothing may depend on them
    config = Config(model, dataset, [*files], {**settings, "eval_step": 0})
    phases = len(getattr(config.model_class, "phase_names", "1"))
    settings = {"epochs": phases, **config.external_config_dict, **settings, "eval_step": 0}
    step(f"reading {config['dataset']}")
    data = read_dataset(config)
    if not isinstance(data, ReviewDataset):
        raise InputError(f"{config['model']} reads no reviews, so there is nothing to audit.")
    parts = split_dataset(config, data)
    rows = [part.inter_feat[ROW_FIELD].numpy() for part in parts]
    held_out = np.concatenate(rows[1:])
    with scratch_folder("recbole_symcere-audit-") as place:

        def observe(name: str, planted: np.ndarray, **how: bool) -> dict[str, Any]:
            step(f"training on data: {name}")
            with writing(place):
                source = _planted_copy(data, place / name, planted, items=name == "control")
            own = {"data_path": str(source), "cache_dir": str(place / f"cache-{name}")}
            own |= {"checkpoint_dir": str(place / f"saved-{name}")}
            return dict(_observations(config, {**settings, **own}, **how))

        nothing = np.array([], dtype=np.int64)
        before = observe("original", nothing)
        after = observe("planted", held_out)
        moved = observe("moved", nothing, move_pairs=True)
        control = observe("control", rows[0][_of_few_items(parts[0])], train=False)
    known = before.pop("held-out pairs known")
    texts = {f"{name}, texts": before[name] == after[name] for name in before}
    pairs = {f"{name}, pairs": before[name] == moved[name] for name in before}
    return AuditResult(
        planted=len(held_out),
        equal=texts | pairs,
        control_differs=any(control[seen] != before[seen] for seen in control),
        held_out_in_history=known,
    )


def _of_few_items(part: Any) -> np.ndarray:
    """Rows of every fifth item [n]: a word that all items share may rightly count for nothing."""
    found: np.ndarray = part.inter_feat[part.iid_field].numpy() % 5 == 1
    return found


def _planted_copy(data: ReviewDataset, folder: Path, rows: np.ndarray, items: bool) -> Path:
    """A copy of the data set below ``folder`` with the word at the end of the reviews ``rows``.

    With ``items``, also at the end of every item text.
    """
    target = folder / data.dataset_name
    copy_to_change(Path(data.dataset_path), target)
    planted = np.zeros(sum(pq.read_metadata(p).num_rows for p in data.review_files()), dtype=bool)
    planted[rows] = True
    for path in data.review_files():
        table = pq.read_table(path)
        here, planted = planted[: len(table)], planted[len(table) :]
        pq.write_table(_marked(table, here), target / path.name)
    if items and item_file(data).is_file():
        table = pq.read_table(item_file(data))
        pq.write_table(_marked(table, np.ones(len(table), bool)), target / item_file(data).name)
    return folder


def _marked(table: pa.Table, here: np.ndarray) -> pa.Table:
    texts = table["text"].cast(pa.string())
    marked = pc.binary_join_element_wise(pc.fill_null(texts, ""), CANARY, " ")
    column = table.column_names.index("text")
    return table.set_column(column, "text", pc.if_else(pa.array(here), marked, texts))


def _observations(
    config: Any, settings: dict[str, Any], train: bool = True, move_pairs: bool = False
) -> Iterator[tuple[str, Any]]:
    """Digests of everything that held-out texts and pairs could reach.

    With ``move_pairs`` every held-out interaction is given another item before training.
    """
    config = Config(config["model"], config["dataset"], config_dict=settings)
    dataset = read_dataset(config)
    if move_pairs:
        build = dataset.build
        dataset.build = lambda: _moved(build())
    train_data, _, _ = split_data(config, dataset)
    yield "training batches", _digest(_seen(train_data))
    model = build_model(config, train_data)
    yield "vectors before training", _digest([*model.buffers(), *model.parameters()])
    if not train:
        return
    known = getattr(train_data, "history", None)  # not every model gets a mask
    held_out = train_data.dataset.all_history - train_data.dataset.history().astype(np.int8)
    yield (
        "held-out pairs known",
        0 if known is None else int(known.multiply(held_out > 0).sum()),
    )
    build_trainer(config, model).fit(train_data, verbose=False, saved=False)
    yield "vectors after training", _digest([*model.buffers(), *model.parameters()])
    if isinstance(getattr(model, "blend", None), Blend):
        model.blend.weights.fill_(1)  # validation may choose any: every part shall be seen
    model.eval()
    users = Interaction({model.USER_ID: torch.arange(1, model.n_users)}).to(config["device"])
    yield "scores of all users and items", _digest([model.full_sort_predict(users)])


def _moved(parts: list[Any]) -> list[Any]:
    """The splits with the items of validation and test interactions shifted by one id."""
    train, *others = parts
    for part in others:
        items = part.inter_feat[part.iid_field]
        part.inter_feat[part.iid_field] = items % (part.item_num - 1) + 1
    union = sum((part.history().astype(np.int8) for part in parts), start=0 * train.history())
    for part in parts:
        part.all_history = (union > 0).tocsr()
    return parts


def _seen(loader: Any) -> Iterator[torch.Tensor]:
    """What an epoch's batches hold, and the tokens of texts that they hold by number alone."""
    for batch in loader:
        yield from _tensors(batch)
        if TEXT_ID in batch and REVIEW_IDS not in batch:
            yield from loader.reviews.read(batch[TEXT_ID].numpy())


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
