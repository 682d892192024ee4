"""Starts Ray on this machine or joins a cluster, and decides how many trials run at a time."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

from recbole_symcere.base.errors import InputError
from recbole_symcere.plugin.compat_ray import bind_ray_to_loopback, ray_settings, use_ray_token
from recbole_symcere.tune.search_options import SearchOptions

__all__ = ["connected", "trial_resources"]

_SECONDS_TO_CONNECT = 3.0
_MEMORY_HEADROOM = 0.8
_MEMORY_OF_A_TRIAL = 1.5e9  # bytes: torch, transformers and RecBole loaded


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray for the length of a block; one that is there already is left running.

    Without ``address`` Ray starts on this machine alone, bound to the loopback interface, without
    dashboard and usage reports.

    Raises:
        InputError: if Ray isn't installed, or the cluster can't be reached (found out in seconds).
    """
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
        os.environ.setdefault("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")
        import ray
    except ImportError:
        raise InputError("tune needs Ray: pip install 'ray[tune]'.") from None
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the tables say which trials failed
    if ray.is_initialized():
        if address is not None:
            raise InputError("This process is connected to a Ray already; leave out ray_address.")
        yield
        return
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False, **ray_settings()}
    if address is None:
        bind_ray_to_loopback()
        with _own_signals():
            ray.init(address="local", include_dashboard=False, **quiet)
    else:
        _check_reachable(address)
        use_ray_token()
        try:
            with _own_signals():
                ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _unreachable(address, str(error).splitlines()[0]) from None
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our way to end at SIGTERM, which Ray replaces when it starts."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if callable(before) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _check_reachable(address: str) -> None:
    """Ray itself would try for a minute."""
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise InputError(f"ray_address is {address!r}; expected auto or host:port.")
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from None


def _unreachable(address: str, reason: str) -> InputError:
    return InputError(
        f"There is no Ray cluster at {address} ({reason}). Start one with `ray start --head`, or "
        "leave ray_address out to search on this machine."
    )


def trial_resources(options: SearchOptions) -> tuple[dict[str, float], int]:
    """What a trial gets, and how many run at a time.

    Args:
        options: of the search.

    Returns:
        Ray's resources {"cpu", "gpu"}, and the number of trials that fit in cores, GPUs and memory.

    Raises:
        InputError: if a trial wants more than the machine or cluster has: it would wait forever.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most_gpus = max(node.get("GPU", 0.0) for node in nodes)
    wanted_gpus = min(most_gpus, 1.0) if options.gpus_per_trial is None else options.gpus_per_trial
    wanted = {"CPU": options.cpus_per_trial, "GPU": wanted_gpus}
    for name, amount in wanted.items():
        found = max(node.get(name, 0.0) for node in nodes)
        if amount > found:
            raise InputError(
                f"{name.lower()}s_per_trial is {amount:g}, but Ray has {found:g} here"
                f"{' on one node' * (len(nodes) > 1)}, so trials would wait forever."
            )
    # a trial runs on one node, which must have all that it wants
    able = [node for node in nodes if all(node.get(k, 0.0) >= v for k, v in wanted.items())]
    if not able:
        raise InputError(
            f"No node of the cluster has both {wanted['CPU']:g} CPU and {wanted_gpus:g} GPU, so "
            "trials would wait forever. Change cpus_per_trial or gpus_per_trial."
        )
    concurrent = sum(_fit(node, wanted) for node in able)
    if options.max_concurrent and options.scheduler in {"hyperband", "pbt"}:
        raise InputError(
            f"{options.scheduler} compares all trials with each other, so max_concurrent would "
            "change what it finds; leave it out, or give a trial more cores (cpus_per_trial)."
        )
    if options.max_concurrent:
        concurrent = min(concurrent, options.max_concurrent)
    return {"cpu": options.cpus_per_trial, "gpu": wanted_gpus}, concurrent


def _fit(node: dict[str, float], wanted: dict[str, float]) -> int:
    """How many trials a node that has room for one runs at a time."""
    fit = [node[name] / amount for name, amount in wanted.items() if amount]
    if node.get("memory"):
        fit.append(_MEMORY_HEADROOM * node["memory"] / _MEMORY_OF_A_TRIAL)
    return max(1, int(min(fit)))
