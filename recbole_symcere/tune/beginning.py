"""What a search begins with: its settings, its space and its folder."""

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.base.files import properties_path, write_bytes
from recbole_symcere.base.storage import writing
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.config_patches import known_keys
from recbole_symcere.tune.search_options import SearchOptions
from recbole_symcere.tune.space import SearchSpace

__all__ = ["config_of", "new_folder", "space_of"]


def space_of(config: Config, settings: Mapping[str, Any], options: SearchOptions) -> SearchSpace:
    """The space of a search, checked against the model and its fixed settings.

    Raises:
        InputError: if there is none, or it doesn't fit.
    """
    space = SearchSpace.load(_params_file(config, options))
    space.check(known_keys(config), set(settings) | set(config.file_config_dict))
    if config["eval_step"] < 1:
        raise InputError("eval_step is 0, but a search needs validation; give 1 or more.")
    return space


def config_of(settings: Mapping[str, Any]) -> Config:
    """The Config of complete settings, model and dataset included."""
    settings = dict(settings)
    return Config(settings.pop("model"), settings.pop("dataset"), config_dict=settings)


def new_folder(config: Config, options: SearchOptions) -> Path:
    """The search's folder, made and writable.

    Raises:
        InputError: if it holds a search already or can't be written.
    """
    if options.out:
        out = Path(options.out).absolute()
    else:
        stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-tune-{config['model']}-{config['dataset']}"
        out = Path(config["runs_dir"]).absolute() / f"{stamp}-{uuid.uuid4().hex[:6]}"
    if (out / "search.json").is_file():
        raise InputError(
            f"{out} holds a search already. Go on with it by tune --resume={options.out}, or name "
            "another folder."
        )
    for name in ("trials.json", "best"):  # of a search whose search.json was removed
        if (out / name).exists():
            raise InputError(f"{out} holds another search's {name}; name another folder.")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / "optuna.log").unlink(missing_ok=True)  # of a search that never began
        write_bytes(out / "search.json.tmp", b"")
        (out / "search.json.tmp").unlink()
    return out


def _params_file(config: Config, options: SearchOptions) -> Path:
    if options.params_file:
        return Path(options.params_file)
    folder = properties_path() / "tune"
    file = folder / f"{config['model']}.yaml"
    if not file.is_file():
        names = [path.stem for path in sorted(folder.glob("*.yaml"))]
        raise InputError(
            f"There is no search space for {config['model']}; write one and give it as "
            f"--params_file=FILE.{did_you_mean(config['model'], names)} There are spaces for "
            f"{', '.join(names)}."
        )
    return file
