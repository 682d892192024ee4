"""Version quirks of RecBole, torch, hyperopt; the neighbours compat_* know NumPy, pandas, Ray.

No other file knows one. Every shim names the version that needs it and the upstream issue that it
answers, asks for what is missing rather than for a version where it can, and does nothing where it
isn't needed. Issue numbers are those of RUCAIBox/RecBole. `register` queues the shims; nothing here
imports RecBole by itself.
"""

from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType, SimpleNamespace
from typing import Any

from recbole_symcere.base.packages import version_of

__all__ = ["anomaly_mode_shims", "collector_shims", "hyper_tuning_shims", "torch_proxy"]

# --- torch ---------------------------------------------------------------------------------------


class _Proxy(ModuleType):
    """A module of which a few names are replaced; every other name is the original's."""

    def __init__(self, original: ModuleType, **replaced: Any) -> None:
        super().__init__(original.__name__)
        self.__dict__.update(replaced, _original=original)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def torch_proxy(module: ModuleType) -> None:
    """Mend the use of torch in ``module``: RecBole's trainer, or a model that reads another's file.

    * torch >= 2.6 can't read the checkpoints that RecBole pickles (#2212): `torch.save` and
      `torch.load` use our checkpoint format there, which holds no pickle at all;
    * torch >= 2.4 warns of `torch.cuda.amp.GradScaler` in every epoch (seen in #2154).
    """
    import torch

    from recbole_symcere.plugin import checkpoint

    def save(state: dict[str, Any], path: Any, **_: Any) -> None:
        checkpoint.save(path, state)

    def load(path: Any, map_location: Any = None, **_: Any) -> Any:
        return checkpoint.load(path, map_location)

    if not isinstance(module.torch, _Proxy):
        module.torch = _Proxy(torch, save=save, load=load)  # type: ignore[attr-defined]
        if hasattr(torch.amp, "GradScaler") and hasattr(module, "amp"):
            scaler = partial(torch.amp.GradScaler, "cuda")
            module.amp = _Proxy(module.amp, GradScaler=scaler)  # type: ignore[attr-defined]


def anomaly_mode_shims() -> tuple[Callable[[], None], Callable[[ModuleType], None]]:
    """What runs before and after RecBole's SINE is imported, so that it changes no other model.

    RecBole 1.2.1's SINE turns autograd's anomaly mode on where its module is imported, and the
    look-up of any sequential or knowledge-aware model imports it. From there on each operation of
    the process's trainings stores a traceback.
    """
    before: list[tuple[bool, bool]] = []

    def remember_anomaly_mode() -> None:
        import torch

        before.append((torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()))

    def restore_anomaly_mode(_: ModuleType) -> None:
        import torch

        torch.autograd.set_detect_anomaly(*before.pop())

    return remember_anomaly_mode, restore_anomaly_mode


# --- RecBole's evaluator --------------------------------------------------------------------------


def collector_shims(module: ModuleType) -> None:
    """RecBole 1.2.1 calls ``.cpu()`` on numbers and counters too (since PR #2071).

    So ItemCoverage, AveragePopularity, GiniIndex and TailPercentage end in an AttributeError.
    """
    collector = module.Collector
    get_data_struct = collector.get_data_struct

    @wraps(get_data_struct)
    def only_tensors(self: Any) -> Any:
        data = self.data_struct._data_dict
        others = {key: data.pop(key) for key in [*data] if not hasattr(data[key], "cpu")}
        try:
            struct = get_data_struct(self)
        finally:
            data.update(others)
        struct._data_dict.update(others)
        return struct

    collector.get_data_struct = only_tensors


# --- hyperopt ------------------------------------------------------------------------------------


_GENERATORS = (0, 2, 6)


def hyper_tuning_shims(module: ModuleType) -> None:
    """Hyperopt >= 0.2.6 wants a `numpy.random.Generator` where RecBole gives a RandomState (#1182).

    Only the search that walks the whole grid is touched.
    """
    version = version_of("hyperopt")
    if version is None or tuple(int(part) for part in version.split(".")[:3]) < _GENERATORS:
        return
    search = module.exhaustive_search
    numpy = module.np

    @wraps(search)
    def exhaustive_search(*args: Any, **kwargs: Any) -> Any:
        state = SimpleNamespace(RandomState=numpy.random.default_rng)
        module.np = _Proxy(numpy, random=state)  # type: ignore[attr-defined]
        try:
            return search(*args, **kwargs)
        finally:
            module.np = numpy  # type: ignore[attr-defined]

    module.exhaustive_search = exhaustive_search  # type: ignore[attr-defined]
