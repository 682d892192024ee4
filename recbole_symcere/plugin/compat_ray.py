"""Ray 2.6.3 and 2.60 for RecBole and for our search; Ray is imported when it is needed."""

import importlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from recbole_symcere.plugin.compat_arrays import numpy_aliases

__all__ = [
    "bind_ray_to_loopback",
    "optional_ray",
    "quick_start_shims",
    "ray_api",
    "ray_settings",
    "use_ray_token",
]


def optional_ray() -> None:
    """Without Ray `recbole.quick_start` can't be imported, though only tuning uses it (#1518)."""
    if "ray" in sys.modules or importlib.util.find_spec("ray") is not None:
        return
    stub = ModuleType("ray")
    stub.tune = SimpleNamespace()  # type: ignore[attr-defined]
    sys.modules["ray"] = stub


def quick_start_shims(module: ModuleType, load_data_and_model: Callable[[str], Any]) -> None:
    """Mend `recbole.quick_start.quick_start`.

    * its `tune.report(**result)` fails on Ray >= 2.7 and outside of a Ray trial (#1990, #1741);
    * its `load_data_and_model` imports torch by itself, so it needs one that reads our checkpoints.

    Args:
        module: RecBole's.
        load_data_and_model: what takes the place of its function of that name.
    """
    stub = sys.modules.get("ray")
    if stub is not None and getattr(stub, "__file__", None) is None:
        del sys.modules["ray"]  # put there by optional_ray for the length of this import
    module.tune = SimpleNamespace(report=_ray_report)  # type: ignore[attr-defined]
    load_data_and_model.__doc__ = module.load_data_and_model.__doc__
    for place in (module, sys.modules.get("recbole.quick_start")):
        if hasattr(place, "load_data_and_model"):
            place.load_data_and_model = load_data_and_model  # type: ignore[union-attr]


def ray_api() -> SimpleNamespace:
    """Ray Tune's names that moved after Ray 2.6.3, in one place."""
    from ray import air, tune

    names: tuple[str, ...] = ("Checkpoint", "RunConfig", "FailureConfig", "CheckpointConfig")
    if hasattr(tune, "RunConfig"):
        names = (*names, "report", "get_checkpoint")
        return SimpleNamespace(**{name: getattr(tune, name) for name in names})
    from ray.air import session

    moved = {"report": session.report, "get_checkpoint": session.get_checkpoint}
    return SimpleNamespace(**{name: getattr(air, name) for name in names}, **moved)


def ray_settings() -> dict[str, Any]:
    """What `ray.init` must be told so that its workers run.

    Ray 2.6.3 imports names that NumPy 2 dropped (#2162), in its workers too, and it runs the hook
    before it tells them where the package lies.
    """
    from ray import tune

    if hasattr(tune, "RunConfig"):
        return {}
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    return {"runtime_env": {"worker_process_setup_hook": numpy_aliases, "env_vars": variables}}


def bind_ray_to_loopback() -> None:
    """Let a Ray that starts in this process listen to this machine alone.

    On Linux every Ray binds all interfaces, even one without a cluster (ray-project/ray#18730 made
    that a switch, for other systems). To be called before `ray.init`.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # for Ray's own processes
    import ray

    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False  # read when Ray was imported


def use_ray_token() -> None:
    """Show a cluster the token that Ray keeps for this user, if there is one.

    Ray 2.60 gives every Ray that it starts a token, `ray start --head` included, but doesn't use it
    by itself to connect. For a cluster without tokens RAY_AUTH_MODE=disabled has to be set, or none
    of its actors would start.
    """
    name = "ray._private.authentication.authentication_token_setup"
    try:
        setup = importlib.import_module(name)
    except ImportError:  # Ray 2.6.3 knows no tokens
        return
    logging.getLogger(name).setLevel(logging.ERROR)  # it would say that tokens can be switched off
    setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _in_ray_trial() -> bool:
    from ray import tune

    if hasattr(tune, "is_session_enabled"):  # Ray <= 2.6
        return bool(tune.is_session_enabled())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # get_trial_id warns outside of a trial
        return tune.get_context().get_trial_id() is not None


def _ray_report(**metrics: float) -> None:
    """`tune.report(**metrics)` for every Ray; nothing outside of a trial."""
    if "ray.tune" in sys.modules and _in_ray_trial():
        ray_api().report(metrics)
