"""Stack: experts without training alone, weighed on validation."""

from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import read_options
from recbole_symcere.model.blend_of import blend_of
from recbole_symcere.model.blend_options import BlendOptions
from recbole_symcere.model.catalogue_words import item_words
from recbole_symcere.model.untrained import Untrained

__all__ = ["Stack"]


class Stack(Untrained):
    """A `Blend` of a model that scores everything 0.

    Args:
        config: RecBole's configuration.
        dataset: the training split; without reviews words take no part.

    Raises:
        InputError: if no expert is left.
    """

    blends = True

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.blend = blend_of(config, dataset, lambda: item_words(dataset))
        if self.blend is None:
            asked = read_options(BlendOptions, config).blend
            raise InputError(
                f"Stack is its blend and nothing else, but no expert is left of blend: {asked}. "
                "Name others, such as knn_10, or take all."
            )
