"""What a run's folder holds for recommending."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.agreement import check_results, run_folder
from recbole_symcere.run.catalogue import Catalogue, catalogue_of, read_catalogue
from recbole_symcere.run.places import located
from recbole_symcere.run.run_directory import BEST_CHECKPOINT
from recbole_symcere.serve.scorers import ModelScorer, Scorer, VectorScorer

__all__ = ["stored"]


def stored(
    run: str, given: Mapping[str, str | None], popularity: float | None
) -> tuple[Catalogue, Scorer, tuple[Path, str]]:
    """A run's catalogue, its scorer, and the folder and name of its data set.

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
    return catalogue, scorer, (Path(where["data_path"]) / name, name)


def _on_cpu(vectors: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if sides is None else tuple(side.detach().cpu() for side in sides)
        for name, sides in vectors.items()
    }
