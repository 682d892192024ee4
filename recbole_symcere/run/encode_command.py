"""The command ``encode``."""

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import option, suggesting, take_options
from recbole_symcere.base.program import program
from recbole_symcere.plugin.first_look import look_first
from recbole_symcere.plugin.run_options import FileOptions
from recbole_symcere.text.text_options import EncoderOptions

if TYPE_CHECKING:
    from recbole_symcere.run.encoding import Encoding

__all__ = ["EncodeOptions", "help_text", "run"]

_HELP = """\
encode --dataset=NAME [--model=SymCERE] [--ray_address=ADDRESS] [--key=value ...]

Computes the text vectors that a run of the model on the data set would compute before it trains, on
this machine or on a Ray cluster, with the same bytes, and keeps them where such a run finds them.
When it is stopped, the same command goes on. Any setting of a run may be given; a run finds the
vectors if its settings of texts and data are the same.

On a cluster every node needs this package in the same versions, and nothing else: the encoder and
the tokens are sent to it. Where the cluster has GPUs each worker takes one, else a core.

"""


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """What is encoded, and where."""

    model: str = option("SymCERE", "a model that reads reviews")
    dataset: str = option(help="name of a folder below data_path")
    ray_address: str | None = option(
        None, "a Ray cluster: auto or host:port; this machine alone if not given"
    )
    workers: int | None = option(
        None, "of the cluster, each with a GPU or a core; all if not given", minimum=1
    )

    def __post_init__(self) -> None:
        if self.workers is not None and self.ray_address is None:
            raise InputError(
                "workers are those of a Ray cluster; name it with --ray_address, or leave it out."
            )


def help_text() -> str:
    """What ``encode --help`` says."""
    return _HELP + help_of(EncodeOptions, FileOptions, EncoderOptions)


def run(pairs: dict[str, Any]) -> int:
    """Encode, and tell what was done.

    Args:
        pairs: options and settings, as strings.

    Returns:
        The exit status, 0.

    Raises:
        InputError: for a mistake in what was given, or a cluster that can't be reached.
    """
    words = {key: value for key, value in pairs.items() if key not in {"ray_address", "workers"}}
    options = take_options(EncodeOptions, pairs)
    files = take_options(FileOptions, pairs).files
    with suggesting(EncodeOptions, FileOptions):
        look_first([options.model], [options.dataset], files, pairs)
        # torch, RecBole and transformers take seconds to load; a typing error shouldn't
        from recbole_symcere.run.encoding import encode

        found = encode(
            options.model, options.dataset, pairs, files, options.ray_address, options.workers
        )
    again = {"model": options.model} | words
    command = shlex.join(f"--{key}={value}" for key, value in again.items())
    lines = [*_told(found), f"next: {program()} {command}", ""]
    terminal.out("\n".join(lines))
    accounts = [
        {
            **{"what": account.what, "file": str(account.path), "texts": account.texts},
            **{"encoded": account.done.encoded, "seconds": account.seconds},
        }
        for account in found.accounts
    ]
    terminal.document(encoded=accounts, workers=found.workers, nodes=found.nodes)
    return 0


def _told(found: "Encoding") -> list[str]:
    where = f" by {found.workers} workers on {found.nodes} nodes" if found.nodes else ""
    lines = [account.words(where) for account in found.accounts]
    size = sum(account.path.stat().st_size for account in found.accounts) / 1e6
    return [*lines, f"{size:,.1f} MB of vectors are kept in {found.accounts[0].path.parent}"]
