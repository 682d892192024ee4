"""What a run leaves behind: the folder ``runs/<id>/``, its log and its lock."""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import logging
import platform
import re
import sys
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import replacing, sha256_of, write_bytes

__all__ = [
    "LAST_CHECKPOINT",
    "TIES_BEFORE",
    "RunDirectory",
    "data_fingerprint",
    "fixed_settings",
    "portable_settings",
    "versions",
]

LAST_CHECKPOINT = Path("checkpoint", "last.safetensors")
"""Below a run's folder: what the run can go on from."""

TIES_BEFORE = {"tie_order": "file"}
"""How interactions of one time were ordered by runs that don't tell of it."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")

# What RecBole or we derive from other settings, or what belongs to one machine or one run.
_DERIVED = {
    *(
        "MODEL_TYPE",
        "MODEL_INPUT_TYPE",
        "eval_type",
        "valid_metric_bigger",
        "device",
        "single_spec",
    ),
    *("local_rank", "valid_neg_sample_args", "test_neg_sample_args", "run_dir", "checkpoint_dir"),
    *("gpu_id", "config_files"),
}


class _FileHandler(logging.FileHandler):
    """The run's log; RecBole's tensorboard writer asks it for the run's folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "run.log", encoding="utf-8")
        self.run_dir = folder

    def format(self, record: logging.LogRecord) -> str:
        return _ANSI.sub("", super().format(record))


def _for_people(record: logging.LogRecord) -> bool:
    """Our own messages and everybody's warnings, except those of the Python warnings module."""
    ours = record.name.startswith("recbole_symcere")
    return ours or (record.levelno >= logging.WARNING and record.name != "py.warnings")


class RunDirectory:
    """The folder of one run.

    Args:
        path: the folder; it is made if it is missing.

    Raises:
        InputError: if it can't be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"The run's folder {path} can't be made: {error}.") from None

    @classmethod
    def new(cls, config: Any) -> "RunDirectory":
        """The folder that ``run_dir`` names, else a new one under ``runs_dir``.

        Raises:
            InputError: if the folder holds a run already.
        """
        if config["run_dir"]:
            path = Path(config["run_dir"])
            done = (path / "metrics.json", path / LAST_CHECKPOINT)
            if any(file.exists() for file in done):
                raise InputError(
                    f"{path} holds a run already. Go on with it by --resume={path}, or name "
                    "another folder."
                )
        else:
            stamp = time.strftime("%Y%m%d-%H%M%S")
            name = f"{stamp}-{config['model']}-{config['dataset']}-{uuid.uuid4().hex[:6]}"
            path = Path(config["runs_dir"]) / name
        return cls(path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process.

        Raises:
            InputError: if another process works in it.
        """
        try:
            lock = (self.path / ".lock").open("w")
        except OSError as error:
            raise InputError(f"{self.path} can't be written: {error}.") from None
        with lock as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"Another process works in {self.path}.") from None
            yield

    @contextlib.contextmanager
    def logging(self, level: str = "INFO") -> Iterator[None]:
        """Send every log record to run.log, and to the terminal what a person wants to read."""
        root = logging.getLogger()
        to_file = _FileHandler(self.path)
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        to_terminal = logging.StreamHandler(sys.stdout)
        to_terminal.addFilter(_for_people)
        level_before = root.level
        root.setLevel(level.upper())
        shown_before = warnings.showwarning
        logging.captureWarnings(True)
        captured_before = warnings.showwarning is shown_before
        root.addHandler(to_file)
        root.addHandler(to_terminal)
        try:
            yield
        finally:
            root.removeHandler(to_file)
            root.removeHandler(to_terminal)
            to_file.close()
            logging.captureWarnings(captured_before)
            root.setLevel(level_before)

    def write_config(self, config: Any) -> None:
        """config.yaml: every setting in force, so that ``--config_files`` repeats the run."""
        text = yaml.safe_dump(portable_settings(config), sort_keys=True, allow_unicode=True)
        write_bytes(self.path / "config.yaml", text.encode())

    def read_config(self) -> dict[str, Any]:
        """The settings of config.yaml.

        Raises:
            InputError: if the folder holds no run.
        """
        file = self.path / "config.yaml"
        if not file.is_file():
            raise InputError(f"{self.path} holds no run: it has no config.yaml.")
        try:
            settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise InputError(f"{file} isn't valid YAML: {error}") from None
        if not isinstance(settings, dict):
            raise InputError(f"{file} holds no settings.")
        return TIES_BEFORE | settings

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """metrics.json."""
        text = json.dumps(metrics, indent=1, ensure_ascii=False)
        write_bytes(self.path / "metrics.json", text.encode())

    def read_metrics(self) -> dict[str, Any] | None:
        """metrics.json, or None if the run hasn't finished."""
        file = self.path / "metrics.json"
        metrics: dict[str, Any] | None = json.loads(file.read_text()) if file.is_file() else None
        return metrics

    def write_per_user(self, users: Any, n_positives: Any, values: dict[str, Any]) -> None:
        """per_user.parquet: user_id, n_test (held-out items) and the columns; NaN becomes null."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: pa.array(column, from_pandas=True) for name, column in values.items()}
        table = pa.table(
            {"user_id": pa.array(users, pa.string()), "n_test": n_positives, **columns}
        )
        with replacing(self.path / "per_user.parquet") as aside:
            pq.write_table(table, aside)


def portable_settings(config: Any) -> dict[str, Any]:
    """The settings of a Config that make it again on another machine, JSON types only."""
    settings = {
        key: value
        for key, value in config.final_config_dict.items()
        if key not in _DERIVED
        and (value is None or isinstance(value, bool | int | float | str | list | dict))
    }
    if (config["train_neg_sample_args"] or {}).get("distribution") == "none":
        settings["train_neg_sample_args"] = None  # RecBole refuses the "none" that it writes itself
    folder = Path(config["data_path"])
    settings["data_path"] = str(folder.parent if folder.name == config["dataset"] else folder)
    return settings


def fixed_settings(config: Any) -> dict[str, Any]:
    """The portable settings with absolute paths: workers stand in other folders."""
    fixed = portable_settings(config)
    for key in ("cache_dir", "runs_dir"):
        fixed[key] = str(Path(fixed[key]).absolute())
    encoder = fixed.get("text_encoder")
    if encoder and Path(encoder).is_dir():
        fixed["text_encoder"] = str(Path(encoder).absolute())
    return fixed


def data_fingerprint(config: Any) -> str:
    """sha256 over the names and contents of the files that the data set was read from."""
    folder = Path(config["data_path"])
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name.startswith(config["dataset"]) and path.suffix in {".inter", ".parquet"}:
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Python's version and those of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for name in (
        *("recbole-symcere", "recbole", "torch", "numpy", "scipy", "pandas"),
        *("transformers", "tokenizers", "peft", "pyarrow"),
    ):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
