"""Starts Ray on this machine or joins a cluster."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

from recbole_symcere.base.errors import InputError
from recbole_symcere.plugin.compat_ray import bind_ray_to_loopback, ray_settings, use_ray_token

__all__ = ["connected", "reason_of"]

_SECONDS_TO_CONNECT = 3.0
_LONGEST_REASON = 200


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
        raise InputError("This needs Ray: pip install 'ray[tune]'.") from None
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


def reason_of(error: Exception) -> str:
    """What Ray says of a worker that was lost, in a few words."""
    told = str(error).strip()
    if "memory" in told and "OOM" in told:
        return "a node ran out of memory"
    reason = (told.splitlines() or [type(error).__name__])[-1].rstrip(".")[:_LONGEST_REASON]
    if "never ran" in reason:
        reason += "; for a cluster without token authentication set RAY_AUTH_MODE=disabled"
    return reason


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
        "leave ray_address out to do it on this machine."
    )
