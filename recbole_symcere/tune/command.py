"""The command ``tune``."""

from typing import Any

from recbole_symcere.errors import InputError

__all__ = ["HELP", "run"]

HELP = """\
tune --model=NAME --dataset=NAME [--num_samples=12] [--scheduler=asha] [--search=random]
     [--params_file=FILE] [--out=DIR] [--config_files=FILES] [--key=value ...]
tune --resume=DIR [--ray_address=ADDRESS]

  --params_file       the search space (default: properties/tune/MODEL.yaml)
  --search            random, grid, optuna
  --scheduler         asha, hyperband, pbt, median, none: which trials are ended early
  --num_samples       number of trials
  --grace_period      asha, median: epochs before a trial may be ended; pbt: epochs between
                      changes (default: a 20th of epochs, at most a third of stopping_step)
  --reduction_factor  asha, hyperband: one of so many trials goes on (default: 3)
  --cpus_per_trial    CPU cores of a trial (default: 1)
  --gpus_per_trial    GPUs of a trial, such as 0.5 (default: 1 if there is one)
  --max_concurrent    most trials at a time
  --max_failures      how often a failed trial is tried again (default: 1)
  --refit             False leaves out the last training and its test
  --ray_address       an existing Ray cluster: auto or host:port
  --out               the search's folder (default: a new one under runs/)
  --config_files      YAML files of fixed settings
  --key=value         a fixed setting of every trial
"""


def run(pairs: dict[str, Any], files: list[str]) -> int:
    """Search, or go on with a search.

    Args:
        pairs: options of the search and settings of its runs, as strings.
        files: yaml files of settings.

    Returns:
        The exit status, 0.

    Raises:
        InputError: for a mistake in what was given.
    """
    from recbole_symcere.tune.options import take_options
    from recbole_symcere.tune.search import resume, search

    out = pairs.pop("resume", None)
    if out is not None:
        address = pairs.pop("ray_address", None)
        if pairs or files:
            raise InputError("--resume=DIR goes on with a search as it was; give nothing else.")
        resume(out, address)
        return 0
    options = take_options(pairs)
    names = {key: pairs.pop(key, None) for key in ("model", "dataset")}
    search(**names, settings=pairs, files=files, options=options)
    return 0
