"""The only place that knows a version quirk of NumPy, SciPy, pandas, torch, Ray or RecBole.

Every shim names the version that needs it and the upstream issue that it answers, asks for what is
missing rather than for a version where it can, and does nothing where it isn't needed. Issue
numbers are those of RUCAIBox/RecBole. `register` queues the shims; nothing here imports RecBole by
itself.
"""

import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType, SimpleNamespace
from typing import Any

__all__ = [
    "RECBOLE_VERSION",
    "check_recbole",
    "collector_shims",
    "dataset_shims",
    "hyper_tuning_shims",
    "numpy_aliases",
    "optional_ray",
    "quick_start_shims",
    "ray_api",
    "scipy_dok_update",
    "torch_proxy",
]

RECBOLE_VERSION = "1.2.1"


def check_recbole() -> None:
    """Stop with the command that mends it if RecBole is missing or of another version.

    On Python 3.12 and newer a plain ``pip install recbole`` gives 1.2.0 without a word, because
    1.2.1 pins a Ray that has no build there (#2105, #1820).

    Raises:
        ImportError: if RecBole 1.2.1 isn't installed.
    """
    command = f"{sys.executable} -m pip install --no-deps recbole=={RECBOLE_VERSION}"
    try:
        found = importlib.metadata.version("recbole")
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(f"RecBole isn't installed. Install it with: {command}") from None
    if found != RECBOLE_VERSION:
        raise ImportError(
            f"RecBole {found} is installed, but recbole_symcere needs {RECBOLE_VERSION}. "
            f"Install it with: {command}"
        )


def numpy_aliases() -> None:
    """NumPy >= 1.24 and 2: names that RecBole and Ray 2.6.3 still use (#2162, PR #2203)."""
    import numpy as np

    for name, value in (
        ("bool8", np.bool_),
        ("complex_", np.complex128),
        ("float", np.float64),
        ("float_", np.float64),
        ("unicode_", np.str_),
    ):
        if name not in vars(np):
            setattr(np, name, value)


def scipy_dok_update() -> None:
    """SciPy >= 1.13: `dok_matrix._update`, which LightGCN, NGCF and others call (#2034, #2185)."""
    from scipy.sparse import dok_matrix

    if not hasattr(dok_matrix, "_update"):
        dok_matrix._update = lambda self, entries: self._dict.update(entries)


# --- pandas --------------------------------------------------------------------------------------


def dataset_shims(module: ModuleType) -> None:
    """Mend `recbole.data.dataset.dataset.Dataset` for pandas 3 and for times of one second.

    * pandas 3 ignores ``column.fillna(inplace=True)``: missing values would stay (no issue yet);
    * pandas 3 breaks ``Series.agg(len)`` on sequence columns (no issue yet);
    * repeated pairs are sorted by an unstable sort before the first or last is kept;
    * times become float32, whose step is 128 s today, before they are sorted (#2204, #1653, #1762).
    """
    import pandas as pd

    dataset = module.Dataset
    if int(pd.__version__.split(".")[0]) >= 3:
        dataset._fill_nan = _fill_nan
        dataset._concat_remaped_tokens = _concat_tokens
        dataset._remap = _remap
        # pandas 3 gives read-only arrays, of which RecBole makes tensors that it only reads
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    dataset._remove_duplication = _remove_duplication
    dataset._data_processing = _in_order_of_time(dataset._data_processing)


def _fill_nan(self: Any) -> None:
    """`Dataset._fill_nan` by assignment: PAD (0) for tokens, the mean for floats."""
    import numpy as np

    for name in self.feat_name_list:
        feat = getattr(self, name)
        for field in feat:
            kind = self.field2type[field].value
            if kind == "token":
                feat[field] = feat[field].fillna(0)
            elif kind == "float":
                feat[field] = feat[field].fillna(feat[field].mean())
            else:
                empty = np.array([], dtype=np.int64 if kind == "token_seq" else np.float64)
                values = [empty if isinstance(x, float) else x for x in feat[field]]
                feat[field] = _sequences(values, feat.index)


def _sequences(values: list[Any], index: Any) -> Any:
    """A pandas column that holds one array per row."""
    import numpy as np
    import pandas as pd

    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        column[row] = value
    return pd.Series(column, index=index)


def _concat_tokens(self: Any, remap_list: list[Any]) -> tuple[Any, Any]:  # noqa: ARG001 # a method
    """`Dataset._concat_remaped_tokens` without ``Series.agg(np.concatenate)``."""
    import numpy as np

    tokens = [
        np.asarray(feat[field], dtype=object)
        if kind.value == "token"
        else np.concatenate([np.asarray(x, dtype=object) for x in feat[field]])
        for feat, field, kind in remap_list
    ]
    return np.concatenate(tokens), np.cumsum([len(part) for part in tokens])[:-1]


def _remap(self: Any, remap_list: list[Any]) -> None:
    """`Dataset._remap` without ``Series.agg(len)``."""
    import numpy as np
    import pandas as pd

    if not remap_list:
        return
    tokens, split_point = self._concat_remaped_tokens(remap_list)
    ids, names = pd.factorize(tokens)
    names = np.array(["[PAD]", *names])
    ids_of = {name: number for number, name in enumerate(names)}
    for (feat, field, kind), new_ids in zip(
        remap_list, np.split(ids + 1, split_point), strict=True
    ):
        self.field2id_token.setdefault(field, names)
        self.field2token_id.setdefault(field, ids_of)
        if kind.value == "token":
            feat[field] = new_ids
        else:
            ends = np.cumsum([len(x) for x in feat[field]])[:-1]
            feat[field] = _sequences(np.split(new_ids, ends), feat.index)


def _remove_duplication(self: Any) -> None:
    """`Dataset._remove_duplication`, stably sorted: rows of one second keep the file's order."""
    keep = self.config["rm_dup_inter"]
    if keep is None:
        return
    self._check_field("uid_field", "iid_field")
    if self.time_field in self.inter_feat:
        self.inter_feat = self.inter_feat.sort_values(self.time_field, kind="stable")
    else:
        self.logger.warning(
            f"TIME_FIELD [{self.time_field}] isn't loaded, so rm_dup_inter={keep} goes by the "
            "order of the file."
        )
    pair = [self.uid_field, self.iid_field]
    self.inter_feat = self.inter_feat.drop_duplicates(subset=pair, keep=keep)


def _in_order_of_time(data_processing: Callable[[Any], None]) -> Callable[[Any], None]:
    """Sort rows by their float64 times (#2204).

    The later float32 sort is stable and monotone, so it keeps that order.
    """

    @wraps(data_processing)
    def processed(self: Any) -> None:
        data_processing(self)
        by_time = (self.config["eval_args"] or {}).get("order") == "TO"
        if by_time and self.benchmark_filename_list is None and self.time_field in self.inter_feat:
            self.inter_feat = self.inter_feat.sort_values(
                self.time_field, kind="stable", ignore_index=True
            )

    return processed


# --- torch ---------------------------------------------------------------------------------------


class _Proxy(ModuleType):
    """A module of which a few names are replaced; every other name is the original's."""

    def __init__(self, original: ModuleType, **replaced: Any) -> None:
        super().__init__(original.__name__)
        self.__dict__.update(replaced, _original=original)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def torch_proxy(module: ModuleType) -> None:
    """Mend the use of torch in ``module``, which is `recbole.trainer.trainer`.

    * torch >= 2.6 can't read the checkpoints that RecBole pickles (#2212): `torch.save` and
      `torch.load` use our checkpoint format there, which holds no pickle at all;
    * torch >= 2.4 warns of `torch.cuda.amp.GradScaler` in every epoch (seen in #2154).
    """
    import torch

    from recbole_symcere import checkpoint

    def save(state: dict[str, Any], path: Any, **_: Any) -> None:
        checkpoint.save(path, state)

    def load(path: Any, map_location: Any = None, **_: Any) -> Any:
        return checkpoint.load(path, map_location)

    if not isinstance(module.torch, _Proxy):
        module.torch = _Proxy(torch, save=save, load=load)  # type: ignore[attr-defined]
        if hasattr(torch.amp, "GradScaler"):
            scaler = partial(torch.amp.GradScaler, "cuda")
            module.amp = _Proxy(module.amp, GradScaler=scaler)  # type: ignore[attr-defined]


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


# --- Ray and hyperopt ----------------------------------------------------------------------------


def optional_ray() -> None:
    """Without Ray `recbole.quick_start` can't be imported, though only tuning uses it (#1518)."""
    if "ray" in sys.modules or importlib.util.find_spec("ray") is not None:
        return
    stub = ModuleType("ray")
    stub.tune = SimpleNamespace()  # type: ignore[attr-defined]
    sys.modules["ray"] = stub


def quick_start_shims(module: ModuleType) -> None:
    """Mend `recbole.quick_start.quick_start`.

    * its `tune.report(**result)` fails on Ray >= 2.7 and outside of a Ray trial (#1990, #1741);
    * its `load_data_and_model` imports torch by itself, so it needs our reader of checkpoints.
    """
    stub = sys.modules.get("ray")
    if stub is not None and getattr(stub, "__file__", None) is None:
        del sys.modules["ray"]  # put there by optional_ray for the length of this import
    module.tune = SimpleNamespace(report=_ray_report)  # type: ignore[attr-defined]

    def load_data_and_model(model_file: str) -> tuple[Any, ...]:
        from recbole_symcere.quick_start import load_data_and_model

        return load_data_and_model(model_file)

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
    session = air.session
    moved = {"report": session.report, "get_checkpoint": session.get_checkpoint}
    return SimpleNamespace(**{name: getattr(air, name) for name in names}, **moved)


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


def hyper_tuning_shims(module: ModuleType) -> None:
    """Hyperopt >= 0.2.6 wants a `numpy.random.Generator` where RecBole gives a RandomState (#1182).

    Only the search that walks the whole grid is touched.
    """
    try:
        version = importlib.metadata.version("hyperopt")
    except importlib.metadata.PackageNotFoundError:
        return
    if tuple(int(part) for part in version.split(".")[:3]) < (0, 2, 6):
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
