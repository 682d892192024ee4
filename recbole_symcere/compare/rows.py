"""From what was asked to the rows of the tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.compare.compare_options import CompareOptions
from recbole_symcere.compare.named_rows import named_rows
from recbole_symcere.compare.paper_tables import preset_rows
from recbole_symcere.compare.row_text import reads_text
from recbole_symcere.plugin.config import Config

__all__ = ["Row", "plan_rows", "row_config"]

UNTRAINED = ("WordKNN", "SequentialRules", "Stack")
"""Models that train nothing, which a trained one has to beat."""


@dataclass(frozen=True)
class Row:
    """A row of the table: a model under some settings.

    Attributes:
        label: its name in the table.
        model: the model's name.
        settings: what distinguishes it from other rows of the model.
        proposed: whether it is compared with the best baseline, rather than being one.
        tuned: whether it takes part in a search.
        offered: whether nobody has named it, so that it is left out where it can't be.
    """

    label: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    proposed: bool = False
    tuned: bool = True
    offered: bool = False

    @property
    def control(self) -> bool:
        """Whether its text says nothing, so that it is neither proposed nor a baseline."""
        return "text_control" in self.settings

    @property
    def slug(self) -> str:
        """The label as a folder's name."""
        return re.sub(r"[^\w.+-]+", "-", self.label).strip("-")


def plan_rows(
    options: CompareOptions, settings: Mapping[str, Any], files: Sequence[str]
) -> list[Row]:
    """The rows that were asked for.

    Args:
        options: what was asked for.
        settings: of every run.
        files: of settings.

    Raises:
        InputError: if text controls are asked for and no model reads text, or a row is named that
            isn't there.
    """
    rows = [Row(label, model, settings) for label, model, settings in preset_rows(options.preset)]
    taken = {row.label for row in rows}
    rows += [Row(model, model) for model in options.models if model not in taken]
    named = ("proposed", "untuned", "blended")
    for key, names in ((key, getattr(options, key) or ()) for key in named):
        for name in names:
            if name not in {row.model for row in rows}:
                raise InputError(f"{key} names {name!r}, which is not among the models.")
    if options.untuned and not options.tunes:
        raise InputError("untuned asks for rows beside the tuned ones, but nothing is tuned.")
    rows += [Row(f"{model}, as given", model, tuned=False) for model in options.untuned]
    rows += [Row(f"{model}, blended", model, {"blend": ["all"]}) for model in options.blended]
    there = {row.model for row in rows}
    added = [name for name in UNTRAINED if options.untrained and name not in there]
    rows += [Row(name, name, offered=True) for name in added]
    rows = [replace(row, proposed=_is_proposed(row.model, options)) for row in rows]
    controls = [control for control in options.text_control if control != "none"]
    with_text = {
        row.label
        for row in (rows if controls else ())
        if reads_text(row_config(row, options, options.datasets[0], settings, files))
    }
    controlled = [
        replace(
            row,
            label=f"{row.label}, {control} text",
            settings={**row.settings, "text_control": control},
            proposed=False,
        )
        for row in rows
        for control in controls
        # neighbours by constant words would be none
        if row.label in with_text and not (row.offered and control == "constant")
    ]
    if controls and not controlled:
        raise InputError(
            f"text_control is {','.join(controls)}, but none of "
            f"{', '.join(dict.fromkeys(row.model for row in rows))} reads text, so there is "
            "nothing to control. Leave it out."
        )
    rows += controlled
    named_rows(options.against, [row.label for row in rows])
    return rows


def row_config(
    row: Row,
    options: CompareOptions,
    dataset: str,
    settings: Mapping[str, Any],
    files: Sequence[str],
) -> Config:
    """The Config of a row's first run."""
    given = {**settings, **row.settings, "seed": options.seeds[0]}
    config = Config(row.model, dataset, [*files], given)
    # by the runs' seeds a search would train on what they are tested on
    if config["eval_args"]["order"] == "RO" and config["split_seed"] is None:
        config["split_seed"] = 0
    return config


def _is_proposed(model: str, options: CompareOptions) -> bool:
    if options.proposed is None:
        return model.startswith("SymCERE")
    return model in options.proposed
