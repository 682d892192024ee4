"""README.md of an export: a model card in Hugging Face's form."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from recbole_symcere.run.catalogue import PARTS
from recbole_symcere.serve.export_split import LEFT_OUT_NAME
from recbole_symcere.version import __version__

__all__ = ["Exported", "model_card"]


class Exported(NamedTuple):
    """What there is to tell of.

    Attributes:
        settings: config.yaml of the run.
        metrics: its metrics.json; empty for a run that hasn't ended.
        lines: what was written, in words.
        parts: train, valid, test -> number of interactions.
        left_out: number of those that the data have and none of the three has.
        sizes: numbers of users and items.
        vectors: whether there are vectors.
        tower: whether there is a text tower.
    """

    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    lines: Sequence[str]
    parts: Mapping[str, int]
    left_out: int
    sizes: tuple[int, int]
    vectors: bool
    tower: bool


# Settings by which a model is what it is; the others are in the run's config.yaml.
_TOLD = (
    *("seed", "epochs", "learning_rate", "train_batch_size", "embedding_size", "n_layers"),
    *("backbone", "temperature", "alpha", "beta", "text_encoder", "text_mode", "lora_rank"),
    *("max_length", "popularity", "cold_items", "cold_users"),
)

_BY_VECTORS = """\
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

users, items = pq.read_table("users.parquet"), pq.read_table("items.parquet")


def matrix(table):
    return np.stack(table["vector"].to_numpy())


user_id = users["user_id"][0].as_py()
scores = matrix(items) @ matrix(users.slice(0, 1))[0]  # the dot product is the score

# what the user has an interaction with isn't recommended again
folder = {folder!r}
parts = [pd.read_csv(f"{{folder}}.{{part}}.inter", sep="\\t", dtype=str, quoting=3, na_filter=False)
         for part in {parts!r}]
pairs = pd.concat(parts)
seen = set(pairs.loc[pairs[{user!r}] == user_id, {item!r}])
ids = items["item_id"].to_pylist()
best = [n for n in np.argsort(-scores, kind="stable") if ids[n] not in seen][:10]
for rank, n in enumerate(best, 1):
    print(user_id, rank, ids[n], round(float(scores[n]), 4), items["title"][int(n)].as_py())
"""

_BY_PAIRS = """\
import pandas as pd

folder = {folder!r}
train = pd.read_csv(f"{{folder}}.train.inter", sep="\\t", dtype=str, quoting=3, na_filter=False)
print(len(train), "training interactions; the most popular items:")
print(train[{item!r}].value_counts().head(10))
"""

_BY_TEXT = """\
from sentence_transformers import SentenceTransformer

tower = SentenceTransformer("text_tower")
vectors = tower.encode(["A review.", "Another one."])
print(vectors.shape)
"""


def model_card(told: Exported) -> str:
    """The text of README.md, from the YAML at its head to an example that runs in its folder."""
    name, data = str(told.settings["model"]), str(told.settings["dataset"])
    parts = [
        f"---\n{yaml.safe_dump(_head(told), sort_keys=False, allow_unicode=True)}---\n",
        f"# {name} on {data}\n",
        f"A recommender trained by recbole_symcere {__version__} and exported from a finished run.",
        "\n## Files\n",
        "\n".join(f"- {line}" for line in told.lines),
        "\n## Data\n",
        _data(told),
        "\n## Protocol\n",
        _protocol(told),
        "\n## Results\n",
        _results(told),
        "\n## Settings\n",
        _settings(told.settings),
        "\n## Limits\n",
        "\n".join(f"- {line}" for line in _limits(told)),
        "\n## Use\n\nIn this folder:\n",
        *(f"```python\n{code}```\n" for code in _examples(told)),
    ]
    return "\n".join(parts)


def _head(told: Exported) -> dict[str, Any]:
    name, data = str(told.settings["model"]), str(told.settings["dataset"])
    values = told.metrics.get("test") or {}
    found = [
        {"type": metric.partition("@")[0], "name": f"{metric} (test)", "value": value}
        for metric, value in values.items()
    ]
    head: dict[str, Any] = {
        "library_name": "recbole_symcere",
        "tags": ["recommendation", "recommender-system", "recbole", name.lower()],
        "datasets": [data],
    }
    if found:
        head["metrics"] = [*dict.fromkeys(entry["type"] for entry in found)]
        about = {
            "task": {"type": "recommendation", "name": "Top-N recommendation"},
            "dataset": {"type": data, "name": data, "split": "test"},
        }
        head["model-index"] = [{"name": f"{name}-{data}", "results": [{**about, "metrics": found}]}]
    return head


def _data(told: Exported) -> str:
    users, items = told.sizes
    parts = ", ".join(f"{n:,} {part}" for part, n in told.parts.items())
    said = f"`{told.settings['dataset']}`: {users:,} users, {items:,} items; interactions: {parts}."
    if told.left_out:
        said += (
            f" {told.left_out:,} more were left out of all three by val_interval, cold_items or "
            "cold_users; they are in no list of the user either."
        )
    fingerprint = told.metrics.get("data_fingerprint")
    return said + (f"\nFingerprint of the files: `{fingerprint}`." if fingerprint else "")


def _protocol(told: Exported) -> str:
    protocol = told.metrics.get("protocol")
    if not protocol:
        return "The run has no metrics.json, so nothing was tested."
    return _table(("what", "how"), protocol.items())


def _results(told: Exported) -> str:
    tested = told.metrics.get("test")
    if not tested:
        return "None: the run has no test results."
    valid = told.metrics.get("valid") or {}
    rows = [(name, valid.get(name, ""), value) for name, value in tested.items()]
    epoch = told.metrics.get("best_epoch")
    return (
        f"{_table(('metric', 'validation', 'test'), rows)}\n\nBest epoch: {epoch}, counted from 0."
    )


def _settings(settings: Mapping[str, Any]) -> str:
    there = [(key, settings[key]) for key in _TOLD if settings.get(key) is not None]
    return _table(("setting", "value"), there)


def _table(names: Sequence[str], rows: Any) -> str:
    head = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([*head, *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, str) and Path(value).is_absolute():
        value = Path(value).name  # the rest is of somebody's machine
    return " ".join(str(value).replace("|", "\\|").split())


def _limits(told: Exported) -> list[str]:
    found = [
        "It knows the users and items of its training data alone; for others it has no vector.",
        "The figures are of one seed, and of the users of this data set; comparing models takes "
        "several seeds and equal settings.",
        "Held-out interactions are what people chose when they saw other recommendations than "
        "these; how a list would be received is not measured.",
        "Popular items and active users weigh most in training; rare ones are recommended worse.",
        "The files hold ids of users and their interactions. Look whether that may be published.",
    ]
    if not told.vectors:
        found.append(
            "There are no vectors whose product is the score, so scoring needs the run itself."
        )
    if told.tower:
        found.append(
            "The text tower gives vectors of texts, before the projection to the vectors of users "
            "and items. The run takes a text without a word for zeros, which the tower doesn't."
        )
    return found


def _examples(told: Exported) -> list[str]:
    ids = {"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id"}
    user, item = (f"{told.settings.get(key) or usual}:token" for key, usual in ids.items())
    data = told.settings["dataset"]
    parts = (*PARTS, *([LEFT_OUT_NAME] if told.left_out else []))
    where = {"folder": f"split/{data}/{data}", "parts": parts, "user": user, "item": item}
    first = (_BY_VECTORS if told.vectors else _BY_PAIRS).format(**where)
    return [first, *([_BY_TEXT] if told.tower else [])]
