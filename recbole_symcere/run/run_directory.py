"""What a run leaves behind: the folder ``runs/<id>/``, its log and its lock."""

import contextlib
import copy
import fcntl
import functools
import json
import platform
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from recbole_symcere.base import processes
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.fast_yaml import written_yaml
from recbole_symcere.base.files import replacing, sha256_of
from recbole_symcere.base.packages import version_of
from recbole_symcere.base.storage import remove_leftovers, writing
from recbole_symcere.run.metrics_file import checksum, damage_of, has
from recbole_symcere.run.settings_before import completed

__all__ = [
    "BEST_CHECKPOINT",
    "LAST_CHECKPOINT",
    "PER_USER",
    "RunDirectory",
    "fixed_settings",
    "portable_settings",
    "versions",
]

LAST_CHECKPOINT = Path("checkpoint", "last.safetensors")
"""Below a run's folder: what the run can go on from."""

BEST_CHECKPOINT = LAST_CHECKPOINT.with_name("best.safetensors")
"""Below a run's folder: what is tested."""

PER_USER = "per_user_sha256"
"""In metrics.json: which per_user.parquet belongs to it."""

# What RecBole or we derive from other settings, or what belongs to one machine or one run.
_DERIVED = {
    *("MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type", "valid_metric_bigger", "device"),
    *("local_rank", "valid_neg_sample_args", "test_neg_sample_args", "run_dir", "checkpoint_dir"),
    *("gpu_id", "config_files", "data_fingerprint", "single_spec"),
    *("nproc", "world_size", "ip", "port", "offset"),
}
_FINGERPRINT, _NEEDED = "data_fingerprint", ("model", "dataset", "data_path")


class RunDirectory:
    """The folder of one run. Of several processes the first alone writes to it.

    Args:
        path: the folder; it is made if it is missing.

    Raises:
        InputError: if it can't be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        with writing(path):
            self.path.mkdir(parents=True, exist_ok=True)

    @classmethod
    def new(cls, config: Any) -> "RunDirectory":
        """The folder that ``run_dir`` names, else a new one under ``runs_dir``.

        Raises:
            InputError: if the folder holds a run already.
        """
        if not processes.is_first():
            return cls._of_first()
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
        folder = cls(path)
        processes.from_first(str(folder.path))
        return folder

    @classmethod
    def _of_first(cls) -> "RunDirectory":
        """The folder that the first process has made."""
        path = processes.from_first(None)
        if not Path(path).is_dir():
            raise InputError(
                f"The run's folder {path} isn't there on this machine. Name one that all machines "
                "see: --run_dir=DIR."
            )
        return cls(Path(path))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process, and remove what killed ones left in it.

        Raises:
            InputError: if another process works in it.
        """
        if not processes.is_first():
            yield
            return
        with writing(self.path):
            lock = (self.path / ".lock").open("w")
        with lock as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"Another process works in {self.path}.") from None
            remove_leftovers(self.path)
            remove_leftovers(self.path / LAST_CHECKPOINT.parent, alone=True)
            yield

    def write_config(self, config: Any) -> None:
        """config.yaml: every setting in force, so that ``--config_files`` repeats the run."""
        self._write("config.yaml", written_yaml(portable_settings(config)))

    def read_config(self) -> dict[str, Any]:
        """The settings of config.yaml.

        Raises:
            InputError: if the folder holds no run, or the file is damaged.
        """
        file = self.path / "config.yaml"
        if not file.is_file():
            raise InputError(f"{self.path} holds no run: it has no config.yaml.")
        try:
            settings = copy.deepcopy(_said(file.read_text(encoding="utf-8")))
        except (yaml.YAMLError, ValueError, OSError) as error:
            raise InputError(
                f"{file} isn't valid YAML: {' '.join(str(error).split())}. Mend it, or take it "
                "from a backup."
            ) from None
        missing = [key for key in _NEEDED if not has(settings, key, str)]
        if missing:
            raise InputError(
                f"{file} holds no settings of a run: {', '.join(missing)} is missing or no text. "
                "Mend it, or take it from a backup."
            )
        return completed(settings)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """metrics.json, with a checksum of what it tells."""
        whole = {**metrics, "checksum": checksum(metrics)}
        self._write("metrics.json", json.dumps(whole, indent=1, ensure_ascii=False))

    def read_metrics(self) -> dict[str, Any] | None:
        """metrics.json, or None if the run hasn't finished.

        Raises:
            InputError: if it is damaged.
        """
        file = self.path / "metrics.json"
        if not file.is_file():
            return None
        try:
            metrics = json.loads(file.read_text(encoding="utf-8"))
            reason = damage_of(metrics)
        except (OSError, ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())
        if reason:
            raise InputError(
                f"{file} is damaged: {reason}. Take it from a backup, or remove it and let "
                f"--resume={self.path} test the run again."
            )
        return dict(metrics)

    def write_fingerprint(self, fingerprint: str) -> None:
        """data_fingerprint."""
        self._write(_FINGERPRINT, fingerprint)

    def read_fingerprint(self) -> str | None:
        """The fingerprint of the data that the run began with, if it has noted one.

        Raises:
            InputError: if the file is damaged.
        """
        file = self.path / _FINGERPRINT
        if not file.is_file():
            return None
        found = file.read_bytes()
        if not re.fullmatch(rb"[0-9a-f]{64}", found):
            raise InputError(
                f"{file} is damaged: it holds {found[:70]!r}, but a sha256 of 64 hexadecimal "
                "digits is expected. Remove it: the run's checkpoints know their data too."
            )
        return found.decode()

    def check_fingerprint(self, stored: str | None) -> str | None:
        """The fingerprint of the run's data, by its file and by what a checkpoint tells.

        Raises:
            InputError: if the two differ.
        """
        found = self.read_fingerprint()
        if found and stored and found != stored:
            raise InputError(
                f"{self.path / _FINGERPRINT} tells other data ({found}) than the run's checkpoint "
                f"({stored}): one of them is damaged, or of another run. Take both from a backup, "
                "or start a new run."
            )
        return found or stored

    def _write(self, name: str, text: str) -> None:
        if not processes.is_first():
            return
        # a folder that was removed meanwhile isn't made again
        with replacing(self.path / name, make_folder=False) as aside:
            aside.write_text(text, encoding="utf-8")

    def write_per_user(self, users: Any, n_positives: Any, values: dict[str, Any]) -> str:
        """per_user.parquet: user_id, n_test (held-out items) and the columns; NaN becomes null.

        Returns:
            Its sha256, for metrics.json.
        """
        if not processes.is_first():
            return ""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: pa.array(column, from_pandas=True) for name, column in values.items()}
        table = pa.table(
            {"user_id": pa.array(users, pa.string()), "n_test": n_positives, **columns}
        )
        with replacing(self.path / "per_user.parquet", make_folder=False) as aside:
            pq.write_table(table, aside)
            return sha256_of(aside)

    def read_per_user(self, metric: str) -> dict[str, float]:
        """A metric of each user, by per_user.parquet.

        Raises:
            InputError: if it is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        file, written = self.path / "per_user.parquet", (self.read_metrics() or {}).get(PER_USER)
        try:
            if written not in {None, sha256_of(file)}:
                raise ValueError("it isn't the file that metrics.json tells of")
            table = pq.read_table(file, columns=["user_id", metric])
            return dict(zip(table["user_id"].to_pylist(), table[metric].to_pylist(), strict=True))
        except (pa.ArrowException, OSError, ValueError, LookupError) as error:
            raise InputError(
                f"{file} can't be read: {error}. Remove metrics.json beside it, and let "
                f"--resume={self.path} test the run again."
            ) from None


@functools.lru_cache(maxsize=8)
def _said(text: str) -> Any:
    """What a config.yaml says; a command reads that of its run several times."""
    return yaml.safe_load(text)


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


@functools.cache
def versions() -> Mapping[str, str]:
    """Python's version and those of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for name in (
        *("recbole-symcere", "recbole", "torch", "numpy", "scipy", "pandas"),
        *("transformers", "tokenizers", "peft", "pyarrow"),
    ):
        version = version_of(name)
        if version is not None:
            found[name] = version
    return found
