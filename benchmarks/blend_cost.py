"""What a blend takes: making each expert, searching the weights, making the vectors; peak memory.

Stack, the experts alone, on a data set; `benchmarks/growth.py` makes large ones below its --work.

    python benchmarks/blend_cost.py --dataset=NAME --data_path=DIR [--key=value ...]
"""

import resource
import sys
import time

import torch

from recbole_symcere.base.options import parse_pairs
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data


def main() -> None:
    """Print a line for each part."""
    pairs = parse_pairs(sys.argv[1:])
    settings = {"checkpoint_dir": "runs/benchmark", **pairs}
    config = Config("Stack", settings.pop("dataset"), config_dict=settings)
    started = time.process_time()

    def tell(what: str) -> None:
        nonlocal started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        spent = time.process_time() - started
        print(f"{what:<18} {spent:8.1f} CPU s  {peak:5.2f} GB at most so far", flush=True)
        started = time.process_time()

    train_data, valid_data, _ = split_data(config, read_dataset(config))
    model = build_model(config, train_data)
    trainer = build_trainer(config, model)
    tell("data and model")
    for name in model.blend.names[1:]:
        model.blend.expert(name)
        tell(name)
    weights, *_ = trainer._searched(valid_data)
    tell("search of weights")
    model.blend.weigh(weights)
    model.forget()
    users, _ = model.scoring_vectors()
    tell("vectors")
    n_users, n_items = model.n_users - 1, model.n_items - 1
    print(
        f"{n_users:,} users, {n_items:,} items, vectors of {users.shape[1]:,} numbers, "
        f"{torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    main()
