"""How much memory is left."""

from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch

__all__ = ["free_bytes"]

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int:
    """Bytes that can still be allocated on a device; on a CPU, within the container's limit."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + idle)
    free = psutil.virtual_memory().available
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        told = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one of another kind
        return int(free)
    if limit.isdigit():  # "max" is none; files that were read can be dropped
        free = min(free, int(limit) - used + int(told.get("inactive_file", 0)))
    return max(int(free), 0)
