"""The command ``export``."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.live_line import step
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import refuse_unknown, take_options
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.serve.serve_options import ExportOptions

__all__ = ["help_text", "run"]

_HELP = """\
export --run=RUN --out=DIR [--overwrite=True]

Writes what other programs can use of a run: vectors of users and items (Parquet, safetensors; the
dot product is the score), a FAISS index where faiss is installed, a text encoder that was trained
as a folder of sentence-transformers and in ONNX, the split as RecBole's benchmark files (and what
val_interval or cold starts took out of all three, in <name>.left_out.inter), and a model card. Of a
model without vectors there are the split and the card. What needs a package that isn't installed is
left out with a line that says so: pip install "recbole-symcere[export]".

"""
_MANIFEST = "export.json"


def help_text() -> str:
    """What ``export --help`` says."""
    return _HELP + help_of(ExportOptions)


def run(pairs: dict[str, Any]) -> int:
    """Write the folder, whole or not at all.

    Args:
        pairs: the options as strings.

    Returns:
        The exit status, 0.

    Raises:
        InputError: for a run that isn't there or has no checkpoint, or a folder that can't be
            written to.
    """
    options = take_options(ExportOptions, pairs)
    refuse_unknown(pairs, "export", ExportOptions)
    refuse_missing_run(options.run)
    out = Path(options.out).absolute()
    _check_out(out, options.overwrite)
    from recbole_symcere.run.agreement import run_folder

    run_folder(options.run)  # before seconds of loading
    with _new_folder(out) as folder:
        lines = _write(folder, options)
    terminal.out("\n".join([*lines, f"All of it is in {out}"]))
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    terminal.document(out=str(out), files=files, written=lines)
    return 0


def _check_out(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out={out} is a file; name a folder that is new or empty.")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / _MANIFEST).is_file():
        raise InputError(
            f"--out={out} holds other files, which are never replaced. Name a folder that is new "
            "or empty."
        )
    if not overwrite:
        raise InputError(
            f"--out={out} holds an earlier export. --overwrite=True replaces it, or name another "
            "folder."
        )


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place at the end."""
    from recbole_symcere.base.storage import aside_folder, writing

    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with aside_folder(out) as aside:
            made = aside / "new"
            made.mkdir()
            yield made
            if out.is_dir():
                out.rename(aside / "old")
            made.rename(out)


def _write(folder: Path, options: ExportOptions) -> list[str]:
    """Write all there is into a folder; what was written, in words."""
    from recbole_symcere.base.files import write_bytes
    from recbole_symcere.run.agreement import run_folder
    from recbole_symcere.run.catalogue import LEFT_OUT, PARTS
    from recbole_symcere.serve.export_split import write_split
    from recbole_symcere.serve.export_text_tower import TOWER
    from recbole_symcere.serve.model_card import Exported, model_card
    from recbole_symcere.serve.stored import stored

    of_run = run_folder(options.run)
    settings, metrics = of_run.read_config(), of_run.read_metrics() or {}
    step("loading the run")
    catalogue, scorer, data, _ = stored(options.run, options.places, None)
    step("writing vectors")
    lines = _vectors(folder, catalogue, scorer, str(settings["model"]))
    step("writing the text encoder")
    lines += _text_tower(folder, options, settings)
    step("writing the split")
    lines.append(write_split(folder, catalogue, settings, data))
    parts = {part: int((catalogue.part == n).sum()) for n, part in enumerate(PARTS)}
    left_out = int((catalogue.part == LEFT_OUT).sum())
    sizes = (len(catalogue.users) - 1, len(catalogue.items) - 1)
    has_vectors, has_tower = (folder / "users.parquet").is_file(), (folder / TOWER).is_dir()
    told = Exported(settings, metrics, lines, parts, left_out, sizes, has_vectors, has_tower)
    write_bytes(folder / "README.md", model_card(told).encode())
    write_bytes(folder / _MANIFEST, _manifest(folder, of_run.path.name, settings))
    return [*lines, "a model card, README.md"]


def _vectors(folder: Path, catalogue: Any, scorer: Any, model: str) -> list[str]:
    from recbole_symcere.serve.export_vectors import write_index, write_vectors
    from recbole_symcere.serve.scorers import VectorScorer

    is_ours = isinstance(scorer, VectorScorer)
    sides = (scorer.users, scorer.items) if is_ours else scorer.two_towers()
    if sides is None:
        return [f"no vectors: {model} doesn't score by the product of any that could be found"]
    return [write_vectors(folder, catalogue, *sides), write_index(folder, *sides)]


def _text_tower(folder: Path, options: ExportOptions, settings: Mapping[str, Any]) -> list[str]:
    """The text encoder, where the run has trained one."""
    from recbole_symcere.model.registry import text_use
    from recbole_symcere.plugin import checkpoint
    from recbole_symcere.run.run_directory import BEST_CHECKPOINT
    from recbole_symcere.run.stored_run import load_data_and_model, text_mode_of

    if text_use(str(settings["model"])) != "batch" or not options.text_tower:
        return []
    path = Path(options.run)
    if text_mode_of(checkpoint.load(path / BEST_CHECKPOINT, map_location="cpu")) == "frozen":
        return ["no text encoder: the run has left it as it was (text_mode: frozen)"]
    config, model, _, train, *_ = load_data_and_model(path, **options.places)
    encoder = getattr(getattr(model, "reviews", None), "encoder", None)
    if encoder is None:
        return [
            "no text encoder: the one that LoRA was added to is gone; if it was moved, name it: "
            "--text_encoder=DIR"
        ]
    return _written_tower(folder, config, encoder, train.dataset.training_reviews().to_pylist())


def _written_tower(folder: Path, config: Any, encoder: Any, reviews: list[str]) -> list[str]:
    from recbole_symcere.base.options import read_options
    from recbole_symcere.serve.export_text_tower import write_onnx, write_tower
    from recbole_symcere.text.load import load_tokenizer
    from recbole_symcere.text.text_options import TextOptions

    text = read_options(TextOptions, config)
    distinct = [*dict.fromkeys(review for review in reviews if review.strip())]
    texts = distinct[:: max(1, len(distinct) // _COMPARED)][:_COMPARED]
    tokenizer = load_tokenizer(text.text_encoder)
    tower, line = write_tower(folder, encoder.eval(), tokenizer, text.max_length, texts)
    return [line, write_onnx(folder, tower, texts)]


_COMPARED = 256  # texts by which what was written is compared with the run's encoder


def _manifest(folder: Path, run: str, settings: Mapping[str, Any]) -> bytes:
    """By what an export is known, and its files' sums."""
    from recbole_symcere.base.files import sha256_of
    from recbole_symcere.version import __version__

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    told = {
        "recbole_symcere": __version__,
        "run": run,
        **{key: settings[key] for key in ("model", "dataset")},
        "sha256": {path.relative_to(folder).as_posix(): sha256_of(path) for path in files},
    }
    return json.dumps(told, indent=1).encode()
