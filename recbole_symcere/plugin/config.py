"""The Config of our own functions: RecBole's, with every mistake reported.

It also never reads ``sys.argv``, which belongs to the process that calls us.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recbole.config.configurator import Config as RecBoleConfig
from recbole.utils import get_model

from recbole_symcere.base.errors import InputError
from recbole_symcere.model.registry import MODELS, adopted
from recbole_symcere.plugin.names import (
    check_dataset_name,
    no_such_model,
    read_settings,
    refuse_missing_data,
    refuse_missing_names,
)
from recbole_symcere.plugin.nested_settings import NESTED, merged
from recbole_symcere.plugin.refusals import check_settings
from recbole_symcere.plugin.stock_models import is_recboles, model_kinds
from recbole_symcere.plugin.stock_needs import refuse_unable, refuse_unranked

__all__ = ["Config", "StoredConfig"]


class Config(RecBoleConfig):  # type: ignore[misc] # RecBole has no types
    """RecBole's Config for our functions.

    The settings of ``properties/overall.yaml`` hold for every model, so that all are compared under
    one protocol.

    Args:
        model: name or class; if None, the key ``model`` of the dictionary or the files.
        dataset: name; if None, the key ``dataset``.
        config_file_list: yaml files; later ones win.
        config_dict: settings that win over the files.

    Raises:
        InputError: for an unknown model, data set or key (with the closest known one), and for a
            file that can't be read.
    """

    common_protocol = True

    def __init__(
        self,
        model: str | type | None = None,
        dataset: str | None = None,
        config_file_list: list[str] | None = None,
        config_dict: Mapping[str, Any] | None = None,
    ) -> None:
        settings = dict(config_dict or {})
        for key, value in (("model", model), ("dataset", dataset)):
            if value is not None:
                settings.pop(key, None)
        try:
            super().__init__(
                model=model,
                dataset=dataset,
                config_file_list=config_file_list,
                config_dict=settings,
            )
        except (TypeError, ValueError, LookupError, RuntimeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"RecBole refuses these settings: {error}. Look at metrics, topk, eval_args and "
                "train_neg_sample_args."
            ) from error
        check_settings(self)
        named = self.external_config_dict.get("data_path")
        refuse_missing_data(Path(self["data_path"]), self["dataset"], named)
        if is_recboles(self.model_class):
            refuse_unable(self)

    def _load_cmd_line(self) -> dict[str, Any]:
        return {}

    def _load_config_files(self, file_list: Iterable[str] | None) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for name in file_list or ():
            later = read_settings(name, self.yaml_loader)
            both = {
                k: merged([settings[k], later[k]]) for k in NESTED if k in settings.keys() & later
            }
            settings |= later | both
        return settings

    def _get_model_and_dataset(
        self, model: str | type | None, dataset: str | None
    ) -> tuple[str, type, str]:
        external = self.external_config_dict
        named = [external.get("model") if model is None else model]
        named += [external.get("dataset") if dataset is None else dataset]
        refuse_missing_names(*named)
        check_dataset_name(dataset or external["dataset"])
        wanted = model if model is not None else self.external_config_dict["model"]
        refuse_unranked(wanted.__name__ if isinstance(wanted, type) else str(wanted))
        if not isinstance(wanted, type):
            model = adopted(wanted) or _checked_model_name(wanted)
        return super()._get_model_and_dataset(model, dataset)  # type: ignore[no-any-return]


class StoredConfig(RecBoleConfig):  # type: ignore[misc] # RecBole has no types
    """RecBole's own Config made again from what a checkpoint of a stock run holds."""

    def _load_cmd_line(self) -> dict[str, Any]:
        return {}


def _checked_model_name(name: Any) -> str:
    """Stop unless RecBole finds a model of this name, ours included."""
    try:
        get_model(str(name))
    except (ValueError, AttributeError, ImportError) as error:
        if name in {*MODELS, *model_kinds()}:
            raise InputError(f"The model {name} can't be loaded: {error}.") from None
        raise no_such_model(name) from None
    return str(name)
