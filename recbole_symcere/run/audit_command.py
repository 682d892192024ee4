"""The command ``audit``."""

from dataclasses import asdict, dataclass
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import option, suggesting, take_options
from recbole_symcere.plugin.first_look import look_first
from recbole_symcere.plugin.run_options import FileOptions

__all__ = ["AuditOptions", "help_text", "run"]


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """What is audited."""

    model: str = option("SymCERE", "a model that reads reviews")
    dataset: str = option(help="name of a folder below data_path")


def help_text() -> str:
    """What ``audit --help`` says."""
    return (
        "audit --dataset=NAME [--model=SymCERE] [--config_files=FILES] [--key=value ...]\n\n"
        "Plants a word in every held-out review, gives every held-out interaction another item,\n"
        "trains each time again, and shows that nothing of it reaches the model.\n\n"
        + help_of(AuditOptions, FileOptions)
    )


def run(pairs: dict[str, Any]) -> int:
    """The command ``audit``.

    Args:
        pairs: options and settings, as strings.

    Returns:
        0 if nothing leaks, 1 if something does.
    """
    given, files = take_options(AuditOptions, pairs), take_options(FileOptions, pairs).files
    with suggesting(AuditOptions, FileOptions):
        look_first([given.model], [given.dataset], files, pairs)
        # torch and RecBole take seconds to load; a typing error shouldn't
        from recbole_symcere.run.audit import CANARY, audit

        result = audit(given.model, given.dataset, pairs, files)
    rows = [
        [name, "bit-equal" if equal else "CHANGED: it leaks"]
        for name, equal in result.equal.items()
    ]
    history = result.held_out_in_history
    rows.append(["held-out pairs in the history mask", f"{history:,}{'  LEAK' if history else ''}"])
    seen = (
        "changes what the model sees"
        if result.control_differs
        else "CHANGES NOTHING: the check is blind"
    )
    rows.append(["control: planted in training", seen])
    terminal.out(
        f"planted {CANARY!r} in {result.planted:,} validation and test reviews\n\n"
        + terminal.table(["compared", "what came out"], rows, right=False)
        + "\n"
        + ("no held-out review or pair reaches the model" if result.clean else "the audit FAILED")
    )
    terminal.document(clean=result.clean, **asdict(result))
    return 0 if result.clean else 1
