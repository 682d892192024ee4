"""How long it takes to be told of a misspelt name: seconds per command, the median of some starts.

Beside it stands what importing torch and RecBole alone takes, which a mistake doesn't wait for.

    python benchmarks/startup.py [--times=5]
"""

import statistics
import subprocess
import sys
import time

from recbole_symcere.cli import parse_pairs

COMMANDS = (
    "--help",
    "--version",
    "--model=SymCRE --dataset=yelp",
    "--model=SymCERE --dataset=yelpp",
    "--model=SymCERE --dataset=yelp --lerning_rate=1",
    "tune --model=BPR --dataset=yelp --num_sampels=1",
    "compare --models=BPRR --datasets=yelp --seeds=0 --out=nowhere",
    "audit --dataset=yelpp",
    "recommend --run=nowhere",
    "--resume=nowhere",
)


def seconds(words: list[str], times: int) -> float:
    """The median wall time of starts of Python with these arguments."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([sys.executable, *words], capture_output=True, check=False)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    """Print a line per command."""
    times = int(parse_pairs(sys.argv[1:]).get("times", 5))
    loaded = seconds(["-c", "import torch, recbole_symcere, recbole.trainer"], times)
    print(f"{loaded:.2f} s  import torch and RecBole")
    print(f"{seconds(['-c', 'import recbole_symcere'], times):.2f} s  import recbole_symcere")
    for command in COMMANDS:
        taken = seconds(["run_recbole_symcere.py", *command.split()], times)
        print(f"{taken:.2f} s  {command}  (1/{loaded / taken:.0f} of that)")


if __name__ == "__main__":
    main()
