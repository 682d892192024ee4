"""What training the text encoder is worth for ranking: LoRA beside a frozen encoder.

Every model is trained in both modes with the same seeds, settings and budget, the epoch chosen on
validation and the test split read once. Prints a Markdown table with the paired sign-flip test over
users and seeds and Holm's correction over its rows. Stopped, it goes on with the runs that aren't
there yet.

    python benchmarks/lora_quality.py --datasets=A,B --out=DIR [--seeds=0,1,2] [--key=value]
"""

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from recbole_symcere.cli import parse_pairs
from recbole_symcere.evaluate.significance import compare, holm
from recbole_symcere.run.run_directory import RunDirectory

METRIC = "ndcg@10"
MODELS: dict[str, dict[str, Any]] = {
    "SymCERE": {"model": "SymCERE"},
    "SymCEREPlus": {"model": "SymCEREPlus"},
}
SETTINGS: dict[str, Any] = {
    "lora_layers": 2,
    "max_length": 32,
    "epochs": 20,
    "stopping_step": 5,
}


def trained(folder: Path, settings: dict[str, Any]) -> RunDirectory:
    """The run of these settings, made where it isn't there yet."""
    if not (folder / "metrics.json").exists():
        arguments = [f"--{key}={value}" for key, value in settings.items()]
        command = [sys.executable, "run_recbole_symcere.py", *arguments, f"--run_dir={folder}"]
        print(" ".join(command), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return RunDirectory(folder)


def values_of(runs: list[RunDirectory]) -> np.ndarray:
    """The test metric of users and seeds, users in order of their ids."""
    columns = [run.read_per_user(METRIC) for run in runs]
    return np.array([[column[user] for column in columns] for user in sorted(columns[0])])


def written(scores: list[float]) -> str:
    """Mean and deviation over seeds."""
    return f"{statistics.mean(scores):.4f} ± {statistics.stdev(scores):.4f}"


def main() -> None:
    """Train what is missing and print the table."""
    given = parse_pairs(sys.argv[1:])
    out, seeds = Path(given.pop("out")), str(given.pop("seeds", "0,1,2")).split(",")
    rows: list[list[str]] = []
    differences: list[np.ndarray] = []
    for dataset in str(given.pop("datasets")).split(","):
        for label, model in MODELS.items():
            runs = {}
            for mode in ("frozen", "lora"):
                runs[mode] = []
                for seed in seeds:
                    fixed = {"dataset": dataset, "text_mode": mode, "seed": seed}
                    name = f"{label.replace(', ', '-').replace(' ', '-')}-{mode}-{seed}"
                    runs[mode].append(
                        trained(out / dataset / name, {**SETTINGS, **given, **model, **fixed})
                    )
            both = {mode: values_of(found) for mode, found in runs.items()}
            differences.append(both["lora"] - both["frozen"])
            scores = {
                mode: [
                    [run.read_metrics()[split][METRIC] for run in found]
                    for split in ("valid", "test")
                ]
                for mode, found in runs.items()
            }
            cells = [written(scores[mode][split]) for split in (0, 1) for mode in runs]
            rows.append([dataset, label, *cells])
    tests = [compare([one])[0] for one in differences]
    columns = ("set", "model", "validation, frozen", "LoRA", "test, frozen", "LoRA")
    print(f"| {' | '.join(columns)} | LoRA - frozen on test [95 %] | p | p, Holm |")
    print("|---" * (len(columns) + 3) + "|")
    for row, test, adjusted in zip(rows, tests, holm([t.p_value for t in tests]), strict=True):
        low, high = test.interval
        gain = f"{test.difference:+.4f} [{low:+.4f}, {high:+.4f}]"
        print(f"| {' | '.join(row)} | {gain} | {test.p_value:.3f} | {adjusted:.3f} |")


if __name__ == "__main__":
    main()
