"""From what was asked to rows and runs, with every mistake found before anything is trained."""

import functools
import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.compare.compare_options import CompareOptions
from recbole_symcere.compare.named_rows import named_rows
from recbole_symcere.compare.paper_tables import preset_rows
from recbole_symcere.compare.row_text import has_what_it_ranks_by, reads_text
from recbole_symcere.data.items import item_file
from recbole_symcere.data.reviews import refuse_blank
from recbole_symcere.model.registry import text_use
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.stock_models import is_sequential
from recbole_symcere.run.code_fingerprint import code_fingerprint
from recbole_symcere.run.data_fingerprint import data_fingerprint
from recbole_symcere.run.prepare import read_dataset, split_dataset
from recbole_symcere.run.run_directory import fixed_settings
from recbole_symcere.text.source import encoder_fingerprint
from recbole_symcere.tune.search_options import SearchOptions

__all__ = ["MORE_IS_BETTER", "Row", "Search", "Task", "checked_tasks", "digest_of", "plan_rows"]

# These decide where something lies or how much is said, not what comes out.
_NOT_COMPARED = {"cache_dir", "runs_dir", "data_path", "show_progress", "state", "run_dir"}
UNTRAINED = ("WordKNN", "Stack")
"""Models that train nothing, which a trained one has to beat."""
NOTHING_TO_TUNE = frozenset({"Pop", "Stack"})
"""Models without a hyper-parameter."""
MORE_IS_BETTER = ("ndcg@", "hit@", "recall@", "mrr@", "map@", "precision@", "gauc", "auc")
"""Metrics of accuracy, in lower case, by how they begin."""


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


@dataclass(frozen=True)
class Task:
    """A row on a data set: a search, if any, and a run per seed.

    Attributes:
        row: the row.
        dataset: the data set's name.
        folder: of the data set.
        settings: complete settings of its runs but the seed, model and data set included.
        fingerprint: of what decides its numbers beside the settings: the data, the weights of the
            text encoder, our code and the kind of device.
        search: what is searched for it; None for nothing.
    """

    row: Row
    dataset: str
    folder: Path
    settings: dict[str, Any]
    fingerprint: str
    search: "Search | None"


class Search(NamedTuple):
    """A search on validation.

    Attributes:
        options: how to search.
        fixed: complete settings without those that are tuned.
        space: the tuned parameters in words, so that another space is another search.
    """

    options: SearchOptions
    fixed: dict[str, Any]
    space: str


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
    if options.untuned and not options.tune:
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
        if reads_text(_config(row, options, options.datasets[0], settings, files))
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


def _config(
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


def checked_tasks(
    options: CompareOptions, rows: Sequence[Row], settings: Mapping[str, Any], files: Sequence[str]
) -> list[Task]:
    """A task per data set and row.

    Raises:
        InputError: for an unknown model, data set or key, a setting that a model can't have, a
            model with text on data without reviews, a text encoder that can't be had, a test with
            one seed or one user, a search without a space.
    """
    asked = [row for row in rows if not row.offered]
    if options.significance and len(asked) > 1 and len(options.seeds) < 2:
        raise InputError(
            f"seeds is {options.seeds[0]}, a single one, but a significance test needs two or "
            "more: its outcome would be that of one draw. Give --seeds=0,1,2, or "
            "--significance=False for a table without tests."
        )
    if options.tune and importlib.util.find_spec("ray") is None:
        raise InputError("tune needs Ray: pip install 'ray[tune]'.")
    tasks, code = [], code_fingerprint()
    hashed = functools.cache(encoder_fingerprint)  # of this call: weights may change until the next
    for dataset in options.datasets:
        there = [(row, _config(row, options, dataset, settings, files)) for row in rows]
        there = [
            (row, config)
            for row, config in there
            if not row.offered or _can_be(row, dataset, config)
        ]
        for row, config in there:
            _check_protocol(row, config)
            fixed = {k: v for k, v in fixed_settings(config).items() if k != "seed"}
            search = _search(options, row, config, {**settings, **row.settings}, fixed)
            known = [data_fingerprint(config), code, config["device"].type]
            if text_use(row.model) != "none" and config["text_encoder"]:
                known.append(hashed(config["text_encoder"]))
            task = Task(row, dataset, Path(config["data_path"]), fixed, " ".join(known), search)
            tasks.append(task)
        _, needy = max(there, key=_needs_reviews)
        _check_data(needy, options)
    return tasks


def _can_be(row: Row, dataset: str, config: Config) -> bool:
    """Whether a row that nobody has named has something to rank by; says where it hasn't."""
    if has_what_it_ranks_by(config):
        return True
    terminal.tell(f"{dataset}  {row.label}: left out, no words of reviews tell the items apart")
    return False


def _check_protocol(row: Row, config: Config) -> None:
    metric, control = config["valid_metric"], config["text_control"] or "none"
    if not metric.lower().startswith(MORE_IS_BETTER):
        raise InputError(
            f"valid_metric is {metric}, but compare looks for the row with the highest value of a "
            "metric of accuracy. Take NDCG@10 or another of RecBole's."
        )
    if is_sequential(config):
        raise InputError(
            f"{row.model} ranks the next item for each held-out interaction, known items too, so "
            "it can't stand in a table with models that rank new items for users. Leave it out; a "
            "run of its own tells its metrics."
        )
    if control != "none" and not row.control:
        raise InputError(
            f"text_control is {control!r} in a file of settings, so that every row would be a "
            f"control. Take it out and give --text_control={control}, which adds rows."
        )


def _needs_reviews(row: tuple[Row, Config]) -> tuple[bool, bool]:
    """A model that learns from reviews needs them most, then a control of a blend's words."""
    return text_use(row[0].model) != "none", row[0].control


def _check_data(config: Config, options: CompareOptions) -> None:
    """Read and split the data once: reviews may be missing, or users too few."""
    parts = split_dataset(config, read_dataset(config))
    if text_use(config["model"]) != "none" and not item_file(parts[0]).is_file():
        refuse_blank(parts[0].training_reviews(), parts[0])
    if not options.significance:
        return
    if "@" not in config["valid_metric"]:
        raise InputError(
            f"valid_metric is {config['valid_metric']}, which has no value per user, so no test is "
            "possible. Take NDCG@10, or --significance=False."
        )
    test = parts[-1]
    users = len(set(test.inter_feat[test.uid_field].tolist()))
    if users < 2:
        raise InputError(
            f"{config['dataset']} has {users} test user, but a significance test needs two or "
            "more. Take --significance=False for a table without tests."
        )


def _search(
    options: CompareOptions,
    row: Row,
    config: Config,
    given: Mapping[str, Any],
    fixed: Mapping[str, Any],
) -> Search | None:
    if not options.tune or not row.tuned or row.model in NOTHING_TO_TUNE:
        return None
    from recbole_symcere.tune.beginning import space_of

    search = SearchOptions(num_samples=options.tune, refit=False)
    space = space_of(config, given, search)
    tuned = {parameter.name for parameter in space.parameters}
    # trials are judged without a blend, so that a row with one takes the search of the row without;
    # so does a control of its words
    aside = ("blend",) if text_use(row.model) != "none" else ("blend", "text_control")
    rest = {k: v for k, v in fixed.items() if k not in tuned and not k.startswith(aside)}
    return Search(search, rest, repr(space.parameters))


def digest_of(settings: Mapping[str, Any], fingerprint: str) -> str:
    """Equal for runs that would give the same numbers.

    Args:
        settings: of the run; where it keeps its files doesn't count.
        fingerprint: of a `Task`.
    """
    told = {key: value for key, value in settings.items() if key not in _NOT_COMPARED}
    text = json.dumps([told, fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
