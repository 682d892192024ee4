"""RecBole's runs of several processes: on CPUs too, with metrics of every user once.

`whole_batches` says for which models every process works on the batches of a run of one process,
with the same random states, so that RecBole takes it for one (``single_spec``). RecBole's own
models in a stock run keep RecBole's way: a part of the data for each process, and the mean of their
gradients.
"""

import contextlib
import copy
import os
from collections.abc import Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any

from recbole_symcere.base import processes
from recbole_symcere.base.errors import InputError
from recbole_symcere.model.registry import is_ours

__all__ = [
    "build_in_turn",
    "change_loaders",
    "change_processes",
    "set_device",
    "share_folders",
    "silent_curves",
]


def whole_batches(config: Any) -> bool:
    """Whether each process works on whole batches.

    Pop and its like count what they see, so that a part of the data would teach them another thing.
    """
    from recbole.utils import ModelType

    traditional = config["MODEL_TYPE"] == ModelType.TRADITIONAL
    return bool(config.common_protocol or traditional or is_ours(config.model))


def share_folders(module: ModuleType) -> None:
    """RecBole looks whether a folder is there and then makes it; another process may be faster."""

    def ensure_dir(dir_path: str) -> None:
        if not os.path.exists(dir_path):  # noqa: PTH110 # a string
            os.makedirs(dir_path, exist_ok=True)  # noqa: PTH103

    # its code, for where RecBole was imported before, other modules have the function already
    module.ensure_dir.__code__ = ensure_dir.__code__


def set_device(config: Any) -> bool:
    """Let a Config of one of several processes meet the others and take its own device.

    Returns:
        Whether it is of one of several; else nothing was done.

    Raises:
        InputError: if the machine has fewer accelerators than processes, or they don't meet.
    """
    settings = config.final_config_dict
    if "local_rank" in settings and processes.place() is None:
        local, offset = int(settings["local_rank"]), int(settings["offset"])
        world, nproc = int(settings["world_size"]), int(settings["nproc"])
        _refuse_places(nproc, world, offset)
        where = str(settings["ip"]), int(settings["port"])
        processes.take(processes.Place(local + offset, world, local, nproc, *where))
    here = processes.place()
    if here is None:
        return False
    import torch

    gpus = _visible(config, here.nproc)
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    accelerator = bool(gpus) and torch.cuda.is_available()
    found = min(len(gpus), torch.cuda.device_count()) if accelerator else here.nproc
    if found < here.nproc:
        raise InputError(
            f"nproc is {here.nproc}, but of accelerators there {'is' if found == 1 else 'are'} "
            f"{found} (gpu_id {','.join(gpus)}). Give at most that many processes, further devices "
            "by gpu_id, or --use_gpu=False."
        )
    processes.join(accelerator)
    if accelerator:
        torch.cuda.set_device(here.local_rank)
    settings["device"] = (
        torch.device("cuda", here.local_rank) if accelerator else torch.device("cpu")
    )
    settings["gpu_id"] = ",".join(gpus)
    settings["world_size"] = here.world_size
    settings["single_spec"] = whole_batches(config)
    settings["local_rank"] = 0 if settings["single_spec"] else here.local_rank
    if not processes.is_first():
        settings |= {"state": "ERROR", "show_progress": False, "log_wandb": False}
    return True


def _visible(config: Any, nproc: int) -> list[str]:
    """The accelerators that the processes of this machine may use, by number or name."""
    import torch

    if not config.final_config_dict["use_gpu"]:
        return []
    told = config.external_config_dict.get("gpu_id", os.environ.get("CUDA_VISIBLE_DEVICES"))
    if told is None:
        return [str(n) for n in range(min(nproc, torch.cuda.device_count()))]
    return [part.strip() for part in str(told).strip("[]()").split(",") if part.strip()]


def _refuse_places(nproc: int, world_size: int, offset: int) -> None:
    if world_size < nproc + offset:
        raise InputError(
            f"world_size is {world_size}, but nproc {nproc} and group_offset {offset} make at "
            f"least {nproc + offset} processes. Give the number of all of them on all machines."
        )


def build_in_turn(module: ModuleType) -> None:
    """Let stock runs build a model in the first process before the others: it fills the caches."""
    get_model = module.get_model

    @wraps(get_model)
    def found(name: str) -> Any:
        model_class = get_model(name)

        def built(config: Any, dataset: Any) -> Any:
            with processes.first_alone():
                return model_class(config, dataset)

        return model_class if processes.count() == 1 else built

    module.get_model = found  # type: ignore[attr-defined]


# --- loaders --------------------------------------------------------------------------------------


def change_loaders(module: ModuleType) -> None:
    """Let loaders for evaluation hold every user once; RecBole repeats some to make parts equal.

    Each process takes its share of the batches when it evaluates.
    """
    loader = module.AbstractDataLoader
    init = loader.__init__

    @wraps(init)
    def initialised(
        self: Any, config: Any, dataset: Any, sampler: Any, shuffle: bool = False
    ) -> None:
        from recbole.data.dataloader import FullSortEvalDataLoader, NegSampleEvalDataLoader

        evaluates = isinstance(self, FullSortEvalDataLoader | NegSampleEvalDataLoader)
        if config["single_spec"] or not evaluates:
            init(self, config, dataset, sampler, shuffle)
            return
        whole = copy.copy(config)
        whole.final_config_dict = {**config.final_config_dict, "single_spec": True}
        init(self, whole, dataset, sampler, shuffle)
        self.config = config

    loader.__init__ = initialised


class _Share:
    """Some batches of a loader that has to make all of them, since it samples items."""

    def __init__(self, loader: Any, start: int, stop: int) -> None:
        self._loader, self._span = loader, (start, stop)

    def __len__(self) -> int:
        return self._span[1] - self._span[0]

    def __iter__(self) -> Iterator[Any]:
        start, stop = self._span
        for number, batch in enumerate(self._loader):
            if start <= number < stop:
                yield batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _share_of(loader: Any) -> Any:
    """The batches that this process evaluates; the loader itself if it has too few for all."""
    from recbole.data.dataloader import FullSortEvalDataLoader
    from torch.utils.data import BatchSampler

    if len(loader) < processes.count():
        return loader
    start, stop = processes.spans(len(loader))[processes.rank()]
    if not isinstance(loader, FullSortEvalDataLoader):
        return _Share(loader, start, stop)
    size = loader.batch_sampler.batch_size
    users = range(start * size, min(stop * size, len(loader.batch_sampler.sampler)))
    share = copy.copy(loader)
    vars(share)["batch_sampler"] = BatchSampler(users, size, drop_last=False)  # no other may be set
    return share


# --- trainers -------------------------------------------------------------------------------------


def change_processes(module: ModuleType) -> None:
    """Let RecBole's trainers work without GPUs, and count each user's metrics once.

    RecBole weighs the metrics of its processes by their numbers of batches, and repeats users.
    """
    abstract, trainer = module.AbstractTrainer, module.Trainer
    abstract.__init__ = _with_any_device(module)
    trainer.__init__ = _with_one_file(trainer.__init__)
    trainer.evaluate = _of_all_users(trainer.evaluate)
    trainer._map_reduce = lambda self, result, num_sample: result  # noqa: ARG005 # RecBole's


def _with_any_device(module: ModuleType) -> Callable[..., None]:
    def initialised(self: Any, config: Any, model: Any) -> None:
        import torch

        self.config, self.model = config, model
        if config["single_spec"]:
            return
        devices = None
        if config["device"].type != "cpu":  # there is no SyncBatchNorm for CPUs
            convert: Any = torch.nn.SyncBatchNorm.convert_sync_batchnorm
            self.model = convert(model)
            devices = [config["local_rank"]]
        self.distributed_model = module.DistributedDataParallel(self.model, device_ids=devices)

    return initialised


def _with_one_file(init: Callable[..., None]) -> Callable[..., None]:
    """RecBole names the checkpoint by the second in which each process comes to it."""

    @wraps(init)
    def initialised(self: Any, config: Any, model: Any) -> None:
        init(self, config, model)
        self.saved_model_file = processes.from_first(self.saved_model_file)

    return initialised


def _of_all_users(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(evaluate)
    def shared(
        self: Any,
        eval_data: Any,
        load_best_model: bool = True,
        model_file: Any = None,
        show_progress: bool = False,
    ) -> Any:
        if processes.count() == 1 or not eval_data:
            return evaluate(self, eval_data, load_best_model, model_file, show_progress)
        processes.wait_for_all()  # the first may be writing what is loaded here
        share = _share_of(eval_data)
        with contextlib.nullcontext() if share is eval_data else _gathered(self.eval_collector):
            return evaluate(self, share, load_best_model, model_file, show_progress)

    return shared


@contextlib.contextmanager
def _gathered(collector: Any) -> Iterator[None]:
    """Let a collector give the rows of all processes, in the order of the users."""
    of_this = collector.get_data_struct

    def of_all() -> Any:
        struct = of_this()
        for key, rows in struct._data_dict.items():
            if key.startswith("rec.") or key == "data.label":
                struct.set(key, processes.gathered_rows(rows))
        return struct

    collector.get_data_struct = of_all
    try:
        yield
    finally:
        del collector.get_data_struct


class _Silence:
    """Does nothing, whatever it is told."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def silent_curves() -> Any:
    """A tensorboard for the processes that don't write."""
    return _Silence()
