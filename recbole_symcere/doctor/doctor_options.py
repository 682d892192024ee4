"""Options of ``doctor``."""

from dataclasses import dataclass

from recbole_symcere.base.options import default_of, option
from recbole_symcere.plugin.run_options import RunOptions
from recbole_symcere.text.text_options import EncoderOptions

__all__ = ["DoctorOptions"]


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """What is looked at."""

    self_test: bool = option(
        True,
        "whether a small SymCERE is trained, stored, loaded and asked for lists, which takes some "
        "ten seconds",
    )
    text_encoder: str = option(
        default_of(EncoderOptions.__dataclass_fields__["text_encoder"]),
        "the text encoder that must be here: a folder, or a hub id in the hub's cache",
    )
    runs_dir: str = option(
        default_of(RunOptions.__dataclass_fields__["runs_dir"]), "folder of the runs"
    )
    cache_dir: str = option(
        default_of(EncoderOptions.__dataclass_fields__["cache_dir"]),
        "folder of tokens and text vectors",
    )
