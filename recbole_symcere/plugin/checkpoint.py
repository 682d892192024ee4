"""Checkpoints without pickle: one safetensors file whose header carries the rest as JSON.

A checkpoint is a tree of dictionaries, lists, tuples, numbers, strings, tensors, NumPy arrays and
SciPy CSR matrices. Tensors and arrays become entries of the file; everything else is JSON in its
metadata. A file is written aside, synced and renamed, so a crash leaves the one before it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from scipy.sparse import csr_matrix, issparse

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import write_bytes

__all__ = ["load", "save"]

FORMAT = "recbole_symcere.checkpoint.1"


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
    metadata = {"format": FORMAT, "state": json.dumps(tree)}
    write_bytes(path, to_bytes(tensors, metadata=metadata))


def load(path: str | os.PathLike[str], map_location: Any = None) -> dict[str, Any]:
    """Read what `save` wrote.

    Args:
        path: the file.
        map_location: the device that tensors come to; CPU by default.

    Raises:
        InputError: if the file is missing, damaged, or not a checkpoint of this package. A pickle
            is never read: it could run any code.
    """
    if not Path(path).is_file():
        raise InputError(f"There is no checkpoint {path}.")
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # no dict
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} can't be read as a checkpoint ({error}). It may be damaged, or a pickle that "
            "RecBole wrote without this package; pickles can run code and are not read. "
            "Train the model again, or convert the file in a process that trusts it."
        ) from None
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} is a safetensors file of format {metadata.get('format')!r}, but a checkpoint "
            f"of this package has {FORMAT!r}."
        )
    tree: dict[str, Any] = _decode(json.loads(metadata["state"]), tensors, map_location)
    return tree


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
