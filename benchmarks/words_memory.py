"""What counting the words of reviews takes, all at once or piece by piece.

Each side runs in a process of its own, which prints CPU seconds and by how much its memory rose at
its peak; the vectors of the items must be the same. "whole" is the way of before: one matrix of
all reviews, and users counted though nothing reads them.

    python benchmarks/words_memory.py --datasets=NAME,NAME [--data_path=DIR] [--key=value ...]
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from recbole_symcere.cli import parse_pairs

SIZE, LENGTH = 256, 512


def measured(name: str, way: str, settings: dict[str, Any], out: Path) -> None:
    """Count in this process; print what it took."""
    from recbole_symcere.data import dataset as data_set
    from recbole_symcere.model.profiles import _word_counts
    from recbole_symcere.plugin.config import Config
    from recbole_symcere.run.prepare import read_dataset, split_dataset
    from recbole_symcere.text.lexical import LexicalSpace

    if way == "whole":
        data_set._PIECE = 1 << 40
    config = Config("SymCEREPlus", name, config_dict=settings)
    train = split_dataset(config, read_dataset(config))[0]
    before, started = _peak(), time.process_time()
    counts, _ = _word_counts(train, LENGTH, with_users=way == "whole")
    counted = time.process_time() - started
    space = LexicalSpace(counts[0], SIZE)
    for others in counts[1:]:
        space.transform(others)
    np.save(out, space.rows.numpy())
    seconds = time.process_time() - started
    print(json.dumps({"counted": counted, "seconds": seconds, "gb": (_peak() - before) / 1e6}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.024  # KiB on Linux


def main() -> None:
    """Measure both ways on each data set."""
    if sys.argv[1] == "--child":
        measured(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), Path(sys.argv[5]))
        return
    pairs: dict[str, Any] = parse_pairs(sys.argv[1:])
    names = str(pairs.pop("datasets")).split(",")
    print("| data set | way | words counted, CPU s | with LSA, CPU s | memory, GB |")
    print("|---|---|---|---|---|")
    for name in names:
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            settings = {"checkpoint_dir": folder, **pairs}
            for way in ("whole", "pieces"):
                file = Path(folder, f"{way}.npy")
                words = ["--child", name, way, json.dumps(settings), str(file)]
                said = subprocess.run(
                    [sys.executable, __file__, *words],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                took = json.loads(said.stdout.splitlines()[-1])
                found[way] = took, np.load(file)
                numbers = " | ".join(f"{took[key]:.2f}" for key in ("counted", "seconds", "gb"))
                print(f"| {name} | {way} | {numbers} |", flush=True)
        (first, one), (second, other) = found.values()
        alike = np.linalg.norm(one @ (one.T @ one) - other @ (other.T @ one)) / np.linalg.norm(
            one @ (one.T @ one)
        )
        print(
            f"\n{name}: {second['seconds'] / first['seconds']:.2f} of the time, "
            f"{second['gb'] / first['gb']:.2f} of the memory; similarities differ by {alike:.1e}\n"
        )


if __name__ == "__main__":
    main()
