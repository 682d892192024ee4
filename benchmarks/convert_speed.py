"""Time and memory of a conversion beside plain pandas on the same file, in one run.

    python benchmarks/make_reviews.py --rows 2000000 --out reviews.json
    python benchmarks/convert_speed.py --file reviews.json [--skip=pandas]
    python benchmarks/convert_speed.py --file reviews.json --broken=25

Each way runs in a process of its own, which tells its peak memory. ``ours`` is the command
``convert amazon2018 --k_core 5`` with all it does. ``pandas`` is what one would type for the same
two files, .inter and Parquet compressed with zstd: read_json, join summary and text, sort,
drop_duplicates, repeated groupby until every user and item has 5, to_csv, to_parquet. It leaves out
the checks of every value, the cleaning of texts, the sha256 of inputs and outputs and writing
aside, and holds all in memory. ``pandas_clean`` also removes HTML and tidies white space as ours
does. The last column tells whether the .inter file has the same bytes as ours.

With ``--broken`` ours runs alone, by turns on the file and on a copy in which so many lines are cut
in their middle, and the medians are compared: of seconds, and of the CPU's seconds, which tell more
where others use the cores.
"""

import argparse
import hashlib
import html
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("ours", "pandas", "pandas_clean")
TURNS = 5


def main() -> None:
    """Run every way and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--skip", choices=WAYS, action="append", default=[])
    parser.add_argument("--broken", type=int, default=0)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        measure(args.way, args.file, args.out)
    elif args.broken:
        compare_broken(args.file, args.broken)
    else:
        compare_ways(args.file, [way for way in WAYS if way not in args.skip])


def compare_ways(file: Path, ways: list[str]) -> None:
    """Print a line for each way."""
    megabytes, results = file.stat().st_size / 1e6, {}
    for way in ways:
        found = results[way] = run(way, file)
        first, seconds, rows = results[ways[0]], found["seconds"], found["rows"]
        print(
            f"{way:13} {seconds:7.1f} s {rows / seconds:10,.0f} rows/s "
            f"{megabytes / seconds:7.1f} MB/s   {found['cpu']:7.1f} s of CPU   "
            f"peak {found['peak_gb']:.2f} GB   "
            f"{found['kept']:,} of {rows:,} rows kept   "
            f"{seconds / first['seconds']:.2f} times {ways[0]}, "
            f"{'same' if found['inter'] == first['inter'] else 'OTHER'} .inter",
            flush=True,
        )


def compare_broken(file: Path, n_broken: int) -> None:
    """Print what broken lines cost."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        other = Path(folder) / file.name
        lines = file.read_bytes().splitlines(keepends=True)
        for n in range(n_broken):
            place = (2 * n + 1) * len(lines) // (2 * n_broken)
            lines[place] = lines[place][: len(lines[place]) // 2] + b"\n"
        other.write_bytes(b"".join(lines))
        n_lines = len(lines)
        del lines
        turns = [(run("ours", file), run("ours", other)) for _ in range(TURNS)]
    for unit in ("seconds", "cpu"):
        whole, broken = (statistics.median(turn[n][unit] for turn in turns) for n in (0, 1))
        print(
            f"{unit:8} {whole:6.2f} whole, {broken:6.2f} with {n_broken} of {n_lines:,} lines "
            f"broken: {broken / whole:.2f} times (medians of {TURNS})"
        )


def run(way: str, file: Path) -> dict[str, Any]:
    """Run one way in a process of its own and return what it took."""
    with tempfile.TemporaryDirectory(dir=file.parent) as out:
        command = [sys.executable, __file__, f"--file={file}", f"--way={way}", f"--out={out}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(way: str, file: Path, out: Path) -> None:
    """Run one way and print what it took as JSON."""
    start = time.perf_counter()
    rows, kept = ours(file, out) if way == "ours" else pandas(file, out, way == "pandas_clean")
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    inter = out / ("d/d.inter" if way == "ours" else "d.inter")
    result = {
        "seconds": seconds,
        "cpu": used.ru_utime + used.ru_stime,  # tells more than seconds where others use the cores
        "peak_gb": used.ru_maxrss / 1e6,  # kilobytes on Linux
        "rows": rows,
        "kept": kept,
        "inter": hashlib.sha256(inter.read_bytes()).hexdigest(),
    }
    print(json.dumps(result))


def ours(file: Path, out: Path) -> tuple[int, int]:
    """Convert with the command; return rows read and kept."""
    from recbole_symcere.convert.convert_command import main as convert

    convert(["amazon2018", f"--input={file}", "--name=d", "--k_core=5", f"--output_dir={out}"])
    manifest = json.loads((out / "d" / "manifest.json").read_text())
    return manifest["read_report"]["rows_read"], manifest["counts"]["reviews"]


def pandas(file: Path, out: Path, clean: bool) -> tuple[int, int]:
    """Convert with pandas; return rows read and kept."""
    import pandas as pd

    data = pd.read_json(file, lines=True).astype({"overall": float})
    n_rows = len(data)
    data["text"] = data["summary"].fillna("") + ". " + data["reviewText"].fillna("")
    if clean:
        tag, space = re.compile(r"<[^<>]+>"), re.compile(r"\s+")
        data["text"] = data["text"].map(
            lambda text: space.sub(" ", tag.sub(" ", html.unescape(text))).strip()
        )
        data["text"] = data["text"].str.normalize("NFC")
    data = data.sort_values(["reviewerID", "unixReviewTime"], kind="stable")
    data = data.drop_duplicates(["reviewerID", "asin"])
    while True:
        before = len(data)
        data = data[data.groupby("reviewerID")["asin"].transform("size") >= 5]
        data = data[data.groupby("asin")["reviewerID"].transform("size") >= 5]
        if len(data) == before:
            break
    inter = data[["reviewerID", "asin", "overall", "unixReviewTime"]]
    header = ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    inter.to_csv(out / "d.inter", sep="\t", index=False, header=header)
    reviews = data[["reviewerID", "asin", "text"]].set_axis(["user_id", "item_id", "text"], axis=1)
    reviews.to_parquet(out / "d.reviews.parquet", index=False, compression="zstd")
    return n_rows, len(data)


if __name__ == "__main__":
    main()
