"""What LoRA training reaches on one accelerator, in at most a quarter of an hour.

    python benchmarks/accelerator.py --out=DIR [--device=cuda] [--small=False] [--minutes=14]

The encoder has roberta-base's shape and random weights, texts have log-normal lengths of about 70
tokens. Measured: real tokens per second and the share of the peak (the data sheet's, and that of a
large matrix product), padded beside sorted, all layers beside the top two, float32 beside bfloat16;
peak memory of batches of 512 and 4,096; epochs at sizes of the paper's Table 1, of whole SymCERE
where RecBole is installed; and whether bfloat16 learns what float32 does. DIR gets accelerator.json
and accelerator.md. --device=cpu --small=True tries the script itself.
"""

import gc
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recbole_symcere.base.options import parse_pairs
from recbole_symcere.loss.contrastive import info_nce
from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.kept_layers import KeptLayers
from recbole_symcere.text.load import load_encoder
from recbole_symcere.text.masking import mask_words
from recbole_symcere.text.review import TunedReviews
from recbole_symcere.text.tokens import TokenStore

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12}  # dense bfloat16
SETS = {"Office": (256, 1287, 3828), "Yelp": (802, 1274, 11_879), "Pet": (1114, 4241, 20_722)}
WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]


class Bench:
    """The encoder's folder, texts and what was measured.

    Args:
        folder: for the encoder and its texts.
        device: where.
        small: a tiny encoder and few texts.
        seconds: after which no further part begins.
    """

    def __init__(self, folder: Path, device: torch.device, small: bool, seconds: float) -> None:
        self.folder, self.device, self.small = folder, device, small
        self.until = time.perf_counter() + seconds
        self.rows: list[dict[str, Any]] = []
        self.peaks = {"matrix product": self._product()}
        if device.type == "cuda":
            name = torch.cuda.get_device_name(device)
            known = [peak for kind, peak in PEAKS.items() if kind in name]
            self.peaks |= dict(zip(["data sheet"], known, strict=False))
        self.encoder = _save_encoder(folder / "encoder", small)
        rng = np.random.default_rng(0)
        self.texts = random_texts(rng, 300 if small else 8192, 12 if small else 55)
        _, tokenizer = load_encoder(str(self.encoder))
        self.store = TokenStore.open_or_build(self.texts, tokenizer, 256, folder / "tokens")

    def reviews(
        self,
        precision: torch.dtype | None = None,
        layers: int | None = None,
        held: int | None = None,
        compiled: bool = False,
    ) -> TunedReviews:
        """The encoder with LoRA, the same weights at each call."""
        torch.manual_seed(0)
        backbone, tokenizer = load_encoder(str(self.encoder))
        encoder = TextEncoder(backbone, "mean", normalize=True)
        encoder.add_lora(layers=layers)
        encoder.precision = precision
        encoder.to(self.device).train()
        if compiled:
            encoder.compile_layers()
        kept = None
        if layers is not None:
            masking = {"views": 1, "probability": 0.15, "seed": 0}
            place = {"memory": None, "directory": self.folder / "layers"}
            kept = KeptLayers(encoder, tokenizer, self.store, **masking, **place)  # type: ignore[arg-type] # two dictionaries
        masks = (0.15, tokenizer.mask_token_id, tokenizer.pad_token_id)
        return TunedReviews(encoder, *masks, held, kept)

    def batch(self, places: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Text ids, tokens, attention and words on the device."""
        given = (torch.from_numpy(places), *self.store.take(places))
        return tuple(x.to(self.device) for x in given)

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Text ids of batches, without end."""
        rng = np.random.default_rng(1)
        while True:
            yield rng.integers(0, len(self.store), size)

    def seconds(self, run: Callable[[], Any]) -> float:
        """Wall seconds of a run, the device's work included."""
        self.wait()
        started = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - started

    def wait(self) -> None:
        """Until the device is idle."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def note(self, part: str, what: str, **figures: Any) -> None:
        """Keep and print a figure."""
        row = {"part": part, "what": what}
        row |= {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in figures.items()}
        self.rows.append(row)
        print(json.dumps(row), flush=True)

    def _product(self) -> float:
        size = 256 if self.small else 8192
        dtype = torch.float32 if self.device.type == "cpu" else torch.bfloat16
        a = torch.ones(size, size, device=self.device, dtype=dtype)
        for _ in range(3):
            a @ a
        taken = self.seconds(lambda: [a @ a for _ in range(10)])
        return 20 * size**3 / taken


def speed(bench: Bench) -> None:
    """Steps of a batch and its masked copy: padded, sorted, top two layers, precisions."""
    size, turns = (16, 1) if bench.small else (512, 5)
    ways: dict[str, dict[str, Any]] = {
        "float32, padded": {"padded": True},
        "float32, sorted": {},
        "bfloat16, padded": {"padded": True, "precision": torch.bfloat16},
        "bfloat16, sorted": {"precision": torch.bfloat16},
        "bfloat16, sorted, top 2 layers": {"precision": torch.bfloat16, "layers": 2},
        "bfloat16, sorted, 1/8 of the activations held": {
            "precision": torch.bfloat16,
            "held": size * 2 * 70 // 8,
        },
    }
    if not bench.small:
        ways["bfloat16, sorted, compiled"] = {"precision": torch.bfloat16, "compiled": True}
    for label, settings in ways.items():
        padded = settings.pop("padded", False)
        reviews = bench.reviews(**settings)
        config: Any = reviews.encoder.model.config
        step = padded_step if padded else sorted_step
        rows = [bench.batch(p) for p, _ in zip(bench.batches(size), range(turns + 1), strict=False)]
        first = bench.seconds(lambda s=step, r=reviews, b=rows[0]: s(r, b))
        tokens = 2 * sum(int(distinct_mask(b).sum()) for b in rows[1:])
        taken = bench.seconds(lambda s=step, r=reviews, rs=rows[1:]: [s(r, b) for b in rs])
        # forward and the activations' gradient, 2 operations a weight each: 4 N a token; with the
        # layers below kept, of those above
        layers = settings.get("layers") or config.num_hidden_layers
        weights = layers * (
            4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
        )
        figures = {
            f"share of {k}": 4 * weights * tokens / taken / p for k, p in bench.peaks.items()
        }
        bench.note(
            "speed", label, tokens_per_second=tokens / taken, first_step_seconds=first, **figures
        )
        del reviews
        free(bench)


def distinct_mask(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The attention of a batch's distinct texts."""
    _, first = np.unique(batch[0].cpu().numpy(), return_index=True)
    return batch[2][torch.from_numpy(first).to(batch[2].device)]


def sorted_step(reviews: TunedReviews, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Forward and backward of a batch and its masked copy, contrasted."""
    loss = info_nce(*reviews(*batch, masked=True), 0.1)
    reviews.zero_grad()
    loss.backward()
    return loss.detach()


def padded_step(reviews: TunedReviews, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The same, padded to the longest text, 64 rows at a time lest it not fit."""
    ids, mask, words = batch[1:]
    mask_id, pad_id = reviews.mask_token_id, reviews.pad_token_id
    other = mask_words(ids, mask, words, 0.15, mask_token_id=mask_id, pad_token_id=pad_id)
    views = [
        torch.cat([reviews.encoder(i, m) for i, m in zip(x.split(64), y.split(64), strict=True)])
        for x, y in ((ids, mask), other)
    ]
    loss = info_nce(*views, 0.1)
    reviews.zero_grad()
    loss.backward()
    return loss.detach()


def memory(bench: Bench) -> None:
    """Peak memory of one step, activations held as the free memory allows, and few of them."""
    for size in (32, 64) if bench.small else (512, 4096):
        for held in (None, 65_536):
            reviews = bench.reviews(precision=torch.bfloat16, held=held)
            batch = bench.batch(next(bench.batches(size)))
            if bench.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(bench.device)
            taken = bench.seconds(lambda r=reviews, b=batch: sorted_step(r, b))
            figures = {"seconds": taken, "held_tokens": reviews.held_tokens}
            if bench.device.type == "cuda":
                figures["peak_gb"] = torch.cuda.max_memory_allocated(bench.device) / 1e9
            bench.note("memory", f"batch of {size}, held: {held or 'chosen'}", **figures)
            del reviews, batch
            free(bench)


def quality(bench: Bench) -> None:
    """The loss and the share of found copies after the same steps in both precisions."""
    size, turns = (32, 4) if bench.small else (256, 60)
    for label, precision in (("float32", None), ("bfloat16", torch.bfloat16)):
        reviews = bench.reviews(precision=precision)
        optimizer = torch.optim.Adam([p for p in reviews.parameters() if p.requires_grad], lr=1e-3)
        losses = []
        torch.manual_seed(1)
        for places, _ in zip(bench.batches(size), range(turns), strict=False):
            losses.append(float(sorted_step(reviews, bench.batch(places))))
            optimizer.step()
        with torch.no_grad():
            torch.manual_seed(2)
            ids = np.arange(size)
            original, masked = reviews.eval()(*bench.batch(ids), masked=True)
            found = (masked @ original.T).argmax(dim=1).cpu().numpy() == ids
        few = losses[-max(1, turns // 6) :]
        bench.note(
            "quality", label, first_loss=losses[0], last_loss=float(np.mean(few)),
            copies_found=float(found.mean()),
        )  # fmt: skip
        del reviews
        free(bench)


def epochs(bench: Bench) -> None:
    """An epoch at sizes of Table 1: of all texts, and of whole SymCERE where RecBole is."""
    sizes = {"tiny": (24, 30, 200)} if bench.small else SETS
    for name, (_, _, n) in sizes.items():
        reviews = bench.reviews(precision=torch.bfloat16)
        chunks = np.array_split(np.arange(n) % len(bench.store), max(1, n // 512))
        sorted_step(reviews, bench.batch(chunks[0]))
        taken = bench.seconds(
            lambda r=reviews, cs=chunks: [sorted_step(r, bench.batch(c)) for c in cs]
        )
        bench.note("epoch", f"{name}, {n:,} texts and masked copies", seconds=taken)
        del reviews
        free(bench)
    if importlib.util.find_spec("recbole") is None:
        print("RecBole isn't installed: no epoch of whole SymCERE is measured.", flush=True)
        return
    for name, (n_users, n_items, n) in sizes.items():
        bench.note("epoch", f"{name}, SymCERE", seconds=whole_epoch(bench, n_users, n_items, n))
        free(bench)


def whole_epoch(bench: Bench, n_users: int, n_items: int, n: int) -> float:
    """Seconds of a second epoch of SymCERE with LoRA on random reviews."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from recbole_symcere.plugin.config import Config
    from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data

    rng = np.random.default_rng(2)
    users, items = rng.integers(0, n_users, n), rng.integers(0, n_items, n)
    texts = random_texts(rng, n, 12 if bench.small else 55)
    folder = bench.folder / f"data{n}" / "random"
    folder.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    lines += [f"u{u}\ti{i}\t5\t{t}" for t, (u, i) in enumerate(zip(users, items, strict=True))]
    (folder / "random.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    ids = {"user_id": [f"u{u}" for u in users], "item_id": [f"i{i}" for i in items]}
    pq.write_table(pa.table({**ids, "text": texts}), folder / "random.reviews.parquet")
    settings = {
        "data_path": str(folder.parent),
        "cache_dir": str(bench.folder / "cache"),
        "checkpoint_dir": str(bench.folder / "saved"),
        "text_encoder": str(bench.encoder),
        "text_mode": "lora",
        "max_length": 256,
        "train_batch_size": 64 if bench.small else 512,
        "use_gpu": bench.device.type == "cuda",
    }
    config = Config("SymCERE", "random", config_dict=settings)
    train_data, _, _ = split_data(config, read_dataset(config))
    trainer = build_trainer(config, build_model(config, train_data))
    trainer._train_epoch(train_data, 0)
    return bench.seconds(lambda: trainer._train_epoch(train_data, 1))


def free(bench: Bench) -> None:
    """Hand memory back."""
    gc.collect()
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()


def random_texts(rng: np.random.Generator, n: int, median: int) -> list[str]:
    """Texts of log-normal lengths."""
    lengths = np.clip(np.exp(rng.normal(np.log(median), 0.7, n)), 1, 254).astype(int)
    words = np.array(WORDS)[rng.integers(0, len(WORDS), lengths.sum())].tolist()
    ends = np.cumsum(lengths)
    return [" ".join(words[e - k : e]) for e, k in zip(ends, lengths, strict=True)]


def _save_encoder(folder: Path, small: bool) -> Path:
    """RoBERTa of the base size with random weights, and a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = {word: place for place, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos": "<s>", "cls": "<s>", "pad": "<pad>", "sep": "</s>", "eos": "</s>"}
    names |= {"unk": "<unk>", "mask": "<mask>"}
    told = {f"{kind}_token": name for kind, name in names.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **told).save_pretrained(folder)
    shape = {"vocab_size": 50_265, "max_position_embeddings": 514, "type_vocab_size": 1}
    if small:
        shape |= {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
        shape |= {"num_hidden_layers": 3, "vocab_size": 1000}
    torch.manual_seed(0)
    RobertaModel(RobertaConfig(**shape), add_pooling_layer=False).save_pretrained(folder)
    return folder


def main() -> None:
    """Measure what time allows and write it down."""
    pairs = parse_pairs(sys.argv[1:])
    out = Path(pairs["out"])
    device = torch.device(str(pairs.get("device", "cuda")))
    small = str(pairs.get("small", "False")) == "True"
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no GPU here; --device=cpu --small=True tries the script.")
    out.mkdir(parents=True, exist_ok=True)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place), device, small, 60 * float(pairs.get("minutes", 14)))
        for part in (speed, memory, epochs, quality):
            if time.perf_counter() > bench.until:
                print(f"Time is up: {part.__name__} is left out.", flush=True)
                continue
            try:
                part(bench)
            except torch.OutOfMemoryError as error:
                bench.note(part.__name__, f"out of memory: {error}"[:200])
                free(bench)
            told = {"device": name, "torch": torch.__version__, "peaks": bench.peaks}
            told["rows"] = bench.rows
            (out / "accelerator.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
            (out / "accelerator.md").write_text(table_of(name, bench.rows), encoding="utf-8")


def table_of(name: str, rows: list[dict[str, Any]]) -> str:
    """Markdown of what was measured."""
    lines = [f"Measured on {name}.", "", "| part | what | figures |", "|---|---|---|"]
    for row in rows:
        figures = (
            f"{k.replace('_', ' ')} {v}" for k, v in row.items() if k not in ("part", "what")
        )
        lines.append(f"| {row['part']} | {row['what']} | {', '.join(figures)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
