"""A Ray cluster of two nodes on this machine beside one process, in one run, with the same bytes.

    python benchmarks/cluster_speed.py [--texts=3000] [--rows=100000] [--files=6] [--cores=2]

Each node gets half of the cores, and one process all of them, so that a ratio of 1 means that the
cluster costs nothing; what it would win on more machines this can't show. Encoding is that of
all-MiniLM-L6-v2 over made-up texts; the start of the workers, which load torch and the encoder, is
told apart.
Conversion is the whole command on several files. CPU seconds are those of this process and all that
it started, workers included; those of a conversion's workers can't be told, which end with it.
"""

import argparse
import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # nodes that Cluster starts have no token
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])

import numpy as np
import torch
from make_reviews import write_reviews

from recbole_symcere.cli import main as command
from recbole_symcere.run.ray_cluster import connected
from recbole_symcere.text.encoder import DEFAULT_ENCODER, TextEncoder, load_encoder
from recbole_symcere.text.tokens import TokenStore
from recbole_symcere.text.vectors import encoding_by, text_vectors

WORDS = ("good", "bad", "room", "sound", "very", "small", "price", "loud", "staff", "late", "works")


def main() -> None:
    """Start the cluster and print a line for each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=3000)
    parser.add_argument("--rows", type=int, default=100_000, help="of each file")
    parser.add_argument("--files", type=int, default=6)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.cores)
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": args.cores // 2, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=args.cores // 2)
    try:
        with tempfile.TemporaryDirectory() as folder:
            compare_encoding(Path(folder), args.texts, cluster.address)
            compare_conversion(Path(folder), args.rows, args.files, cluster.address)
    finally:
        cluster.shutdown()


def compare_encoding(folder: Path, n_texts: int, address: str) -> None:
    """Encode the same texts both ways."""
    backbone, tokenizer = load_encoder(DEFAULT_ENCODER)
    encoder, rng = TextEncoder(backbone), np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, n)) for n in rng.geometric(1 / 68, n_texts)]
    store = TokenStore.open_or_build(texts, tokenizer, 128, folder)
    how = {"masked_views": 0, "mask_probability": 0.0, "seed": 0, "show_progress": False}
    print(f"{len(store):,} texts, mean length {store.lengths.mean():.0f} tokens")

    def encode(name: str, executor: Any) -> None:
        with encoding_by(executor):
            text_vectors(encoder, tokenizer, store, directory=folder / name, **how)

    encode("warm", None)
    here = timed(lambda: encode("here", None))
    told(f"encode here, {torch.get_num_threads()} threads", here, here, len(store), "texts")
    with connected(address):
        from recbole_symcere.run.ray_encoding import RayWorkers

        executor, begun, first = RayWorkers(None, use_gpu=False), time.perf_counter(), [0.0]

        def watched(*given: Any) -> Iterator[Any]:
            for number, found in enumerate(executor(*given)):
                first[0] = first[0] if number else time.perf_counter() - begun
                yield found

        watched.device = executor.device  # type: ignore[attr-defined]
        there = timed(lambda: encode("there", watched))
        nodes = len(executor.nodes)
    told(f"... on {executor.n_workers} workers, {nodes} nodes", there, here, len(store), "texts")
    ready = (there[0] - first[0], there[1])
    print(f"    of it {first[0]:.1f} s until the first vectors; then {ready[0]:.1f} s, "
          f"{ready[0] / here[0]:.2f} times here")  # fmt: skip
    print(f"    {same(folder / 'here', folder / 'there')}")


def compare_conversion(folder: Path, n_rows: int, n_files: int, address: str) -> None:
    """Convert the same files both ways."""
    (folder / "dump").mkdir()
    for number in range(n_files):
        write_reviews(folder / "dump" / f"part{number}.json", n_rows, number)
    size = sum(path.stat().st_size for path in (folder / "dump").iterdir())
    print(f"{n_files} files of {n_rows:,} rows, {size / 1e6:,.0f} MB")

    def convert(name: str, *more: str) -> None:
        words = ["convert", "amazon2018", f"--input={folder}/dump/*.json", "--name=many"]
        with contextlib.redirect_stdout(io.StringIO()):
            assert command([*words, "--k_core=2", f"--output_dir={folder / name}", *more]) == 0

    n = n_rows * n_files
    convert("warm")
    here = timed(lambda: convert("converted_here"))
    told("convert here", here, here, n, "rows")
    there = timed(lambda: convert("converted_there", f"--ray_address={address}"))
    told("... on 2 nodes, joining them included", there, here, n, "rows", with_cpu=False)
    folders = (folder / name / "many" for name in ("converted_here", "converted_there"))
    print(f"    {same(*folders)}")


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and CPU seconds of all processes."""
    began, cpu = time.perf_counter(), cpu_seconds()
    work()
    return time.perf_counter() - began, cpu_seconds() - cpu


def told(
    what: str,
    found: tuple[float, float],
    first: tuple[float, float],
    n: int,
    of: str,
    with_cpu: bool = True,
) -> None:
    """Print a way's line."""
    cpu = f"; {found[1]:6.1f} s of CPU, {found[1] / first[1]:.2f} times here" if with_cpu else ""
    print(
        f"{what:40} {found[0]:6.1f} s, {n / found[0]:8,.0f} {of}/s, {found[0] / first[0]:.2f} "
        f"times here{cpu}",
        flush=True,
    )


def same(one: Path, other: Path) -> str:
    """Whether the files have the same bytes."""
    found = [{p.name: p.read_bytes() for p in sorted(folder.iterdir())} for folder in (one, other)]
    return "the same bytes" if found[0] == found[1] else "OTHER BYTES"


def cpu_seconds() -> float:
    """Of this process and those below it, with what they have waited for."""
    parents, spent = {}, {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
                parents[int(path.name)] = int(fields[1])
                spent[int(path.name)] = sum(map(int, fields[11:15]))
    total, own = 0, {os.getpid()}
    while own:
        total += sum(spent.get(process, 0) for process in own)
        own = {process for process, parent in parents.items() if parent in own}
    return total / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
