"""From rows to searches and runs, with every mistake found before anything is trained."""

import functools
import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.compare.compare_options import CompareOptions
from recbole_symcere.compare.found_settings import Found, found_settings
from recbole_symcere.compare.row_text import has_what_it_ranks_by
from recbole_symcere.compare.rows import Row, row_config
from recbole_symcere.data.items import item_file
from recbole_symcere.data.reviews import refuse_blank
from recbole_symcere.model.registry import text_use
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.config_patches import known_keys
from recbole_symcere.plugin.stock_models import is_sequential
from recbole_symcere.run.code_fingerprint import code_fingerprint
from recbole_symcere.run.data_fingerprint import data_fingerprint
from recbole_symcere.run.prepare import read_dataset, split_dataset
from recbole_symcere.run.run_directory import fixed_settings
from recbole_symcere.text.source import encoder_fingerprint
from recbole_symcere.tune.parameter import Parameter
from recbole_symcere.tune.search_options import SearchOptions
from recbole_symcere.tune.space_checks import check_keys

__all__ = ["MORE_IS_BETTER", "Search", "Task", "checked_tasks", "digest_of"]

# These decide where something lies or how much is said, not what comes out.
_NOT_COMPARED = {"cache_dir", "runs_dir", "data_path", "show_progress", "state", "run_dir"}
NOTHING_TO_TUNE = frozenset({"Pop", "SequentialRules", "Stack"})
"""Models without a hyper-parameter."""
MORE_IS_BETTER = ("ndcg@", "hit@", "recall@", "mrr@", "map@", "precision@", "gauc", "auc")
"""Metrics of accuracy, in lower case, by how they begin."""


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
        found: settings that another comparison has found for it; None without them.
    """

    row: Row
    dataset: str
    folder: Path
    settings: dict[str, Any]
    fingerprint: str
    search: "Search | None"
    found: Found | None = None


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


def checked_tasks(
    options: CompareOptions, rows: Sequence[Row], settings: Mapping[str, Any], files: Sequence[str]
) -> list[Task]:
    """A task per data set and row.

    Raises:
        InputError: for an unknown model, data set or key, a setting that a model can't have, a
            model with text on data without reviews, a text encoder that can't be had, a test with
            one seed or one user, a search without a space, a file of found settings that can't
            be read or has none for a row.
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
    earlier = found_settings(options.tuned_by) if options.tuned_by else {}
    hashed = functools.cache(encoder_fingerprint)  # of this call: weights may change until the next
    for dataset in options.datasets:
        there = [(row, row_config(row, options, dataset, settings, files)) for row in rows]
        there = [
            (row, config)
            for row, config in there
            if not row.offered or _can_be(row, dataset, config)
        ]
        for row, config in there:
            _check_protocol(row, config)
            fixed = {k: v for k, v in fixed_settings(config).items() if k != "seed"}
            given = {**settings, **row.settings}
            found = search = None
            if row.tuned and row.model not in NOTHING_TO_TUNE:
                found = _found(options, row, config, given, files, earlier)
                search = None if found else _search(options, row, config, given, fixed)
            known = [data_fingerprint(config), code, config["device"].type]
            taken = found.settings if found else {}
            encoder = taken.get("text_encoder", config["text_encoder"])
            if text_use(row.model) != "none" and encoder:
                known.append(hashed(encoder))
            folder = Path(config["data_path"])
            tasks.append(Task(row, dataset, folder, fixed, " ".join(known), search, found))
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


def _found(
    options: CompareOptions,
    row: Row,
    config: Config,
    given: Mapping[str, Any],
    files: Sequence[str],
    earlier: Mapping[tuple[str, str], Found],
) -> Found | None:
    """What another comparison has found for a row, or for the row whose search it shares."""
    if not options.tuned_by:
        return None
    dataset, source = config["dataset"], f"tuned_by: {options.tuned_by}"
    found = earlier.get((dataset, row.label))
    if found is None and all(key.startswith(_aside(row)) for key in row.settings):
        found = earlier.get((dataset, row.model))
    if found is None:
        if options.tune or row.offered:
            return None
        raise InputError(
            f"{source} has no settings for {row.label} on {dataset}. Search them with --tune=12, "
            "or leave one of them out."
        )
    here = f"{source}, {row.label} on {dataset}"
    # what a search may not tune changes what a score means, or which model the row is
    parameters = [Parameter(name, "choice", (value,)) for name, value in found.settings.items()]
    check_keys(parameters, here, known_keys(config), {*given, *config.file_config_dict})
    try:
        row_config(row, options, dataset, {**given, **found.settings}, files)
    except InputError as error:
        raise InputError(f"{here}: {error}") from error
    return found


def _search(
    options: CompareOptions,
    row: Row,
    config: Config,
    given: Mapping[str, Any],
    fixed: Mapping[str, Any],
) -> Search | None:
    if not options.tune:
        return None
    from recbole_symcere.tune.beginning import space_of

    search = SearchOptions(num_samples=options.tune, refit=False)
    space = space_of(config, given, search)
    tuned = {parameter.name for parameter in space.parameters}
    rest = {k: v for k, v in fixed.items() if k not in tuned and not k.startswith(_aside(row))}
    return Search(search, rest, repr(space.parameters))


def _aside(row: Row) -> tuple[str, ...]:
    """How settings begin that no trial has.

    Trials are judged without a blend, so that a row with one takes the search of the row without;
    so does a control of its words.
    """
    return ("blend",) if text_use(row.model) != "none" else ("blend", "text_control")


def digest_of(settings: Mapping[str, Any], fingerprint: str) -> str:
    """Equal for runs that would give the same numbers.

    Args:
        settings: of the run; where it keeps its files doesn't count.
        fingerprint: of a `Task`.
    """
    told = {key: value for key, value in settings.items() if key not in _NOT_COMPARED}
    text = json.dumps([told, fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
