"""What each part of SymCEREPlus is worth on validation, and the curve of its popularity dial.

Each variant changes one setting of the default and is trained with several seeds. The test split is
never evaluated. Prints Markdown; with --plot=FILE.png the dial is drawn.

    python benchmarks/symcereplus.py --dataset=yelp [--seeds=0,1,2] [--plot=FILE.png] [--key=value]
"""

import statistics
import sys
from typing import Any

from recbole_symcere.cli import parse_pairs
from recbole_symcere.evaluate.final import evaluate_final
from recbole_symcere.model.blend_options import EXPERTS
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no item bias": {"item_bias": False},
    "no words at all (encoder alone)": {"profile_text": "dense"},
    "no encoder (words alone)": {"profile_text": "lexical"},
    "users' own reviews too": {"profile": "both"},
    "no reviews, ids alone": {"profile": None, "id_scale": 1.0},
    "reviews and ids": {"id_scale": 1.0},
    "reviews and learned share of ids": {"id_scale": 0.1, "learn_id_scale": True},
    "f with a hidden layer": {"profile_hidden": 128},
    "f from a random start": {"profile_start": "random"},
    "no blend": {"blend": None},
    "blend of words alone": {"blend": ["words", "words_20"]},
    "blend of EASE alone": {"blend": ["ease_10", "ease_100", "ease_1000"]},
    "blend without what comes next": {"blend": [name for name in EXPERTS if name != "next"]},
    "the first 128 words": {"lexical_max_length": 128},
    "no cross-modal term": {"cross_weight": 0.0},
    "cross-modal term 0.1": {"cross_weight": 0.1},
    "intra-modal term 0.03": {"alpha": 0.03},
    "node-level term 0.03": {"node_weight": 0.03},
    "BPR in place of the softmax": {"rank_weight": 0.0, "beta": 1.0},
    "temperature 0.2": {"rank_temperature": 0.2},
    "temperature 0.8": {"rank_temperature": 0.8},
    "2 layers": {"n_layers": 2},
    "1,024 negatives": {"n_negatives": 1024},
    "shuffled text": {"text_control": "shuffled"},
}
DIAL = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


def train(dataset: str, settings: dict[str, Any]) -> tuple[Any, Any, Any, float]:
    """A trained model's trainer, its training and validation loaders, and its best score."""
    config = Config("SymCEREPlus", dataset, config_dict=settings)
    train_data, valid_data, _ = split_data(config, read_dataset(config))
    trainer = build_trainer(config, build_model(config, train_data))
    score, _ = trainer.fit(train_data, valid_data, verbose=False, saved=True)
    return trainer, train_data, valid_data, score


def ablate(dataset: str, seeds: list[int], settings: dict[str, Any]) -> None:
    """Print a line per variant."""
    print(
        f"| {dataset} | validation NDCG@10 | deviation | against the default |\n|---|---|---|---|"
    )
    default = 0.0
    for name, change in VARIANTS.items():
        scores = [train(dataset, {**settings, **change, "seed": s})[3] for s in seeds]
        mean = statistics.mean(scores)
        spread = f"{statistics.stdev(scores):.4f}" if len(scores) > 1 else "-"
        default = default or mean
        gain = "" if name == "default" else f"{100 * (mean / default - 1):+.1f} %"
        print(f"| {name} | {mean:.4f} | {spread} | {gain} |", flush=True)


def turn_dial(dataset: str, seed: int, settings: dict[str, Any]) -> list[dict[str, float]]:
    """Print accuracy and popularity on validation at each position; nothing is trained anew."""
    trainer, train_data, valid_data, _ = train(dataset, {**settings, "seed": seed})
    columns = ("ndcg@10", "coverage@10", "arp@10", "aplt@10", "gini@10")
    print(f"\n| popularity | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    lines, options, load = [], trainer.model.plus, True
    for position in DIAL:
        trainer.model.plus = type(options)(**{**options.__dict__, "popularity": position})
        trainer.model.forget()
        found = evaluate_final(trainer, train_data, valid_data, load)
        load = False
        values = {**found.test, **found.beyond["popularity"]}
        line = {"popularity": position} | {key: values[key] for key in columns}
        print("| " + " | ".join(f"{value:.4g}" for value in line.values()) + " |", flush=True)
        lines.append(line)
    return lines


def draw(lines: list[dict[str, float]], title: str, path: str) -> None:
    """NDCG against coverage, a point per position of the dial."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    x, y = ([line[key] for line in lines] for key in ("coverage@10", "ndcg@10"))
    axes.plot(x, y, "o-")
    for line, a, b in zip(lines, x, y, strict=True):
        axes.annotate(f"{line['popularity']:g}", (a, b), (5, 5), textcoords="offset points")
    axes.set(xlabel="coverage@10", ylabel="validation NDCG@10", title=f"{title}: popularity")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure the data set that is asked for."""
    pairs: dict[str, Any] = {"checkpoint_dir": "runs/benchmark", **parse_pairs(sys.argv[1:])}
    dataset, plot = pairs.pop("dataset", "yelp"), pairs.pop("plot", None)
    seeds = [int(seed) for seed in str(pairs.pop("seeds", "0,1,2")).split(",")]
    ablate(dataset, seeds, pairs)
    lines = turn_dial(dataset, seeds[0], pairs)
    if plot:
        draw(lines, dataset, plot)


if __name__ == "__main__":
    main()
