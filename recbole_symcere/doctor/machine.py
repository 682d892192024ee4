"""What the machine gives this process: system, cores, memory, threads, places to write."""

import os
import platform
import shutil
import tempfile
from pathlib import Path

from recbole_symcere.base.storage import storage_error
from recbole_symcere.doctor.findings import Finding, found, note, trouble

__all__ = ["look_at_memory", "look_at_place", "look_at_threads", "system"]

_CGROUP = Path("/sys/fs/cgroup")
_LITTLE_DISK = 1e9  # bytes: less than a run with a converted data set and its vectors may take
_LITTLE_MEMORY = 2e9  # bytes: less than torch, RecBole and the default encoder take
_SET = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE"),
    *("CUDA_VISIBLE_DEVICES", "HF_HOME", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM"),
)


def system() -> str:
    """The system and the kind of processor, without the machine's name."""
    return f"{platform.platform()}, {platform.machine()}"


def cores() -> int:
    """Cores that this process may use: by its affinity and by its container's share."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        share = int(quota) / int(period) if quota.isdigit() else float("inf")
    except (OSError, ValueError):
        share = float("inf")
    return max(1, int(min(affine or 1, share)))


def look_at_memory() -> Finding:
    """Cores and memory, those of the container where there is one."""
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        return note("machine", f"{_cores()}; memory unknown without psutil")
    memory = psutil.virtual_memory()
    whole, free = memory.total, memory.available
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        limit, used = "max", 0
    if limit.isdigit():
        whole, free = min(whole, int(limit)), min(free, int(limit) - used)
    said = f"{_cores()}, {whole / 1e9:.1f} GB memory, {free / 1e9:.1f} GB free"
    if free < _LITTLE_MEMORY:
        return trouble("machine", said, "end other programs, or run where more memory is free")
    return found("machine", said)


def _cores() -> str:
    usable, there = cores(), os.cpu_count() or 1
    return f"{usable} core{'s' * (usable > 1)}" + (f" of {there}" if usable < there else "")


def look_at_threads() -> Finding:
    """The variables that decide on threads, devices and the hub, as far as they are set."""
    given = [f"{name}={os.environ[name]}" for name in _SET if name in os.environ]
    many = os.environ.get("OMP_NUM_THREADS", "")
    if many.isdigit() and int(many) > cores():
        return note(
            "environment",
            ", ".join(given),
            f"OMP_NUM_THREADS={cores()} would fit the cores; more threads wait for each other",
        )
    return found("environment", ", ".join(given) or "no variable of threads, devices or hub is set")


def look_at_place(about: str, folder: Path) -> Finding:
    """Whether a folder, or the one that it would be made in, can be written and has room.

    Args:
        about: what the folder is for.
        folder: it needn't be there.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
            file.flush()
        free = shutil.disk_usage(there).free
    except OSError as error:
        return trouble(
            about, f"{folder.absolute()} can't be written", str(storage_error(there, error))
        )
    said = f"{folder.absolute()}, {free / 1e9:,.1f} GB free"
    if free < _LITTLE_DISK:
        return trouble(about, said, "free some space there, or name another folder")
    return found(about, said)
