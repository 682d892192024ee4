"""The settings of every run: RecBole's, whose mistakes it would tell late or not at all, and ours.

Defaults of RecBole's settings are in its own yaml files and, where our protocol differs, in
``properties/overall.yaml``.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recbole_symcere.base.options import option
from recbole_symcere.model.blend_options import BlendOptions
from recbole_symcere.text.text_options import CacheOptions, ControlOptions

__all__ = [
    "FILTERS",
    "RUN_GROUPS",
    "UNLISTED_KEYS",
    "FileOptions",
    "JobOptions",
    "ProcessOptions",
    "RunOptions",
]

FILTERS = ("rm_dup_inter", "user_inter_num_interval", "item_inter_num_interval", "val_interval")
"""What leaves interactions out before the split; of parts that are split already nothing does."""


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What is run on what."""

    model: str | None = option(
        None, "a model of ours or RecBole's: SymCERE, LightGCN, NGCF, BPR, EASE, ..."
    )
    dataset: str | None = option(None, "name of a folder below data_path")


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Where settings are read from."""

    config_files: str = option(
        "", "a.yaml,b.yaml: settings from files; later ones win, and --key=value wins over all"
    )

    @property
    def files(self) -> list[str]:
        """The files of `config_files`, separated by commas or blanks, with quotes where needed."""
        if Path(self.config_files).is_file():
            return [self.config_files]
        words = shlex.shlex(self.config_files, posix=True)
        words.whitespace, words.whitespace_split, words.commenters = ", \t\n", True, ""
        return list(words)


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """How many processes work on one run, on one machine or several."""

    nproc: int = option(
        1, "processes of a run on this machine; each has an accelerator if there are any", minimum=1
    )
    world_size: int = option(-1, "processes on all machines; nproc if not given", minimum=-1)
    ip: str = option("localhost", "of the machine of the first process")
    port: int | None = option(
        None, "there; if not given a free one, or 5678 if there are further machines",
        minimum=1, maximum=65535,
    )  # fmt: skip
    group_offset: int = option(
        0, "number of this machine's first process; 0 on the first machine", minimum=0
    )

    @property
    def all_processes(self) -> int:
        """`world_size`, or what stands for it."""
        return self.world_size if self.world_size > 0 else self.nproc + self.group_offset


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run of any model is told."""

    data_path: str = option(help="folder that holds one folder per data set")
    runs_dir: str = option("runs", "a run without run_dir leaves its folder here")
    checkpoint_dir: str = option(help="RecBole's folder of checkpoints; a run of ours has its own")
    seed: int = option(help="of everything random in a run", minimum=0, maximum=2**32 - 1)
    reproducibility: bool = option(help="whether to use deterministic algorithms alone")
    use_gpu: bool = option(help="whether to use an accelerator if there is one")
    epochs: int = option(help="most epochs", minimum=1)
    train_batch_size: int = option(help="interactions of a batch", minimum=1)
    train_neg_sample_args: dict[str, Any] | None = option(
        help="negatives of a batch, such as {distribution: uniform, sample_num: 1}; ~ for none"
    )
    learner: Literal["adam", "adamw", "sgd", "adagrad", "rmsprop"] = option(help="the optimizer")
    learning_rate: float = option(help="of the optimizer", above=0)
    weight_decay: float = option(help="of the optimizer", minimum=0)
    clip_grad_norm: dict[str, Any] | None = option(help="such as {max_norm: 1.0}")
    worker: int = option(help="processes that load batches", minimum=0)
    eval_step: int = option(help="epochs between validations; 0 for none", minimum=0)
    stopping_step: int = option(
        help="training ends after so many validations without a better one", minimum=0
    )
    eval_args: dict[str, Any] = option(help="split, order, group_by and mode")
    eval_batch_size: int = option(
        help="user-item scores held at once; a model of ours ranks 64 users if they need fewer "
        "than 8 million, and 16 in any case",
        minimum=1,
    )
    metrics: list[str] = option(help="such as [NDCG, Hit, Recall, MRR]")
    topk: list[int] = option(help="the k of the metrics", minimum=1)
    valid_metric: str = option(help="what the best epoch is chosen by")
    metric_decimal_place: int = option(help="decimals of a metric", minimum=1)
    repeatable: bool = option(help="whether known items may be recommended again")
    rm_dup_inter: Literal["first", "last"] | None = option(
        help="which of repeated (user, item) pairs stays"
    )
    tie_order: Literal["hash", "file"] = option(
        "hash",
        "what decides among interactions of one user at one time: a hash of user, item and "
        "tie_seed, or, as in RecBole, the order of the file",
    )
    tie_seed: int = option(0, "of that hash; not the run's, so that all seeds share one split")
    split_seed: int | None = option(
        None, "of a random split; if not given the run's seed, and in compare 0, so that all seeds "
        "and their search share one split", minimum=0, maximum=2**32 - 1,
    )  # fmt: skip
    allow_repeats: bool = option(False, "whether held-out pairs may stand in the training part too")
    val_interval: dict[str, Any] | None = option(help="column -> interval of values that stay")
    load_col: dict[str, Any] | None = option(help="columns that are read of each file")
    benchmark_filename: list[str] | None = option(help="parts of a data set that is split already")
    cold_items: float = option(
        0, "share of the items held out of all splits and ranked among themselves", minimum=0,
        below=1,
    )  # fmt: skip
    cold_users: float = option(
        0, "share of the users that keep 0, 1, 2 or 4 training interactions", minimum=0, maximum=1
    )
    refit_of: str | None = option(
        None, "set by the command refit: the run whose settings are trained on all interactions"
    )
    refit_steps: list[int] | None = option(
        None, "set by refit: batches to train for, a number for each phase", minimum=1
    )
    show_progress: bool = option(help="the bar alone, without a line per epoch")
    state: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = option(
        help="what the log tells"
    )


RUN_GROUPS = (RunOptions, CacheOptions, ControlOptions, BlendOptions)
"""What every run reads, whatever its model."""

UNLISTED_KEYS = frozenset(
    {
        *("model", "dataset", "config_files", "run_dir", "loss_type", "device", "encoding"),
        *("local_rank", "nproc", "world_size", "offset", "ip", "port"),
    }
)
"""Keys that RecBole or we read although no yaml lists them."""
