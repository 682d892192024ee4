"""The processes that share one run: which of them this is, and what they tell each other.

All of them work on the same batches with the same random states, so that their weights are equal at
every step; only what costs most is shared out. In a process of a run without others `count` is 1
and nothing here does anything.
"""

import contextlib
import datetime
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recbole_symcere.base.errors import InputError

if TYPE_CHECKING:
    import torch

__all__ = [
    "Place",
    "announce",
    "average",
    "check_alike",
    "count",
    "first_alone",
    "from_first",
    "gathered_columns",
    "gathered_rows",
    "is_first",
    "is_lost",
    "join",
    "place",
    "rank",
    "spans",
    "take",
    "wait_for_all",
]

_SECONDS_TO_MEET = 300
_LONGEST_WAIT = datetime.timedelta(days=2)  # for the first, which may encode all texts
_DRIFT = 1e-4  # relative; rounding of unlike machines is far below


@dataclass(frozen=True)
class Place:
    """Which process of a run this is.

    Attributes:
        rank: among all, from 0.
        world_size: how many there are.
        local_rank: among those of this machine, from 0.
        nproc: how many are on this machine.
        ip: of the machine of rank 0.
        port: there.
        tell: called with a name and a value that whoever started the process should know.
        pid: a process that is forked from it, such as one that loads batches, is none of them.
    """

    rank: int
    world_size: int
    local_rank: int
    nproc: int
    ip: str
    port: int
    tell: Callable[[str, Any], None] = lambda *_: None
    pid: int = field(default_factory=os.getpid)


class _State:
    place: Place | None = None
    alone = 0  # depth of `first_alone`


def take(new: Place | None) -> None:
    """Let this process be one of several; None for one by itself."""
    _State.place, _State.alone = new, 0


def place() -> Place | None:
    """Which process this is; None for one by itself."""
    here = _State.place
    return here if here is not None and here.pid == os.getpid() else None


def count() -> int:
    """How many processes work together just now."""
    here = place()
    return 1 if here is None or _State.alone else here.world_size


def rank() -> int:
    """The number of this process, from 0."""
    here = place()
    return 0 if here is None else here.rank


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def announce(name: str, value: Any) -> None:
    """Let whoever started this process know something."""
    here = place()
    if here is not None:
        here.tell(name, value)


def join(accelerator: bool) -> None:
    """Meet the other processes; a second time it does nothing.

    Args:
        accelerator: whether they compute on GPUs. Tensors there go by NCCL, those of CPUs by gloo.

    Raises:
        InputError: if they don't meet within five minutes, or the port is taken.
    """
    import torch.distributed as dist

    here = place()
    if here is None or dist.is_initialized():
        return
    if here.ip in {"localhost", "127.0.0.1"} and os.path.exists("/sys/class/net/lo"):  # noqa: PTH110
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(name, "lo")  # the name of a machine may stand for no address
    where = f"{here.ip}:{here.port}"
    try:
        store = dist.TCPStore(  # type: ignore[attr-defined] # torch exports it so
            here.ip,
            here.port,
            here.world_size,
            is_master=here.rank == 0,
            timeout=datetime.timedelta(seconds=_SECONDS_TO_MEET),
        )
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        if "EADDRINUSE" in reason or "address already in use" in reason.lower():
            raise InputError(
                f"port {here.port} is taken on this machine. Give another one: --port=NUMBER."
            ) from None
        raise InputError(
            f"Process {here.rank} of {here.world_size} didn't meet the others at {where} within "
            f"{_SECONDS_TO_MEET} s. Start the command on every machine with the same --ip, --port "
            f"and --world_size, and with its own --group_offset. ({reason[:200]})"
        ) from None
    backend = "cpu:gloo,cuda:nccl" if accelerator else "gloo"
    dist.init_process_group(
        backend, store=store, rank=here.rank, world_size=here.world_size, timeout=_LONGEST_WAIT
    )


def is_lost(error: BaseException) -> bool:
    """Whether an error says that another process is gone."""
    import torch.distributed as dist

    if isinstance(error, dist.DistError):
        return True
    text = str(error)
    words = ("Connection closed by peer", "Connection reset", "Broken pipe", "gloo", "NCCL")
    return isinstance(error, RuntimeError) and any(word in text for word in words)


# --- what they tell each other --------------------------------------------------------------------


def wait_for_all() -> None:
    """Go on when all processes are here."""
    if count() > 1:
        import torch
        import torch.distributed as dist

        dist.all_reduce(torch.zeros(1))


def from_first(value: Any) -> Any:
    """What the first process has: a plain value."""
    if count() == 1:
        return value
    import torch
    import torch.distributed as dist

    told = [value]
    dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
    return told[0]


@contextlib.contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process run a block while the others wait, and then the others at once.

    What the first leaves in a cache the others find there. Inside, each is by itself.
    """
    if not is_first():
        wait_for_all()
    _State.alone += 1
    try:
        yield
    finally:
        _State.alone -= 1
    if is_first():
        wait_for_all()


def check_alike(number: float, what: str) -> None:
    """Stop if a number that should be the same in all processes isn't, but for rounding.

    Raises:
        RuntimeError: naming it.
    """
    if count() == 1:
        return
    import torch

    found = gathered_rows(torch.tensor([number], dtype=torch.float64))
    apart = float(found.max() - found.min())
    if not apart <= _DRIFT * float(found.abs().max()):
        raise RuntimeError(f"{what} differ between the processes of this run: {found.tolist()}")


def average(tensors: "Iterable[torch.Tensor]") -> None:
    """Put the mean over all processes in the place of each tensor."""
    import torch.distributed as dist

    n = count()
    if n == 1:
        return
    works = [(tensor, dist.all_reduce(tensor, async_op=True)) for tensor in tensors]
    for tensor, work in works:
        work.wait()
        tensor.div_(n)


def gathered_rows(rows: "torch.Tensor") -> "torch.Tensor":
    """The rows [n_r, ...] of all processes one below the other, in the order of their ranks."""
    if count() == 1:
        return rows
    import torch
    import torch.distributed as dist

    counts = [torch.zeros(1, dtype=torch.int64) for _ in range(count())]
    dist.all_gather(counts, torch.tensor([len(rows)]))
    sizes = [int(n) for n in counts]
    sent = rows.to(torch.uint8) if rows.dtype == torch.bool else rows
    padded = sent.new_zeros(max(sizes), *sent.shape[1:])
    padded[: len(sent)] = sent
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    found = torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
    return found.to(rows.dtype)


def gathered_columns(columns: "torch.Tensor", width: int) -> "torch.Tensor":
    """The columns [n, w_r] of all processes side by side [n, width], cut as `spans` cuts."""
    import torch
    import torch.distributed as dist

    sizes = [stop - start for start, stop in spans(width)]
    padded = columns.contiguous()
    if columns.shape[1] < max(sizes):
        padded = columns.new_zeros(len(columns), max(sizes))
        padded[:, : columns.shape[1]] = columns
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:, :size] for part, size in zip(parts, sizes, strict=True)], dim=1)


def spans(n: int) -> list[tuple[int, int]]:
    """The parts (start, stop) of n things, one for each process, which differ by one at most."""
    many = count()
    return [(n * r // many, n * (r + 1) // many) for r in range(many)]
