"""What changes in RecBole's Dataset, for every model: one strict reading, and an order in time.

Under our protocol (a Config of ours, or a model of ours) data that RecBole would drop, make up or
put in no order are refused; a stock run of RecBole's own model keeps RecBole's ways there.
"""

import codecs
import logging
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.model.registry import is_ours
from recbole_symcere.plugin.stock_models import is_sequential

__all__ = ["change_dataset"]

_log = logging.getLogger(__name__)


def change_dataset(module: ModuleType) -> None:
    """Change `recbole.data.dataset.dataset.Dataset`.

    * Files are read strictly, see `recbole_symcere.data.atomic`.
    * Rows are sorted by their float64 times before RecBole sorts them by float32, whose steps are
      128 s today; that sort is stable and monotone, so it keeps this order (RecBole #2204). Among
      equal times a hash of user and item decides, see `recbole_symcere.data.chronology`.
    * A random split is drawn by ``split_seed`` if that is given: see `_by_its_own_seed`.
    * What a split may not have is refused: see `_checked_build`.
    * Pairs that the splits may lack are kept as ``left_out``, see `recbole_symcere.data.left_out`.
    """
    dataset = module.Dataset
    module.pd = _StrictPandas(module.pd)  # type: ignore[attr-defined]
    dataset._load_feat = _checked_load(dataset._load_feat)
    dataset._load_inter_feat = _checked_interactions(dataset._load_inter_feat)
    dataset._data_filtering = _remembering(dataset._data_filtering)
    dataset._data_processing = _in_order_of_time(_with_left_out(dataset._data_processing))
    dataset._reset_index = _checked_filters(dataset._reset_index)
    dataset.shuffle = _by_its_own_seed(dataset.shuffle)
    dataset.build = _checked_build(dataset.build)


def _is_strict(config: Any) -> bool:
    return config.common_protocol or is_ours(config["model"])


class _StrictPandas(ModuleType):
    """pandas for RecBole's module, whose `read_csv` reads atomic files strictly."""

    def __init__(self, pandas: ModuleType) -> None:
        super().__init__(pandas.__name__)
        self._pandas = pandas

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pandas, name)

    def read_csv(self, path: Any, delimiter: str, usecols: list[str], **how: Any) -> Any:
        """As RecBole calls it."""
        from recbole_symcere.data.atomic import read_atomic

        if len(delimiter) != 1:
            return self._pandas.read_csv(path, delimiter=delimiter, usecols=usecols, **how)
        words = not str(path).endswith(".inter")
        return read_atomic(path, delimiter, usecols, how["encoding"] or "utf-8", words)


def _checked_load(load: Callable[..., Any]) -> Callable[..., Any]:
    """Check the header before RecBole leaves out a column that it can't find."""

    @wraps(load)
    def loaded(self: Any, filepath: str, source: Any) -> Any:
        from recbole_symcere.data.atomic import check_header

        config, kind = self.config, str(getattr(source, "value", source)).split("_")[0]
        encoding = config["encoding"] or "utf-8"
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise InputError(
                f"encoding is {encoding!r}, which Python doesn't know; expected a name such as "
                "utf-8."
            ) from None
        needed = {}
        if kind == "inter" and _is_strict(config):
            needed = {"USER_ID_FIELD": self.uid_field, "ITEM_ID_FIELD": self.iid_field}
            if (config["eval_args"] or {}).get("order") == "TO":
                needed["TIME_FIELD"] = self.time_field
        asked = (config.external_config_dict.get("load_col") or {}).get(kind) or ()
        check_header(
            filepath, config["field_separator"], needed, encoding, () if asked == "*" else asked
        )
        return load(self, filepath, source)

    return loaded


def _checked_interactions(load: Callable[..., None]) -> Callable[..., None]:
    """Check the values of all interactions, whatever files they come from."""

    @wraps(load)
    def loaded(self: Any, token: str, dataset_path: str) -> None:
        load(self, token, dataset_path)
        strict = _is_strict(self.config)  # else RecBole drops what lacks a value, and says so
        from recbole_symcere.data.atomic import check_interactions, check_times

        names = self.benchmark_filename_list
        parts = [(f"{token}.inter", len(self.inter_feat))]
        if names is not None:
            files = (f"{token}.{name}.inter" for name in names)
            parts = list(zip(files, self.file_size_list, strict=True))
        fields = [self.uid_field, self.iid_field, self.config["RATING_FIELD"], self.time_field]
        if strict:
            check_interactions(self.inter_feat, fields, parts)
        if self.time_field in self.inter_feat and names is None and _by_time(self.config):
            kind = self.field2type[self.time_field].value
            if kind != "float":
                raise InputError(
                    f"{token}.inter: {self.time_field} is of type {kind}, but times must be of "
                    f"type float to be in order: {self.time_field}:float, in seconds since 1970."
                )
            check_times(self.inter_feat[self.time_field].to_numpy(), self.time_field, parts)

    return loaded


def _checked_filters(reset_index: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(reset_index)
    def reset(self: Any) -> None:
        if self.inter_feat.empty:
            keys = ("user_inter_num_interval", "item_inter_num_interval", "val_interval")
            given = ", ".join(f"{key}: {self.config[key]}" for key in keys)
            raise InputError(
                f"Of {self.dataset_name} no interaction is left after the filters {given}. "
                "Loosen one of them."
            )
        reset_index(self)

    return reset


def _remembering(data_filtering: Callable[[Any], None]) -> Callable[[Any], None]:
    """Hold on to the pairs that val_interval may take; other filters take users or items whole."""

    @wraps(data_filtering)
    def filtered(self: Any) -> None:
        if self.config["val_interval"]:
            self.unfiltered = [self.inter_feat[field] for field in (self.uid_field, self.iid_field)]
        data_filtering(self)

    return filtered


def _with_left_out(data_processing: Callable[[Any], None]) -> Callable[[Any], None]:
    """Know the held pairs by their ids, once there are some."""

    @wraps(data_processing)
    def processed(self: Any) -> None:
        import numpy as np

        self.unfiltered = None
        data_processing(self)
        self.left_out = np.empty(0, np.int64)
        if self.unfiltered is not None:
            from recbole_symcere.data.left_out import keys_of_names

            self.left_out = keys_of_names(self, *self.unfiltered)
        del self.unfiltered

    return processed


def _by_time(config: Any) -> bool:
    return (config["eval_args"] or {}).get("order") == "TO"


def _in_order_of_time(data_processing: Callable[[Any], None]) -> Callable[[Any], None]:
    """Sort rows by float64 time and, among equal times, by a hash or the order of the file.

    The data set and its parts get ``timed_pairs``, what `row_times` reads.
    """

    @wraps(data_processing)
    def processed(self: Any) -> None:
        data_processing(self)
        self.timed_pairs, self.is_in_order = None, False
        if self.time_field not in self.inter_feat:
            return
        import numpy as np

        from recbole_symcere.data.left_out import pair_keys

        times = self.inter_feat[self.time_field].to_numpy()
        pairs = pair_keys(self)
        self.timed_pairs = pairs, times
        if not _by_time(self.config) or self.benchmark_filename_list is not None:
            return
        keys = np.zeros(len(times), dtype=np.uint64)
        if self.config["tie_order"] != "file":  # a stock run's Config doesn't know the setting
            from recbole_symcere.data.chronology import tie_keys, token_hashes

            user, item = (
                token_hashes(self.field2id_token[f])[self.inter_feat[f].to_numpy()]
                for f in (self.uid_field, self.iid_field)
            )
            keys = tie_keys(user, item, self.config["tie_seed"] or 0)
        order = np.lexsort((keys, times))
        self.inter_feat = self.inter_feat.iloc[order].reset_index(drop=True)
        self.timed_pairs, self.is_in_order = (pairs[order], times[order]), True

    return processed


def _by_its_own_seed(shuffle: Callable[[Any], None]) -> Callable[[Any], None]:
    """Shuffle by ``split_seed``, which touches no other draw; without it by the run's seed."""

    @wraps(shuffle)
    def shuffled(self: Any) -> None:
        seed = self.config["split_seed"]
        if seed is None:
            shuffle(self)
            return
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            shuffle(self)

    return shuffled


def _checked_build(build: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """Refuse a split that says nothing or repeats what was trained; tell of ties in time.

    The training part gets an attribute ``tied_users``, see `tied_share`; None without an order.
    """

    @wraps(build)
    def built(self: Any) -> list[Any]:
        import numpy as np

        from recbole_symcere.data.left_out import pair_keys

        if _is_strict(self.config):
            _refuse_too_small(self)
        keys = self.left_out
        if is_sequential(self.config):  # a user's only interaction makes no row
            keys = np.concatenate([keys, pair_keys(self)])
        parts = build(self)
        if len(parts) != 3:
            raise InputError(
                f"benchmark_filename is {self.benchmark_filename_list}, but three parts are "
                "needed: training, validation and test, in this order."
            )
        parts[0].left_out = keys
        parts[0].tied_users = None
        if self.is_in_order:
            from recbole_symcere.data.chronology import tied_share

            n_train = np.bincount(
                parts[0].inter_feat[self.uid_field].numpy(), minlength=self.user_num
            )
            if is_sequential(self.config):  # a user's first interaction is nothing to predict
                n_train += n_train > 0
            pairs, times = self.timed_pairs
            parts[0].tied_users = tied_share(pairs // self.item_num, times, n_train)
        _refuse_repeats(self.config, parts)
        return parts

    return built


def _refuse_too_small(dataset: Any) -> None:
    for kind, count in (("user", dataset.user_num - 1), ("item", dataset.item_num - 1)):
        if count < 2:
            raise InputError(
                f"{dataset.dataset_name} has only {count} {kind} after the filters, but models "
                "learn by comparing several. Loosen user_inter_num_interval, "
                "item_inter_num_interval or val_interval, or take other data."
            )


def _refuse_repeats(config: Any, parts: list[Any]) -> None:
    """Stop where a held-out pair was trained on: it isn't masked, and so it is a sure hit."""
    if config["repeatable"] or config["allow_repeats"]:
        return
    import numpy as np

    from recbole_symcere.base.sorted_ids import among
    from recbole_symcere.data.left_out import pair_keys

    known = np.sort(pair_keys(parts[0]))
    for name, part in zip(("validation", "test"), parts[1:], strict=True):
        held_out = pair_keys(part)
        n = int(among(held_out, known).sum())
        if not n:
            continue
        said = (
            f"{n:,} of the {len(held_out):,} pairs of the {name} part stand in the training part "
            "too: they are not masked when items are ranked, so each is a sure hit."
        )
        if not _is_strict(config):
            _log.warning(said)
            continue
        raise InputError(
            f"{said} Remove them, take rm_dup_inter: first, or give --allow_repeats=True if that "
            "is meant."
        )
