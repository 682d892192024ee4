"""Decides how many trials run at a time."""

from recbole_symcere.base.errors import InputError
from recbole_symcere.tune.search_options import SearchOptions

__all__ = ["trial_resources"]

_MEMORY_HEADROOM = 0.8
_MEMORY_OF_A_TRIAL = 1.5e9  # bytes: torch, transformers and RecBole loaded


def trial_resources(options: SearchOptions) -> tuple[dict[str, float], int]:
    """What a trial gets, and how many run at a time.

    Args:
        options: of the search.

    Returns:
        Ray's resources {"cpu", "gpu"}, and the number of trials that fit in cores, GPUs and memory.

    Raises:
        InputError: if a trial wants more than the machine or cluster has: it would wait forever.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most_gpus = max(node.get("GPU", 0.0) for node in nodes)
    wanted_gpus = min(most_gpus, 1.0) if options.gpus_per_trial is None else options.gpus_per_trial
    wanted = {"CPU": options.cpus_per_trial, "GPU": wanted_gpus}
    for name, amount in wanted.items():
        found = max(node.get(name, 0.0) for node in nodes)
        if amount > found:
            raise InputError(
                f"{name.lower()}s_per_trial is {amount:g}, but Ray has {found:g} here"
                f"{' on one node' * (len(nodes) > 1)}, so trials would wait forever."
            )
    # a trial runs on one node, which must have all that it wants
    able = [node for node in nodes if all(node.get(k, 0.0) >= v for k, v in wanted.items())]
    if not able:
        raise InputError(
            f"No node of the cluster has both {wanted['CPU']:g} CPU and {wanted_gpus:g} GPU, so "
            "trials would wait forever. Change cpus_per_trial or gpus_per_trial."
        )
    concurrent = sum(_fit(node, wanted) for node in able)
    if options.max_concurrent and options.scheduler in {"hyperband", "pbt"}:
        raise InputError(
            f"{options.scheduler} compares all trials with each other, so max_concurrent would "
            "change what it finds; leave it out, or give a trial more cores (cpus_per_trial)."
        )
    if options.max_concurrent:
        concurrent = min(concurrent, options.max_concurrent)
    return {"cpu": options.cpus_per_trial, "gpu": wanted_gpus}, concurrent


def _fit(node: dict[str, float], wanted: dict[str, float]) -> int:
    """How many trials a node that has room for one runs at a time."""
    fit = [node[name] / amount for name, amount in wanted.items() if amount]
    if node.get("memory"):
        fit.append(_MEMORY_HEADROOM * node["memory"] / _MEMORY_OF_A_TRIAL)
    return max(1, int(min(fit)))
