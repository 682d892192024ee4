"""A run that is there: its settings, checkpoints and results, checked against each other."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.recency import DECAY
from recbole_symcere.model.blend_options import kind_of, recent_among
from recbole_symcere.model.registry import text_use
from recbole_symcere.model.stored_vectors import StoredVectors
from recbole_symcere.plugin import checkpoint
from recbole_symcere.plugin.config import Config, StoredConfig
from recbole_symcere.run.agreement import check_results
from recbole_symcere.run.data_fingerprint import data_fingerprint
from recbole_symcere.run.places import located
from recbole_symcere.run.prepare import build_model, read_dataset, split_data
from recbole_symcere.run.run_directory import BEST_CHECKPOINT, RunDirectory
from recbole_symcere.run.settings_before import completed
from recbole_symcere.text.source import NoEncoderError

__all__ = [
    "check_encoder",
    "load_data",
    "load_data_and_model",
    "newest_state",
    "text_mode_of",
]

_log = logging.getLogger(__name__)

_OTHER_ENCODER = {
    "text_encoder_fingerprint": "has other weights or another tokenizer",
    "pooling": "makes one vector of a text by another pooling or text_normalize ({now}, not "
    "{trained})",
    "text_head_fingerprint": "has other weights after the language model (Dense, LayerNorm)",
}
_OF_PROCESSES = ("local_rank", "nproc", "world_size", "offset", "ip", "port")  # of a stock run


def newest_state(folder: RunDirectory) -> dict[str, Any] | None:
    """What a stopped run goes on from; None if it has no finished epoch.

    That is its last checkpoint or, where that is damaged, the best one.

    Raises:
        InputError: if there are checkpoints, but none to go on from.
    """
    last, best = (folder.path / "checkpoint" / f"{name}.safetensors" for name in ("last", "best"))
    if not last.is_file() and not best.is_file():
        return None
    try:
        return _with_progress(last)
    except checkpoint.DamagedError as error:
        reason = str(error)
    try:
        state = _with_progress(best)
    except checkpoint.DamagedError as error:
        raise InputError(
            f"{reason} The run can't go on from {best.name} either: {error} Start a new run: "
            f"--config_files={folder.path / 'config.yaml'}."
        ) from None
    _log.warning(f"{reason} The run goes on from {best.name}, after epoch {state['epoch']}.")
    return state


def _with_progress(file: Path) -> dict[str, Any]:
    state = checkpoint.load(file)
    if "rng" not in state:
        raise checkpoint.DamagedError(
            f"{file} holds no random states, so training can't go on from it as it was."
        )
    return state


def check_encoder(model: Any, state: Mapping[str, Any]) -> None:
    """Stop if a model reads texts by another encoder than the one it was trained with.

    Raises:
        InputError: naming it.
    """
    protocol = getattr(model, "protocol", {})
    told = state.get("protocol", {})
    for key, differs in _OTHER_ENCODER.items():
        trained, now = told.get(key), protocol.get(key)
        if trained is not None and trained != now:
            raise InputError(
                f"text_encoder={protocol.get('text_encoder')} "
                f"{differs.format(trained=trained, now=now)} than {told['text_encoder']}, with "
                "which the run was trained. Name the same encoder: --text_encoder=DIR."
            )


def refuse_other_blend(state: Mapping[str, Any], names: Sequence[str], words: bool = True) -> None:
    """Stop where weights of a blend would count for other experts than those they were chosen for.

    Args:
        state: a checkpoint with a blend.
        names: "model" and the experts that there are now.
        words: whether those of words must be the same; more reviews may tell items apart, or not.

    Raises:
        InputError: naming both.
    """
    trained, names = (
        [name for name in some if words or name == "model" or kind_of(name).what != "words"]
        for some in (state["blend_names"], names)
    )
    if trained != names:
        raise InputError(
            f"The checkpoint's weights are of a blend of {', '.join(trained)}, and these settings "
            f"give {', '.join(names)}. Train anew, or load it by the version that wrote it."
        )
    recent = recent_among(names[1:])
    if recent and state.get("blend_decay") != DECAY:
        raise InputError(
            f"The checkpoint's weights are of a blend in which {', '.join(recent)} "
            "counted recent interactions otherwise. Train anew, or load it by the version that "
            "wrote it."
        )


def text_mode_of(state: Mapping[str, Any]) -> str:
    """The text mode of stored weights: auto follows the device, which may be another one now."""
    return "lora" if any("lora_" in key for key in state["state_dict"]) else "frozen"


def load_data_and_model(
    model_file: str | Path,
    data_path: str | None = None,
    cache_dir: str | None = None,
    text_encoder: str | None = None,
) -> tuple[Any, ...]:
    """Read a checkpoint of a run and everything it needs.

    Where the text encoder is gone, a model of ours is a `StoredVectors`: it scores as before.

    Args:
        model_file: a ``.safetensors`` checkpoint, or the folder of a run (its best checkpoint).
        data_path: where the data are now, if they were moved otherwise than with the run's folder.
        cache_dir: the same of tokens and text vectors.
        text_encoder: the same of the text encoder.

    Returns:
        RecBole's tuple: config, model, dataset, train_data, valid_data, test_data.

    Raises:
        InputError: if the file is missing, damaged, not ours or not of this run, or the data have
            changed.
    """
    path = Path(model_file)
    file = path / BEST_CHECKPOINT if path.is_dir() else path
    state = checkpoint.load(file)
    given = {"data_path": data_path, "cache_dir": cache_dir, "text_encoder": text_encoder}
    try:
        if path.is_dir():
            check_results(RunDirectory(path), state)
        return _loaded(file, state, given)
    except InputError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as e:
        if "settings" in state:  # it has a checksum, so that this is a fault of the program
            raise
        raise checkpoint.DamagedError(
            f"{file} can't be loaded ({type(e).__name__}: {' '.join(str(e).split())}). It was "
            "written by an earlier version, without a checksum, and may be damaged. Train the "
            "model again."
        ) from None


def _loaded(
    file: Path, state: Mapping[str, Any], given: Mapping[str, str | None]
) -> tuple[Any, ...]:
    """What `load_data_and_model` gives."""
    config, dataset, loaders = load_data(file, state, given)
    train = loaders[0]
    try:
        model = build_model(config, train)
    except NoEncoderError as error:
        model = _scoring_alone(config, train, state, error)
    else:
        check_encoder(model, state)  # whose vectors may have another width
        checkpoint.load_weights(model, state)
        blend = getattr(model, "blend", None)
        if state.get("blend_names") is not None and blend is not None:
            refuse_other_blend(state, blend.names)
    return config, model, dataset, *loaders


def load_data(
    file: Path, state: Mapping[str, Any], given: Mapping[str, str | None]
) -> tuple[Any, Any, tuple[Any, Any, Any]]:
    """Config, data set and loaders of a checkpoint, without its model.

    Args:
        file: the checkpoint.
        state: what it holds.
        given: where the run's things are now; None for what wasn't moved.

    Raises:
        InputError: if the data have changed.
    """
    config = _stored_config(state, file.absolute().parent.parent, given)
    trained_on = state.get("data_fingerprint")
    if trained_on not in {None, data_fingerprint(config, trained_on)}:
        raise InputError(
            f"The data set {config['dataset']} in {config['data_path']} has changed since {file} "
            "was written, so its vectors would belong to other users and items. Name the run's own "
            "data: --data_path=DIR."
        )
    dataset = read_dataset(config)
    return config, dataset, split_data(config, dataset)


def _stored_config(state: Mapping[str, Any], run: Path, given: Mapping[str, Any]) -> Any:
    """The Config of a checkpoint, with the places where its things lie now."""
    ours = state["config"]["common_protocol"]
    settings = state["settings"] if ours and "settings" in state else state["config"]
    settings = located(completed(settings), run, given, state.get("data_fingerprint"))
    for key in ("common_protocol", "run_dir", *_OF_PROCESSES):
        settings.pop(key, None)
    names = (settings.pop("model"), settings.pop("dataset"))
    if text_use(names[0]) == "batch":
        settings["text_mode"] = text_mode_of(state)
    return (Config if ours else StoredConfig)(*names, config_dict=settings)


def _scoring_alone(
    config: Any, train_data: Any, state: Mapping[str, Any], error: NoEncoderError
) -> StoredVectors:
    """What stands for a model whose text encoder is gone."""
    if "vectors" not in state:
        raise NoEncoderError(
            f"{error} If it was moved, name it: --text_encoder=DIR. This checkpoint was written by "
            "an earlier version, so that scoring needs the encoder too."
        )
    _log.warning(f"{error} Without it the run's model is loaded for scoring alone.")
    protocol = state.get("protocol", {})
    model = StoredVectors(config, train_data.dataset, state["vectors"], protocol)
    model.to(config["device"])
    return model
