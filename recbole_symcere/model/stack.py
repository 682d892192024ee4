"""Stack: experts without training alone, weighed on validation."""

from typing import Any

from recbole_symcere.model.blend import blend_of
from recbole_symcere.model.catalogue_words import item_words
from recbole_symcere.model.wordknn import Untrained

__all__ = ["Stack"]


class Stack(Untrained):
    """A `Blend` of a model that scores everything 0.

    Args:
        config: RecBole's configuration.
        dataset: the training split; without reviews words take no part.
    """

    blends = True

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.blend = blend_of(config, dataset, lambda: item_words(dataset))
