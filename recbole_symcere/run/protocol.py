"""What was done to get a result: split, order, masks, selection, and what text the model saw."""

from typing import Any

from recbole_symcere.plugin.run_options import FILTERS
from recbole_symcere.plugin.stock_models import is_sequential
from recbole_symcere.run.metrics_file import plain_numbers

__all__ = ["protocol_of", "refit_facts", "tie_line", "validated"]

_MANY_TIES = 0.2
_ALWAYS = ("repeatable", "valid_metric", "metrics", "topk", "cold_items", "cold_users")


def protocol_of(
    config: Any, model: Any, loaders: tuple[Any, Any, Any], saved: bool
) -> dict[str, Any]:
    """What must be equal for two results to be compared, as it was done.

    Args:
        config: of the run.
        model: trained.
        loaders: of training, validation and test.
        saved: whether the best weights were stored; without, the last ones are tested.
    """
    valid, test = (len(loader.dataset.inter_feat) for loader in loaders[1:])
    again = "pairs of the training part" if config["allow_repeats"] else "nothing"
    return {
        **_split(config, loaders[0].dataset),
        **{key: config[key] for key in _ALWAYS},
        "ranked_for": "each held-out interaction" if is_sequential(config) else "each user",
        "masked_at_valid": "nothing" if config["repeatable"] else "train",
        "masked_at_test": "nothing" if config["repeatable"] else "train and valid",
        "random_split": config["eval_args"]["order"] == "RO" and not config["benchmark_filename"],
        "repeated_when_held_out": "anything" if config["repeatable"] else again,
        **_trained_on(config),
        "selected_on": _selected_on(config, valid, saved),
        "tested_on": _tested_on(config, test),
        **_text_facts(config, model),
    }


def validated(trainer: Any, saved: bool) -> dict[str, Any]:
    """The epoch whose weights are tested, and what validation says of these weights.

    Args:
        trainer: whose training is over.
        saved: as `protocol_of`.
    """
    epoch, result = trainer.best_epoch, trainer.best_valid_result
    if not saved and trainer.history:
        epoch = trainer.history[-1]["epoch"]
        if not getattr(trainer, "chosen", None):  # a blend is chosen for these weights
            result = trainer.history[-1].get("valid")
    return {"best_epoch": epoch, "valid": plain_numbers(result)}


def tie_line(config: Any, train: Any) -> str | None:
    """What a person should know of ties in time, where there are many.

    Args:
        config: of the run.
        train: the training part.
    """
    share = train.tied_users
    if share is None or share < _MANY_TIES:
        return None
    file = config["tie_order"] == "file"
    decides = "the order of the file, which may put rare items last" if file else "a hash"
    return (
        f"{share:.0%} of the users have their last training and their first held-out interaction "
        f"at one time, where {decides} decides which is which (tie_order)"
    )


def refit_facts(config: Any) -> dict[str, Any]:
    """What metrics.json tells of a refit; of other runs nothing."""
    if config["refit_of"] is None:
        return {}
    steps = config["refit_steps"]
    rule = "those of the best epoch; the last one may be cut" if steps else "all, in one pass"
    return {"refit_of": config["refit_of"], "refit_steps": {"phases": steps, "rule": rule}}


def _split(config: Any, train: Any) -> dict[str, Any]:
    """How the parts came about, and what was left out before."""
    parts, evaluation = config["benchmark_filename"], config["eval_args"]
    if parts is not None:  # RecBole filters and orders nothing then
        files = [f"{config['dataset']}.{part}.inter" for part in parts]
        return {"parts": files, "eval_args": {"mode": evaluation["mode"]}, "ties": None}
    ties = None
    if train.tied_users is not None:
        ties = {"order": config["tie_order"], "users": train.tied_users}
        if config["tie_order"] == "hash":
            ties["seed"] = config["tie_seed"]
    told = {"eval_args": evaluation, **{key: config[key] for key in FILTERS}, "ties": ties}
    if evaluation["order"] == "RO":
        own = config["split_seed"]
        told["split_seed"] = config["seed"] if own is None else own
    return told


def _trained_on(config: Any) -> dict[str, str]:
    """What a refit adds to training; of other runs there is nothing to tell."""
    return {} if config["refit_of"] is None else {"trained_on": "train, valid and test"}


def _selected_on(config: Any, n_valid: int, saved: bool) -> str:
    if config["refit_of"] is not None:
        return "nothing: epochs and settings are those of the run that it is a refit of"
    if not n_valid:
        return "nothing: there is no validation part, so the last epoch is taken"
    return "valid" if config["eval_step"] > 0 and saved else "nothing: the last epoch"


def _tested_on(config: Any, n_test: int) -> str:
    if config["refit_of"] is not None:
        return "nothing: the test part was trained on"
    return "test" if n_test else "nothing: there is no test part"


def _text_facts(config: Any, model: Any) -> dict[str, Any]:
    """What the model tells of its text; without text there is no control to tell of."""
    facts: dict[str, Any] = getattr(model, "protocol", {})
    control = config["text_control"] or "none"
    if control != "none":
        facts = {**facts, "text_control": control, "text_control_seed": config["text_control_seed"]}
    return facts
