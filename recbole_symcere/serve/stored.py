"""What a run's folder holds for recommending."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.agreement import check_results, run_folder
from recbole_symcere.run.catalogue import Catalogue, catalogue_of, read_catalogue
from recbole_symcere.run.places import located
from recbole_symcere.run.run_directory import BEST_CHECKPOINT
from recbole_symcere.serve.fold_stock import Fold, NoFold, stock_fold, with_blend
from recbole_symcere.serve.scorers import ModelScorer, Scorer, VectorScorer

__all__ = ["stored"]

_OF_FOLD = ("item_bias", "blend.weights")  # SymCEREPlus's


def stored(
    run: str, given: Mapping[str, str | None], popularity: float | None
) -> tuple[Catalogue, Scorer, tuple[Path, str], Callable[[], Fold]]:
    """A run's catalogue, its scorer, its data set's folder and name, and what makes its `Fold`.

    The data are read only where the folder alone doesn't do: for models of RecBole's, and for runs
    of earlier versions.

    Args:
        run: its folder.
        given: new places, see `load_data_and_model`.
        popularity: SymCEREPlus's dial; None for the run's own.

    Raises:
        InputError: if there is no run, it has no checkpoint, or what it holds is damaged.
    """
    folder = run_folder(run)
    state = checkpoint.load(folder.path / BEST_CHECKPOINT, map_location="cpu")
    check_results(folder, state)
    metrics, settings = folder.read_metrics(), folder.read_config()
    catalogue = read_catalogue(folder.path, metrics) if metrics else None
    vectors: Mapping[str, Any] | None = state.get("vectors")
    by_model: Scorer | None = None
    model: Any = None
    if catalogue is None or vectors is None:
        from recbole_symcere.run.stored_run import load_data_and_model

        config, model, _, *loaders = load_data_and_model(folder.path, **given)
        train = loaders[0].dataset
        catalogue = catalogue or catalogue_of(train, tuple(loaders))
        model.eval()
        if hasattr(model, "stored_vectors"):
            vectors = vectors or _on_cpu(model.stored_vectors())
        else:
            by_model = ModelScorer(config, model, train, loaders[2])
    if popularity is not None:
        from recbole_symcere.serve.popularity_dial import with_popularity

        vectors = with_popularity({**state, "vectors": vectors}, popularity)
    scorer = by_model or VectorScorer(vectors or {})
    where = located(settings, folder.path, given, (metrics or {}).get("data_fingerprint"))
    name = str(where["dataset"])
    kept = {
        "settings": state.get("settings") or state["config"],
        "state_dict": {key: state["state_dict"].get(key) for key in _OF_FOLD},
        "blend_names": state.get("blend_names"),
        "blend_words": state.get("blend_words"),
        "blend_decay": state.get("blend_decay"),
        "blend_later": state.get("blend_later"),
        "blend_trend": state.get("blend_trend"),
    }
    fold = partial(
        _fold_of, by_model and model, scorer, catalogue, kept, vectors, folder.path, given
    )
    return catalogue, scorer, (Path(where["data_path"]) / name, name), fold


def _fold_of(
    model: Any,
    scorer: Scorer,
    catalogue: Catalogue,
    state: Mapping[str, Any],
    vectors: Mapping[str, Any] | None,
    run: Path,
    places: Mapping[str, str | None],
) -> Fold:
    """What takes new users and items; ``model`` is one of RecBole's, None for one of ours.

    LightGCN's vectors are as good as ours. It imports much that known users don't need.
    """
    from recbole_symcere.serve.fold_in import FoldError, VectorFold
    from recbole_symcere.serve.fold_text import TextFold

    if model is not None:
        if type(model).__name__ != "LightGCN":
            return stock_fold(model, scorer)
        with torch.no_grad():
            vectors = _on_cpu({"raw": model.forward(), "scored": None})
        state = {**state, "state_dict": {}, "blend_names": None}
        alone = VectorFold(catalogue, state, vectors, lambda: TextFold(run, places))
        return with_blend(alone, model)
    try:
        return VectorFold(catalogue, state, vectors or {}, lambda: TextFold(run, places))
    except FoldError as error:
        return NoFold(*error.args)


def _on_cpu(vectors: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if sides is None else tuple(side.detach().cpu() for side in sides)
        for name, sides in vectors.items()
    }
