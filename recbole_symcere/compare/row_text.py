"""What rows read of the reviews: by their model, or by the words of their blend."""

from pathlib import Path

from recbole_symcere.base.options import read_options
from recbole_symcere.model.blend_options import BlendOptions, kind_of
from recbole_symcere.model.catalogue_words import tells_items_apart
from recbole_symcere.model.registry import class_of, text_use
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset, split_dataset
from recbole_symcere.text.tokens import any_written

__all__ = ["has_what_it_ranks_by", "reads_text"]


def reads_text(config: Config) -> bool:
    """Whether what the reviews say reaches the scores of a run of these settings."""
    return text_use(config["model"]) != "none" or "words" in _blended(config)


def has_what_it_ranks_by(config: Config) -> bool:
    """Whether a model that trains nothing can rank these data; reads them if words decide it.

    A text control has something to control only where the words say something.
    """
    control = (config["text_control"] or "none") != "none"
    kind, experts = class_of(config["model"]), _blended(config)
    if kind.text_use == "none" and not control and (experts - {"words"} or not kind.blends):
        return True
    if not any(Path(config["data_path"]).glob("*.reviews.parquet")):
        return False
    train = split_dataset(config, read_dataset(config))[0]
    return any_written(train.training_reviews()) and tells_items_apart(train)


def _blended(config: Config) -> set[str]:
    """The kinds of experts of the blend."""
    return {kind_of(name).what for name in read_options(BlendOptions, config).experts}
