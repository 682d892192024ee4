"""Checkpoints without pickle: one safetensors file whose header carries the rest as JSON.

A checkpoint is a tree of dictionaries, lists, tuples, numbers, strings, tensors, NumPy arrays and
SciPy CSR matrices. Tensors and arrays become entries of the file; everything else is JSON in its
metadata. A file is written aside, synced and renamed, so a crash leaves the one before it. The
sha256 of the whole file stands in its metadata, taken with zeros in its own place, so that no
damage goes unseen.
"""

import functools
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from scipy.sparse import csr_matrix, issparse

from recbole_symcere.base import processes
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import replacing
from recbole_symcere.base.storage import writing

__all__ = ["DamagedError", "load", "load_weights", "save", "save_once"]

_log = logging.getLogger(__name__)

FORMAT = "recbole_symcere.checkpoint.2"
_WITHOUT_CHECKSUM = "recbole_symcere.checkpoint.1"
_SEAL = re.compile(rb'"sha256":"([0-9a-f]{64})"')  # inside a string of the header quotes are \"
_ZEROS = b"0" * 64


class DamagedError(InputError):
    """A checkpoint that isn't there, or isn't what was written."""


def save(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write ``state`` to ``path``.

    Args:
        path: the file; its folder is made if it is missing.
        state: the tree to store. RecBole's Config is stored as its external settings.

    Raises:
        TypeError: if the tree holds something that can't be stored; the message says where.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = _encode(state, "state", tensors)
    metadata = {"format": FORMAT, "sha256": _ZEROS.decode(), "state": json.dumps(tree)}
    content = memoryview(to_bytes(tensors, metadata=metadata))
    start, end = _place_of_seal(content)
    digest = hashlib.sha256(content).hexdigest().encode()
    path = Path(path)
    with writing(path):
        path.parent.mkdir(exist_ok=True)  # no more: a run's folder that was removed stays so
    with replacing(path, make_folder=False) as aside, aside.open("wb") as file:
        for part in (content[:start], digest, content[end:]):
            file.write(part)


def save_once(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """`save` by the first of several processes; all of them wait until it is there."""
    processes.wait_for_all()  # some may still be reading what stands there
    if processes.is_first():
        save(path, state)
    processes.wait_for_all()


def load(path: str | os.PathLike[str], map_location: Any = None) -> dict[str, Any]:
    """Read what `save` wrote.

    Args:
        path: the file.
        map_location: the device that tensors come to; CPU by default.

    Raises:
        DamagedError: if the file is missing, damaged, or not a checkpoint of this package. A pickle
            is never read: it could run any code.
    """
    path = Path(path)
    if not path.is_file():
        raise DamagedError(f"There is no checkpoint {path}.")
    try:
        metadata, tensors = _read(path.read_bytes())
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise DamagedError(
            f"{path} can't be read as a checkpoint ({error}). It may be damaged, or a pickle that "
            "RecBole wrote without this package; pickles can run code and are not read. "
            "Train the model again, or convert the file in a process that trusts it."
        ) from None
    if metadata.get("format") not in {FORMAT, _WITHOUT_CHECKSUM}:
        raise DamagedError(
            f"{path} is a safetensors file of format {metadata.get('format')!r}, but a checkpoint "
            f"of this package has {FORMAT!r}."
        )
    if "sha256" not in metadata:
        _say_unchecked(path.absolute())
    try:
        return dict(_decode(json.loads(metadata["state"]), tensors, map_location))
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise DamagedError(
            f"{path} can't be read as a checkpoint: it is damaged, for its header isn't what this "
            f"package writes ({error!r}). Take it from a backup, or train the model again."
        ) from None


def load_weights(model: Any, state: Mapping[str, Any]) -> None:
    """Give a RecBole model the weights of a checkpoint.

    Raises:
        InputError: if they are of another model, or of one with other settings.
    """
    try:
        model.load_state_dict(state["state_dict"])
        model.load_other_parameter(_on_device(state["other_parameter"], model.device))
    except (RuntimeError, LookupError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"The weights of the checkpoint don't fit {type(model).__name__} with these settings: "
            f"{why}. Give the settings and data that it was trained with."
        ) from None


def _read(content: bytes) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Metadata and tensors of a safetensors file whose checksum, if it has one, is right.

    Raises:
        ValueError: or another error, if it isn't one or is damaged.
    """
    metadata = _metadata(content)
    sealed = metadata.get("format") == FORMAT or "sha256" in metadata
    # an earlier file has these two alone; with others the checksum's name is damaged
    sealed |= metadata.get("format") == _WITHOUT_CHECKSUM and set(metadata) != {"format", "state"}
    if sealed:
        view, digest = memoryview(content), hashlib.sha256()
        start, end = _place_of_seal(view)
        for part in (view[:start], _ZEROS, view[end:]):
            digest.update(part)
        if digest.hexdigest().encode() != view[start:end]:
            raise ValueError("its content doesn't have the sha256 that it was written with")
    return metadata, from_bytes(content)


def _metadata(content: bytes) -> dict[str, Any]:
    """The metadata of a safetensors file.

    Raises:
        ValueError: or another error, if it isn't one.
    """
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return dict(header.get("__metadata__", {}))


def _place_of_seal(content: memoryview) -> tuple[int, int]:
    """Where the checksum begins and ends."""
    found = _SEAL.search(content, 8, 8 + int.from_bytes(content[:8], "little"))
    if found is None:
        raise ValueError("its header has no sha256")
    return found.span(1)


@functools.cache
def _say_unchecked(path: Path) -> None:
    _log.warning(
        f"{path} was written by an earlier version and has no checksum, so that damage to it can "
        "go unseen."
    )


def _on_device(parameters: Mapping[str, Any] | None, device: Any) -> dict[str, Any] | None:
    """A model's other parameters with their tensors on its device, as its weights are."""
    if parameters is None:
        return None
    return {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in parameters.items()
    }


def _encode(value: Any, place: str, tensors: dict[str, torch.Tensor]) -> Any:
    """The JSON form of ``value``; tensors go to ``tensors`` under their place in the tree."""
    if value is None or isinstance(value, bool | int | float | str):
        return _number(value)
    if isinstance(value, Mapping):
        items = [[_number(k), _encode(v, f"{place}.{k}", tensors)] for k, v in value.items()]
        return {"kind": "dict", "items": items}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        items = [_encode(v, f"{place}.{n}", tensors) for n, v in enumerate(value)]
        return {"kind": kind, "items": items}
    if isinstance(value, np.generic):
        return _encode(value.item(), place, tensors)
    if hasattr(value, "final_config_dict"):
        return _encode_config(value, place, tensors)
    return _encode_array(value, place, tensors)


def _number(value: Any) -> Any:
    # JSON knows neither infinity nor NaN
    if isinstance(value, float) and not np.isfinite(value):
        return {"kind": "float", "value": str(value)}
    return value


def _encode_array(value: Any, place: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        # a copy, because safetensors refuses tensors that share memory
        tensors[place] = value.detach().to("cpu", copy=True).contiguous()
        return {"kind": "tensor", "name": place}
    if isinstance(value, np.ndarray) and value.dtype != object:
        kind = "matrix" if isinstance(value, np.matrix) else "array"
        tensors[place] = torch.from_numpy(np.array(value, copy=True, order="C", subok=False))
        return {"kind": kind, "name": place}
    if issparse(value):
        matrix = value.tocsr()
        parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
        for part, array in parts.items():
            tensors[f"{place}.{part}"] = torch.from_numpy(array.copy())
        return {"kind": "csr", "name": place, "shape": list(matrix.shape)}
    raise TypeError(f"A checkpoint can't hold {place}, which is a {type(value).__name__}.")


def _encode_config(config: Any, place: str, tensors: dict[str, torch.Tensor]) -> Any:
    """RecBole's Config as what it was built from; `load` gives a dictionary back."""
    settings = {
        key: value
        for key, value in config.external_config_dict.items()
        if value is None or isinstance(value, bool | int | float | str | list | tuple | dict)
    }
    settings |= {"model": config["model"], "dataset": config["dataset"]}
    # whether it is a Config of ours, whose protocol holds for RecBole's models too
    settings["common_protocol"] = config.common_protocol
    # what decides the split, also where a stock Config doesn't know of it
    settings |= {"tie_order": config["tie_order"] or "hash", "tie_seed": config["tie_seed"] or 0}
    folder = Path(config["data_path"])
    if folder.name == config["dataset"]:
        settings["data_path"] = str(folder.parent.resolve())
    return _encode(settings, place, tensors)


def _decode(tree: Any, tensors: dict[str, torch.Tensor], device: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    kind = tree["kind"]
    if kind == "dict":
        return {_decode(k, tensors, device): _decode(v, tensors, device) for k, v in tree["items"]}
    if kind in {"list", "tuple"}:
        items = [_decode(item, tensors, device) for item in tree["items"]]
        return items if kind == "list" else tuple(items)
    if kind == "float":
        return float(tree["value"])
    return _decode_array(kind, tree, tensors, device)


def _decode_array(kind: str, tree: Any, tensors: dict[str, torch.Tensor], device: Any) -> Any:
    name = tree["name"]
    if kind == "tensor":
        return tensors[name].to(device) if device is not None else tensors[name]
    if kind == "csr":
        data, indices, indptr = (
            tensors[f"{name}.{part}"].numpy() for part in ("data", "indices", "indptr")
        )
        return csr_matrix((data, indices, indptr), shape=tree["shape"])
    array = tensors[name].numpy()
    return array.view(np.matrix) if kind == "matrix" else array  # EASE keeps a matrix
