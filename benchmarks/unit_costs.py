"""What a row, a text, an edge and a user cost on one core, to work out what larger data need.

    python benchmarks/unit_costs.py [--out=benchmarks/results/unit_costs.md]

Everything is measured in CPU seconds, of one thread where torch computes. In the data sets whose
preparation and epochs are measured random numbers stand in the place of the encoder's vectors: the
encoder is measured by itself. An epoch is worked out from its first batches. It takes some minutes.
"""

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from make_reviews import write_reviews

ROOT = Path(__file__).parents[1]
WORDS = ("good", "bad", "room", "sound", "very", "small", "price", "loud", "staff", "late", "works")
MODELS = ("LightGCN", "SymCERE", "SymCEREPlus")
SIZES = (20_000, 60_000)
BATCHES = 4  # of an epoch that are timed
Rows = list[tuple[str, str]]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/unit_costs.md")
    parser.add_argument("--prepared", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.prepared:
        print(*measure_model(given.folder, given.prepared[0], given.prepared[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows: Rows = []
        for part in (conversion, encoding, propagation, recommendation, models):
            began = time.perf_counter()
            rows += part(folder)
            print(f"{part.__name__}: {time.perf_counter() - began:.0f} s", flush=True)
    lines = [
        "# Unit costs", "",
        f"By `python benchmarks/unit_costs.py`, in CPU seconds of one core ({cpu()}; "
        f"torch {torch.__version__}). Texts of the encoder have about 70 tokens.", "",
        "| what | figure |", "|---|---|",
    ]  # fmt: skip
    lines += (f"| {what} | {figure} |" for what, figure in rows)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def conversion(folder: Path, n: int = 150_000) -> Rows:
    """The command convert on one dump."""
    dump = folder / "dump.json"
    write_reviews(dump, n, 1)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "run_recbole_symcere.py", "convert", "amazon2018", f"--input={dump}",
         "--name=dump", f"--output_dir={folder}/converted"],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    target = folder / "converted" / "dump"
    inter, texts = ((target / f"dump.{end}").stat().st_size for end in ("inter", "reviews.parquet"))
    kept = pl.scan_parquet(target / "dump.reviews.parquet").select(pl.len()).collect().item()
    return [
        ("convert, rows per core-second", f"{n / cpu:,.0f} ({dump.stat().st_size / n:.0f} B each)"),
        (
            "converted row on disk",
            f"{inter / kept:.0f} B .inter, {texts / kept:.0f} B texts (zstd)",
        ),
    ]


def encoding(folder: Path, n: int = 20_000, n_encoded: int = 300) -> Rows:
    """Tokens and vectors of texts of about 70 tokens."""
    from recbole_symcere.text.encode import make_plan
    from recbole_symcere.text.encoder import DEFAULT_ENCODER, TextEncoder, load_encoder
    from recbole_symcere.text.tokens import TokenStore
    from recbole_symcere.text.vectors import text_vectors

    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, min(k, 126))) for k in rng.geometric(1 / 95, n)]
    backbone, tokenizer = load_encoder(DEFAULT_ENCODER)
    encoder = TextEncoder(backbone)
    began = time.process_time()
    store = TokenStore.open_or_build(texts, tokenizer, 128, folder / "tokens")
    tokenised = time.process_time() - began
    size = sum(path.stat().st_size for path in store.directory.iterdir())
    began = time.process_time()
    make_plan(store, tokenizer, None, 1, 0.15, 0)
    planned = time.process_time() - began
    some = TokenStore.open_or_build(texts[:n_encoded], tokenizer, 128, folder / "tokens")
    how = {"masked_views": 0, "mask_probability": 0.0, "seed": 0, "show_progress": False}
    text_vectors(encoder, tokenizer, some, text_ids=np.arange(50), **how)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        text_vectors(encoder, tokenizer, some, **how)
        seconds.append(time.process_time() - began)
    encoded, n_tokens = statistics.median(seconds), some.lengths.sum()
    mean, width = store.lengths.mean(), encoder.width
    return [
        ("tokenise, texts per core-second", f"{n / tokenised:,.0f} (mean {mean:.0f} tokens)"),
        ("tokens on disk", f"{size / len(store):.0f} B a text"),
        ("sort and mask texts before encoding, per core-second", f"{len(store) / planned:,.0f}"),
        ("encode (all-MiniLM-L6-v2), texts per core-second", f"{len(some) / encoded:,.0f}"),
        ("... tokens per core-second", f"{n_tokens / encoded:,.0f}"),
        ("vectors, on disk and in memory", f"{4 * width:,} B a text, as much for a masked copy"),
    ]


def propagation(_: Path, n_edges: int = 400_000, d: int = 64) -> Rows:
    """A layer of LightGCN there and back."""
    from recbole_symcere.graph import bipartite, encoders

    rng = np.random.default_rng(0)
    n_users, n_items = n_edges // 12, n_edges // 40
    pairs = np.unique(
        rng.integers(0, n_users, n_edges) * n_items + rng.integers(0, n_items, n_edges)
    )
    users, items = (torch.from_numpy(part) for part in np.divmod(pairs, n_items))
    graph = bipartite.BipartiteGraph(users, items, n_users, n_items)
    x = torch.randn(n_users + n_items, d, requires_grad=True)
    layers, seconds = 2, []
    for _ in range(6):
        began = time.process_time()
        encoders.LightGCN(layers)(graph, x).sum().backward()
        seconds.append(time.process_time() - began)
    each = statistics.median(seconds[1:]) / layers / (len(pairs) * d)
    return [
        ("a layer of propagation with its gradient", f"{each * 1e9:.2f} ns per edge and dimension "
         f"({each * 1e6 * 64:.2f} s per million edges at d = 64)"),
    ]  # fmt: skip


def recommendation(_: Path, n_users: int = 3000, n_items: int = 100_000, d: int = 64) -> Rows:
    """Top-10 lists out of 100,000 items."""
    import recbole_symcere  # noqa: F401
    from recbole_symcere.run.catalogue import Catalogue
    from recbole_symcere.serve.recommender import Recommender
    from recbole_symcere.serve.scorers import VectorScorer

    rng, counts = np.random.default_rng(0), (("u", n_users), ("i", n_items))
    names = [pa.array(["[PAD]", *(f"{x}{k}" for k in range(n))]) for x, n in counts]
    user = np.repeat(np.arange(1, n_users + 1), 12)
    item = rng.integers(1, n_items + 1, len(user))
    known = Catalogue(
        *names, pa.array([""] * (n_items + 1)), user, item, np.zeros(len(user), np.int8)
    )
    vectors = tuple(torch.randn(len(ids), d) for ids in names)
    ours = Recommender(known, VectorScorer({"raw": vectors, "scored": None}), (Path(), ""))
    began = time.process_time()
    for _ in ours.tables(names[0].to_pylist()[1:], 10):
        pass
    rate = n_users / (time.process_time() - began)
    return [("top-10 of 100,000 items (d = 64), users per core-second", f"{rate:,.0f}")]


def models(folder: Path) -> Rows:
    """Preparation and epochs of models on data sets of two sizes, each in a process of its own."""
    rows: Rows = []
    for n in SIZES:
        write_data(folder, f"d{n}", n)
    for model in MODELS:
        found = {}
        for n in SIZES:
            words = [sys.executable, __file__, "--prepared", model, f"d{n}", f"--folder={folder}"]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            print(f"  {model}, {n:,}: {done.stdout.splitlines()[-1]}", flush=True)
            found[n] = [float(word) for word in done.stdout.split()[-5:]]
        small, large = (found[n] for n in SIZES)
        per_million = 1e6 / (SIZES[1] - SIZES[0])
        memory, seconds = ((large[k] - small[k]) * per_million for k in (0, 1))
        steps = ", ".join(f"{found[n][2]:.1f} s at {n:,} ({found[n][3]:.0f} steps)" for n in SIZES)
        rows += [
            (f"{model}: memory at preparation, per million interactions", f"{memory:.2f} GB"),
            (f"{model}: preparation, per million interactions", f"{seconds:.0f} s"),
            (f"{model}: an epoch", steps),
            (f"{model}: checkpoint", f"{large[4]:.0f} MB per million users and items"),
        ]
    return rows


def write_data(folder: Path, name: str, n: int) -> None:
    """A data set of n interactions with a short text each."""
    rng, target = np.random.default_rng(0), folder / "data" / name
    target.mkdir(parents=True)
    users, items = n // 12, n // 40
    pairs = np.unique(rng.integers(0, users, 2 * n) * items + rng.integers(0, items, 2 * n))
    pairs = rng.permutation(pairs)[:n]
    user, item = (pl.Series([f"{x}{k}" for k in part]) for x, part in
                  zip("ui", np.divmod(pairs, items), strict=True))  # fmt: skip
    text = [f"{WORDS[k % 11]} {WORDS[k % 7]} number {k}" for k in range(len(pairs))]
    frame = pl.DataFrame({"user_id": user, "item_id": item, "text": text})
    frame.write_parquet(target / f"{name}.reviews.parquet")
    times = pl.Series(np.arange(len(pairs)) + 1_500_000_000)
    frame.select(
        pl.col("user_id").alias("user_id:token"), pl.col("item_id").alias("item_id:token"),
        pl.lit(4.0).alias("rating:float"), times.alias("timestamp:float"),
    ).write_csv(target / f"{name}.inter", separator="\t")  # fmt: skip
    (target / "manifest.json").write_text('{"notice": "made up"}')


def measure_model(folder: Path, model: str, name: str) -> tuple[float, ...]:
    """GB and seconds of the preparation, seconds and steps of an epoch, MB per million nodes."""
    from recbole_symcere.plugin.config import Config
    from recbole_symcere.run import prepare
    from recbole_symcere.text.vectors import encoding_by

    settings = {
        "data_path": str(folder / "data"), "cache_dir": str(folder / "cache"), "use_gpu": False,
        "run_dir": str(folder / f"{model}-{name}"), "checkpoint_dir": str(folder / "saved"),
        "show_progress": False, "state": "ERROR",
    }  # fmt: skip
    if model != "LightGCN":
        settings["text_mode"] = "frozen"
    config = Config(model, name, config_dict=settings)
    began, before = time.process_time(), held()
    peak()
    with encoding_by(Drawn()):
        train_data, *_ = prepare.split_data(config, prepare.read_dataset(config))
        built = prepare.build_model(config, train_data)
    trainer = prepare.build_trainer(config, built)
    gigabytes, prepared = peak() - before, time.process_time() - began
    steps = len(train_data)
    few = First(train_data)
    trainer._train_epoch(few, 0)  # warms up
    began = time.process_time()
    trainer._train_epoch(few, 1)
    epoch = (time.process_time() - began) / BATCHES * steps
    trainer._saved = True
    trainer._finish_epoch(best=False)
    nodes = train_data.dataset.user_num + train_data.dataset.item_num
    return gigabytes, prepared, epoch, steps, trainer.last_file.stat().st_size / nodes


class First:
    """The first batches of a loader.

    Args:
        loader: the loader.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self._loader, BATCHES)

    def __len__(self) -> int:
        return BATCHES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class Drawn:
    """Draws vectors in the place of encoding."""

    device = torch.device("cpu")

    def __call__(self, encoder: Any, numbers: Any, tokens: Any) -> Iterator[Any]:
        """Yield the number and random vectors of each batch."""
        rng = np.random.default_rng(0)
        for number in numbers:
            n = len(tokens(number)[0])
            yield number, rng.standard_normal((n, encoder.width)).astype(np.float32)


def peak() -> float:
    """Peak memory of this process in GB since the last call."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")  # it starts again from what is held now
    return found * 1024 / 1e9


def held() -> float:
    """Memory of this process in GB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9


def cpu() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "CPU")


if __name__ == "__main__":
    main()
