"""What ``compare`` was asked for, beside the settings of its runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option, take_options
from recbole_symcere.text.text_options import TextControl

__all__ = ["CompareOptions", "checked_options"]


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What to compare."""

    models: list[str] = option([], "names of models, ours or RecBole's; a row each")
    datasets: list[str] = option([], "names of data sets; a table each")
    seeds: list[int] = option(
        [], "a run each; at least two for a significance test", minimum=0, maximum=2**32 - 1
    )
    out: str = option("", "the folder of tables, runs/ and tune/")
    tune: int = option(
        0, "trials of a search on validation, for each model and data set, the first with the "
        "settings that the model comes with", minimum=0,
    )  # fmt: skip
    tuned_by: str = option(
        "", "runs.csv of another comparison: settings that its searches found are taken from it, "
        "and only what it has none for is searched",
    )  # fmt: skip
    preset: Literal["table2", "table3"] | None = option(
        None, "rows and layout of the SymCERE paper's tables"
    )
    text_control: list[str] = option(
        [],
        "shuffled,constant,random: rows of the models that read reviews, and of blends with words, "
        "with text that says nothing",
    )
    untuned: list[str] = option(
        [], "models that get a row at their own settings too, beside the tuned one"
    )
    blended: list[str] = option(
        [], "models that get a row with blend: [all] too, beside the one without"
    )
    untrained: bool = option(
        True,
        "rows that train nothing: WordKNN, where words tell items apart, SequentialRules and Stack",
    )
    proposed: list[str] | None = option(
        None, "models that are compared with the best of the others; those whose names begin with "
        "SymCERE, if not given",
    )  # fmt: skip
    against: list[str] = option(
        [], "rows, as A,B/C: over several data sets every row is compared with A, and with the "
        "better one of B and C on validation, beside the best other baseline",
    )  # fmt: skip
    significance: bool = option(True, "whether to test differences between models")
    jobs: int = option(
        1, "runs at a time; with several, wall times are those of a shared machine", minimum=1
    )

    @property
    def tunes(self) -> bool:
        """Whether rows have settings that a search found."""
        return bool(self.tune or self.tuned_by)


_LISTS = ("models", "datasets", "seeds", "text_control", "untuned", "blended", "proposed")
_CONTROLS = get_args(TextControl)


def checked_options(pairs: dict[str, Any]) -> CompareOptions:
    """Take the options out of ``pairs``; what is left are settings of the runs.

    Raises:
        InputError: for what is missing, given twice or of a wrong type; the message names it.
    """
    options = take_options(CompareOptions, pairs)
    _refuse_missing(options, pairs)
    _refuse_repeats(options)
    _refuse_against(options)
    _refuse_own_table(options)
    return options


def _refuse_missing(options: CompareOptions, pairs: dict[str, Any]) -> None:
    if not options.out:
        raise InputError("No folder is given for the results. Name one with --out=DIR.")
    if not options.models and not options.preset:
        raise InputError("No models are given. Name them with --models=A,B, or give a --preset.")
    for name in ("datasets", "seeds"):
        if not getattr(options, name):
            raise InputError(f"No {name} are given. Name them with --{name}=A,B.")
    if "run_dir" in pairs:
        raise InputError("compare has no --run_dir; its runs lie below the folder of --out=DIR.")
    for name in ("model", "dataset", "seed"):
        if name in pairs:
            raise InputError(f"compare has no --{name}; its runs are named by --{name}s=A,B.")


def _refuse_repeats(options: CompareOptions) -> None:
    for name in _LISTS:
        given = getattr(options, name) or []
        for value in given:
            if given.count(value) > 1:
                raise InputError(f"{name} names {value} twice.")
    for control in options.text_control:
        if control not in _CONTROLS:
            raise InputError(
                f"text_control has {control!r}, but it must be one of {', '.join(_CONTROLS)}."
            )


def _refuse_against(options: CompareOptions) -> None:
    if options.against and (len(options.datasets) < 2 or not options.significance):
        raise InputError(
            "against compares rows over several data sets, with intervals: name two or more with "
            "--datasets=A,B and leave --significance as it is, or leave --against out."
        )


def _refuse_own_table(options: CompareOptions) -> None:
    """What a comparison reads it may not write: a failed run's settings would be lost."""
    if (
        options.tuned_by
        and Path(options.tuned_by).resolve() == Path(options.out, "runs.csv").resolve()
    ):
        raise InputError(
            f"tuned_by is {options.tuned_by}, which this comparison writes. Give another --out, or "
            "leave tuned_by out: searches of a folder are kept in it and not repeated."
        )
