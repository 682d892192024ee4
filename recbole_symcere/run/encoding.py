"""Encodes what a run would encode before it trains, by building its model."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.live_line import step
from recbole_symcere.base.storage import remove_leftovers
from recbole_symcere.model.registry import text_use
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, read_dataset, split_data
from recbole_symcere.run.ray_cluster import connected
from recbole_symcere.text.vectors import Account, encoding_by

__all__ = ["Encoding", "encode"]


class Encoding(NamedTuple):
    """What was encoded.

    Attributes:
        accounts: one for each file of vectors.
        workers: of the cluster; 0 on this machine alone.
        nodes: of the cluster.
    """

    accounts: list[Account]
    workers: int
    nodes: int


def encode(
    model: str,
    dataset: str,
    settings: Mapping[str, Any] | None = None,
    files: Sequence[str] = (),
    ray_address: str | None = None,
    workers: int | None = None,
) -> Encoding:
    """Compute the text vectors that a run needs, and keep them in its cache.

    The model is built as a run builds it and thrown away, so that this holds for every model.

    Args:
        model: name of a model that reads texts.
        dataset: name of the data set.
        settings: of the run.
        files: yaml files of settings.
        ray_address: a Ray cluster, "auto" or host:port; None for this process alone.
        workers: how many of the cluster; all if None.

    Returns:
        What was done.

    Raises:
        InputError: for a mistake in the settings or the data, a model that encodes nothing before
            it trains, or a cluster that can't be reached.
    """
    config = Config(model, dataset, [*files], settings)
    if text_use(config["model"]) == "none":
        raise InputError(f"{config['model']} reads no texts, so there is nothing to encode.")
    cache = Path(config["cache_dir"])
    remove_leftovers(cache, cache / "tokens", cache / "vectors")
    with _workers(ray_address, workers, bool(config["use_gpu"])) as executor:
        step(f"reading {dataset}")
        train_data, _, _ = split_data(config, read_dataset(config))
        step("encoding")
        with encoding_by(executor) as accounts:
            build_model(config, train_data)
    if not accounts:
        raise InputError(
            f"A run of {config['model']} with these settings encodes nothing before it trains"
            + _REMEDY * (text_use(config["model"]) == "batch")
        )
    first = {account.path: account for account in reversed(accounts)}
    accounts = [account for account in accounts if account is first[account.path]]
    if executor is None:
        return Encoding(accounts, 0, 0)
    return Encoding(accounts, executor.n_workers, len(executor.nodes))


_REMEDY = ": it trains the text encoder. Give --text_mode=frozen, to the run too."


@contextlib.contextmanager
def _workers(address: str | None, workers: int | None, use_gpu: bool) -> Iterator[Any]:
    if address is None:
        yield None
        return
    with connected(address):
        from recbole_symcere.run.ray_encoding import RayWorkers

        yield RayWorkers(workers, use_gpu)
