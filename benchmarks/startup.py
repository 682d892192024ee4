"""How long help and the telling of a mistake take: CPU seconds of a start, the median of some.

CPU seconds, because a shared machine gives others of the wall clock. Beside them stands what
importing torch and RecBole alone takes, which none of these waits for.

    python benchmarks/startup.py [--times=5]
"""

import resource
import statistics
import subprocess
import sys

from recbole_symcere.base.options import parse_pairs
from recbole_symcere.cli import _COMMANDS

COMMANDS = (
    "--help",
    "--version",
    "convrt",
    *(f"{command} --help" for command in _COMMANDS),
    "convert yelp --help",
    "convert stats --help",
    "convert attach --help",
    "explain lime --help",
    "--model=SymCERE --help",
    "--model=LightGCN --help",
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
    """The median CPU seconds of starts of Python with these arguments."""
    taken = []
    for _ in range(times):
        before = used()
        subprocess.run([sys.executable, *words], capture_output=True, check=False)
        taken.append(used() - before)
    return statistics.median(taken)


def used() -> float:
    """CPU seconds of all processes that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print a line per command."""
    times = int(parse_pairs(sys.argv[1:]).get("times", 5))
    loaded = seconds(["-c", "import torch, recbole_symcere, recbole.trainer"], times)
    bare = seconds(["-c", "pass"], times)
    package = seconds(["-c", "import recbole_symcere"], times)
    print(f"{loaded:.2f} s  import torch and RecBole")
    print(f"{bare:.2f} s  Python alone")
    print(f"{package - bare:.2f} s  import recbole_symcere, without Python's own start")
    for command in COMMANDS:
        taken = seconds(["run_recbole_symcere.py", *command.split()], times)
        print(f"{taken:.2f} s  {command}  (1/{loaded / taken:.0f} of that)")


if __name__ == "__main__":
    main()
