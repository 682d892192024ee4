"""A data set as `convert` writes it, a finished run on it, and one that was killed."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from run.test_trainer import Killed
from small_data import small_rows, small_settings

from recbole_symcere.cli import main
from recbole_symcere.run.quick_start import run_recbole
from recbole_symcere.run.trainer import Resumable

__all__ = ["World", "made"]


@dataclass(frozen=True)
class World:
    """Where everything lies.

    Attributes:
        settings: of both runs.
        data: the data set's folder.
        finished: a run of SymCERE that is over; its best epoch isn't its last one.
        killed: the same, killed after its second epoch of four.
    """

    settings: dict
    data: Path
    finished: Path
    killed: Path


def converted(folder):
    """Make the data set "small" below ``folder``, with item texts."""
    reviews, items = folder / "reviews.jsonl", folder / "items.jsonl"
    keys = ("reviewerID", "asin", "overall", "unixReviewTime", "reviewText")
    rows = [dict(zip(keys, row, strict=True)) for row in small_rows(n_users=16, per_user=8)]
    reviews.write_text("".join(json.dumps(row) + "\n" for row in rows))
    titles = [{"asin": f"i{n}", "title": f"bala fodo {n}"} for n in range(30)]
    items.write_text("".join(json.dumps(row) + "\n" for row in titles))
    words = f"--input={reviews} --meta={items} --name=small --output_dir={folder / 'data'}"
    assert main(["convert", "amazon2018", *words.split()]) == 0
    return folder / "data" / "small"


def made(root, encoder):
    """A `World` in the folder ``root``."""
    data = converted(root)
    settings = small_settings(data.parent, encoder, root / "cache", root)
    settings |= {"epochs": 4, "stopping_step": 100, "learning_rate": 0.02}
    finished, killed = root / "finished", root / "killed"
    run_recbole("SymCERE", "small", config_dict={**settings, "run_dir": str(finished)})
    finish = Resumable._finish_epoch

    def die(self, best):
        finish(self, best)
        if len(self.history) == 2:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Resumable, "_finish_epoch", die)
        with pytest.raises(Killed):
            run_recbole("SymCERE", "small", config_dict={**settings, "run_dir": str(killed)})
    return World(settings, data, finished, killed)
