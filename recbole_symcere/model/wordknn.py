"""WordKNN: items whose reviews use the words of those that a user knows; nothing is trained."""

from dataclasses import dataclass
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option, read_options
from recbole_symcere.data.reviews import refuse_blank
from recbole_symcere.model.blend_of import training_histories
from recbole_symcere.model.catalogue_words import item_words
from recbole_symcere.model.untrained import OneExpert
from recbole_symcere.text.lexical import NO_WORDS

__all__ = ["WordKNN", "WordKNNOptions"]


@dataclass(frozen=True)
class WordKNNOptions:
    """Which words count."""

    word_neighbours: int = option(20, "items that count, the nearest of each", minimum=1)


class WordKNN(OneExpert):
    """x_ui = sum_{j in N_u} cos(w_j, w_i) / sd_u over the j among the k nearest of i.

    w are the items' words: TF-IDF of all training reviews of an item, and of its own text
    (`own_item_text`), in 256 dimensions of latent semantic analysis, see `LexicalSpace`. The
    deviation sd_u of a user's scores changes no list. Approximate for many pairs, see `OneExpert`.

    Args:
        config: RecBole's configuration.
        dataset: the training split, a `ReviewDataset`.

    Raises:
        InputError: if no review has a word, or no words tell items apart.
    """

    text_use = "once"
    option_groups = (WordKNNOptions,)

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        refuse_blank(dataset.training_reviews(), dataset)
        known, words = training_histories(dataset), item_words(dataset)
        if not words.shape[1]:
            raise InputError(
                f"WordKNN has nothing to rank {dataset.dataset_name} by: {NO_WORDS}. Take another "
                "model; compare leaves it out with --untrained=False."
            )
        name = f"words_{read_options(WordKNNOptions, config).word_neighbours}"
        self._rank_by(name, known, words)
