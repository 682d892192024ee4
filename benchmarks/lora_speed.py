"""A LoRA step beside what it was before, beside sentence-transformers, and its memory.

    python benchmarks/lora_speed.py [--parts="steps losses peers memory"] [--batch=64] [--rounds=5]

The reviews are those of the bundled sample, joined to log-normal lengths of about 70 words, because
its own have ten. Before: the whole batch and a masked copy of it, padded to its longest text, in
one pass, with the model's own dropout. Each round takes one step of every way on one batch; quote
the medians of the ratios of CPU seconds, from which the machine's speed cancels out.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from recbole_symcere.base.options import parse_pairs
from recbole_symcere.loss.contrastive import info_nce
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, read_dataset, split_data
from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.masking import mask_words
from recbole_symcere.text.review import ReviewViews, TunedReviews
from recbole_symcere.text.source import resolve_folder

SAMPLE = Path(__file__).parent.parent / "dataset_atomic/yelp"
ENCODER = "all-MiniLM-L6-v2"
ALL_HELD = 10**9  # tokens: else a busy machine's little free memory would decide what is timed


class OneBatch(torch.nn.Module):
    """Reviews as they were encoded before: both views, padded to the longest text, in one pass."""

    def __init__(self, reviews: TunedReviews, dropout: bool) -> None:
        super().__init__()
        self.reviews, self.dropout = reviews, dropout

    def forward(self, _: Any, ids: Any, mask: Any, words: Any, masked: bool = True) -> ReviewViews:  # noqa: ARG002
        """Encode a masked copy whether it is read or not."""
        told = self.reviews
        other = mask_words(
            ids,
            mask,
            words,
            told.mask_probability,
            mask_token_id=told.mask_token_id,
            pad_token_id=told.pad_token_id,
        )
        told.encoder.model.train(self.dropout)
        pair = [torch.cat(both) for both in zip((ids, mask), other, strict=True)]
        return ReviewViews(*told.encoder(*pair).chunk(2))


def long_reviews(folder: Path, n_rows: int) -> None:
    """The first rows of the sample with reviews of log-normal lengths."""
    rng = np.random.default_rng(0)
    table = pq.read_table(SAMPLE / "yelp.reviews.parquet")
    lines = (SAMPLE / "yelp.inter").read_text(encoding="utf-8").splitlines()
    texts, joined = [t or "" for t in table["text"].to_pylist()], []
    for length in np.exp(rng.normal(4.0, 0.7, n_rows)):
        words: list[str] = []
        while len(words) < length:
            words += texts[rng.integers(len(texts))].split()
        joined.append(" ".join(words[: int(length)]))
    (folder / "yelp").mkdir()
    (folder / "yelp/yelp.inter").write_text("\n".join(lines[: n_rows + 1]) + "\n", encoding="utf-8")
    part = table.slice(0, n_rows)
    column = part.column_names.index("text")
    pq.write_table(
        part.set_column(column, "text", pa.array(joined)), folder / "yelp/yelp.reviews.parquet"
    )


def prepared(folder: Path, name: str, batch: int, **other: Any) -> tuple[Any, Any]:
    """A model with LoRA in training and its batches."""
    settings = {
        "text_mode": "lora",
        "train_batch_size": batch,
        "data_path": str(folder),
        "cache_dir": str(folder / "cache"),
        "text_encoder": ENCODER,
        **other,
    }
    config = Config(name, "yelp", config_dict=settings)
    train_data, _, _ = split_data(config, read_dataset(config))
    return build_model(config, train_data).train(), train_data


def trained(model: Any, rate: float = 1e-3) -> Callable[[Any], float]:
    """A function that takes a step on a batch and returns the loss."""
    optimizer = torch.optim.Adam(model.parameter_groups(), lr=rate)

    def step(batch: Any) -> float:
        optimizer.zero_grad()
        loss: Any = sum(model.calculate_loss(batch))
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def timed(run: Callable[..., Any], *given: Any) -> float:
    """CPU seconds."""
    started = time.process_time()
    run(*given)
    return time.process_time() - started


def table_of(found: dict[str, list[float]]) -> None:
    """Print medians, and of the ratios to the first one."""
    first = next(iter(found.values()))
    for name, times in found.items():
        ratio = statistics.median(a / b for a, b in zip(times, first, strict=True))
        print(f"  {name:<58} {statistics.median(times):7.2f} CPU s  ratio {ratio:.2f}", flush=True)


def steps(folder: Path, batch: int, rounds: int) -> None:
    """Steps of SymCERE, and of SymCEREPlus at its own settings (no masked copies)."""
    kept = "top 2 of 6 layers, those below kept"
    all_ways: dict[str, dict[str, dict[str, Any]]] = {
        "SymCERE": {
            "before": {"dropout": True},
            "before, without the model's dropout": {"dropout": False},
            "all layers": {"encode_chunk_tokens": ALL_HELD},
            "all layers, activations of 1,024 tokens held": {"encode_chunk_tokens": 1024},
            kept: {"lora_layers": 2, "encode_chunk_tokens": ALL_HELD},
        },
        "SymCEREPlus": {
            "before": {"dropout": True},
            "all layers": {"encode_chunk_tokens": ALL_HELD},
        },
    }
    for name, ways in all_ways.items():
        taken: dict[str, Callable[[Any], float]] = {}
        for label, settings in ways.items():
            dropout = settings.pop("dropout", None)
            model, data = prepared(folder, name, batch, **settings)
            if dropout is not None:
                model.reviews = OneBatch(model.reviews, dropout)
            taken[label] = trained(model)
        batches, store = list(data), data.reviews.store
        for label, step in taken.items():
            once = timed(step, batches[0])
            if label == kept:
                print(f"  first step, with {len(store):,} texts to keep: {once:.0f} CPU s")
        found: dict[str, list[float]] = {label: [] for label in taken}
        for drawn in batches[1 : 1 + rounds]:
            for label, step in taken.items():
                found[label].append(timed(step, drawn))
        told = f"texts of {store.lengths.mean():.0f} tokens on average"
        print(f"{name}, steps of {batch} rows, {told}:")
        table_of(found)


def losses(folder: Path, batch: int, n: int) -> None:
    """The losses of n steps are those of before, without dropout."""
    found = []
    for old in (True, False):
        same = {"lora_dropout": 0.0, "word_mask": 0.0, "edge_dropout": 0.0}
        model, data = prepared(folder, "SymCERE", batch, lora_learning_rate=0.001, **same)
        if old:
            model.reviews = OneBatch(model.reviews, dropout=False)
        torch.manual_seed(0)
        step = trained(model)
        found.append([step(b) for _, b in zip(range(n), data, strict=False)])
    apart = max(abs(a - b) / abs(a) for a, b in zip(*found, strict=True))
    print(f"losses of {n} steps, before: {' '.join(f'{x:.4f}' for x in found[0])}")
    print(f"now:                       {' '.join(f'{x:.4f}' for x in found[1])}")
    print(f"largest relative difference: {apart:.1e}", flush=True)


def peers(folder: Path, batch: int, rounds: int) -> None:
    """Text pairs contrasted by sentence-transformers and by us: one model, rank and batch."""
    texts = pq.read_table(folder / "yelp/yelp.reviews.parquet")["text"].to_pylist()
    backbone, tokenizer = load_encoder(ENCODER)
    encoder = TextEncoder(backbone, normalize=True)
    encoder.add_lora()
    masking = (0.15, tokenizer.mask_token_id, tokenizer.pad_token_id)
    ours = TunedReviews(encoder.train(), *masking, ALL_HELD)
    ways: dict[str, Any] = {
        "sentence-transformers": peer(dropout=True),
        "sentence-transformers, without the model's dropout": peer(dropout=False),
    }
    found: dict[str, list[float]] = {label: [] for label in (*ways, "ours")}
    collating = []
    for turn in range(rounds + 1):
        chosen = texts[turn * batch : (turn + 1) * batch]
        rows = tokens_of(tokenizer, chosen)
        copies, _ = mask_words(*rows[1:], 0.15, mask_token_id=tokenizer.mask_token_id)
        cut = [row[keep][1:-1] for row, keep in zip(copies, rows[2], strict=True)]
        started = time.process_time()
        collate = ways["sentence-transformers"].model.preprocess
        columns = [collate(column) for column in (chosen, tokenizer.batch_decode(cut))]
        collating.append(time.process_time() - started)
        for label, loss in ways.items():
            given = [dict(column) for column in columns]
            found[label].append(timed(lambda f=loss, g=given: f(g, None).backward()))
        found["ours"].append(
            timed(lambda r=rows: info_nce(*ours(*r, masked=True), 0.05).backward())
        )
    print(f"{batch} pairs, a text and its masked copy, forward and backward:")
    table_of({label: times[1:] for label, times in found.items()})
    print(f"  (its collator, left out above: {statistics.median(collating):.2f} CPU s)", flush=True)


def peer(dropout: bool) -> Any:
    """The loss of sentence-transformers with the model and LoRA weights in it."""
    from peft import LoraConfig
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = SentenceTransformer(str(resolve_folder(ENCODER)), device="cpu")
    model.max_seq_length = 128
    targets = ["query", "value"]
    model.add_adapter(LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=targets))
    model.train(dropout)
    for name, module in model.named_modules():
        if "lora_dropout" in name:
            module.train()
    return MultipleNegativesRankingLoss(model)


def tokens_of(tokenizer: Any, texts: list[str]) -> tuple[torch.Tensor, ...]:
    """Text ids, token ids, attention and words of texts, padded to the longest."""
    told = tokenizer(texts, truncation=True, max_length=128, padding=True, return_tensors="pt")
    words = [[-1 if w is None else w for w in told.word_ids(row)] for row in range(len(texts))]
    mask = told["attention_mask"].bool()
    return torch.arange(len(texts)), told["input_ids"], mask, torch.tensor(words)


def memory(n: int, held: int | None) -> None:
    """Peak memory of a step of n texts and their masked copies."""
    backbone, tokenizer = load_encoder(ENCODER)
    encoder = TextEncoder(backbone, normalize=True)
    encoder.add_lora()
    masking = (0.15, tokenizer.mask_token_id, tokenizer.pad_token_id)
    reviews = TunedReviews(encoder.train(), *masking, held)
    rng = np.random.default_rng(0)
    lengths = np.clip(np.exp(rng.normal(3.2, 0.7, n)), 3, 128).astype(int)
    mask = torch.arange(128)[None] < torch.from_numpy(lengths)[:, None]
    ids = torch.from_numpy(rng.integers(1000, 20_000, (n, 128))) * mask
    words = torch.where(mask, torch.arange(128), -1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    views = reviews(torch.arange(n), ids, mask, words, masked=True)
    info_nce(*views, 0.05).backward()
    spent = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"a step of {n:,} texts of {lengths.mean():.0f} tokens, two views: peak {peak / 1e6:.2f} "
        f"GB ({before / 1e6:.2f} before it), {spent:.0f} CPU s, activations of "
        f"{reviews.held_tokens:,} tokens held, {'as told' if held else 'by the free memory'}",
        flush=True,
    )


def main() -> None:
    """Run the parts asked for."""
    pairs = parse_pairs(sys.argv[1:])
    parts = str(pairs.get("parts", "steps losses peers memory")).split()
    batch, rounds = int(pairs.get("batch", 64)), int(pairs.get("rounds", 5))
    torch.set_num_threads(1)
    if "memory_of" in pairs:
        memory(int(pairs["memory_of"]), int(pairs["held"]) if "held" in pairs else None)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        long_reviews(folder, int(pairs.get("rows", 1000)))
        if "steps" in parts:
            steps(folder, batch, rounds)
        if "losses" in parts:
            losses(folder, batch, 6)
        if "peers" in parts:
            peers(folder, batch, rounds)
    if "memory" in parts:
        for size, held in ((512, []), (4096, []), (4096, ["--held=16384"])):
            subprocess.run([sys.executable, __file__, f"--memory_of={size}", *held], check=True)


if __name__ == "__main__":
    main()
