"""Planted structure of the synthetic reviews: who is like what, and who chooses what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_options import Dials
from recbole_symcere.convert.synthetic_words import ATTRIBUTES

#: Every user and every item has at least this many reviews.
CORE = 5
ITEM_WORDS = 6
USER_WORDS = 8

#: Attribute words come in themes (a family place has pizza and toddlers), which is what lets a
#: model that sees only who chose what learn something.
N_THEMES = 6
_THEME_WEIGHT = 12.0  # odds of a word of the own theme against another one
_ACTIVITY_SPREAD = 0.9


@dataclass(frozen=True)
class World:
    """The planted truth.

    Attributes:
        word_themes: (words,) theme number of each attribute word.
        item_words: (items, ITEM_WORDS) attribute numbers of each item, groups all different.
        user_words: (users, USER_WORDS) attribute numbers that each user likes.
        popularity: (items,) share of choices that an item gets where attributes do not matter.
    """

    word_themes: NDArray[np.int64]
    item_words: NDArray[np.int64]
    user_words: NDArray[np.int64]
    popularity: NDArray[np.float64]

    def match(self) -> NDArray[np.int64]:
        """Return (users, items) counts of the item's attributes that the user likes."""
        n_words = len(self.word_themes)
        return _indicator(self.user_words, n_words) @ _indicator(self.item_words, n_words).T


@dataclass(frozen=True)
class Choices:
    """Who reviewed what, one entry per review, pairs all different.

    Attributes:
        users: (reviews,) user numbers, ascending.
        items: (reviews,) item numbers; a user's are in random order.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]


def check_size(dials: Dials) -> None:
    """Stop if no data set of that size can be made.

    Raises:
        InputError: naming what has to change.
    """
    for name in ("n_users", "n_items"):
        if getattr(dials, name) < 2 * CORE:
            raise InputError(f"--{name}: found {getattr(dials, name)}; expected {2 * CORE} or more")
    least = CORE * max(dials.n_users, dials.n_items)
    most = dials.n_users * dials.n_items // 4
    if not least <= dials.n_reviews <= most:
        raise InputError(
            f"--n_reviews: found {dials.n_reviews}; expected {least} ({CORE} for every user and "
            f"item) to {most} (a quarter of all pairs) for {dials.n_users} users and "
            f"{dials.n_items} items; change one of the three"
        )


def make_world(dials: Dials, rng: np.random.Generator) -> World:
    """Draw attributes, tastes and popularity, each independent of the others.

    Args:
        dials: the settings.
        rng: the random generator, advanced by this.

    Returns:
        The planted truth.
    """
    group_of = np.repeat(np.arange(len(ATTRIBUTES)), [len(ws) for ws in ATTRIBUTES.values()])
    word_themes = rng.permutation(np.arange(len(group_of)) % N_THEMES)
    item_keys = _word_keys(dials.n_items, word_themes, rng)
    best_words = np.stack(
        [
            np.argmax(np.where(group_of == group, item_keys, -np.inf), axis=1)
            for group in range(len(ATTRIBUTES))
        ],
        axis=1,
    )  # (items, groups)
    groups = np.argsort(rng.random(best_words.shape), axis=1)[:, :ITEM_WORDS]
    item_words = np.take_along_axis(best_words, groups, axis=1)
    user_keys = _word_keys(dials.n_users, word_themes, rng)
    user_words = np.argsort(-user_keys, axis=1)[:, :USER_WORDS]
    zipf = np.arange(1, dials.n_items + 1) ** -dials.popularity_skew
    # every item's CORE reviews come first, the rest follow Zipf's law
    expected = CORE + (dials.n_reviews - CORE * dials.n_items) * zipf / zipf.sum()
    popularity = rng.permutation(expected / expected.sum())
    return World(word_themes, np.sort(item_words, 1), np.sort(user_words, 1), popularity)


def choose(dials: Dials, world: World, rng: np.random.Generator) -> Choices:
    """Let every user choose items by attribute match, popularity and chance.

    A user's items are drawn without replacement with odds proportional to
    popularity * exp(preference_strength * standardised match) (Gumbel top-k). Then items with fewer
    than CORE reviews take some over from items that have more.

    Args:
        dials: the settings.
        world: the planted truth.
        rng: the random generator, advanced by this.

    Returns:
        The choices; every user and item has at least CORE.
    """
    match = world.match()
    standard = (match - match.mean()) / match.std()
    utility = dials.preference_strength * standard + np.log(world.popularity)
    utility += rng.gumbel(size=utility.shape)
    counts = _user_counts(dials, rng)
    order = np.argsort(-utility, axis=1)
    chosen = np.zeros(utility.shape, dtype=bool)
    np.put_along_axis(chosen, order, np.arange(dials.n_items) < counts[:, None], axis=1)
    _fill_up(chosen, utility)
    users, items = np.nonzero(chosen)
    shuffled = np.lexsort((rng.random(len(users)), users))
    return Choices(users[shuffled], items[shuffled])


def _user_counts(dials: Dials, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how many items each user chooses: CORE and a long-tailed share of the rest."""
    weights = rng.lognormal(sigma=_ACTIVITY_SPREAD, size=dials.n_users)
    counts = np.full(dials.n_users, CORE)
    limit = dials.n_items // 2
    while rest := dials.n_reviews - int(counts.sum()):
        free = np.where(counts < limit, weights, 0.0)
        counts += rng.multinomial(rest, free / free.sum())
        counts = np.minimum(counts, limit)
    return counts


def _fill_up(chosen: NDArray[np.bool_], utility: NDArray[np.float64]) -> None:
    """Give items short of CORE reviews the users who like them best, users' counts unchanged."""
    degrees = chosen.sum(axis=0)
    while (item := int(np.argmin(degrees))) >= 0 and degrees[item] < CORE:
        spare = chosen & (degrees > CORE)
        can_swap = spare.any(axis=1) & ~chosen[:, item]
        user = int(np.argmax(np.where(can_swap, utility[:, item], -np.inf)))
        given_up = int(np.argmin(np.where(spare[user], utility[user], np.inf)))
        chosen[user, [item, given_up]] = True, False
        degrees[item] += 1
        degrees[given_up] -= 1


def _word_keys(
    n_rows: int, word_themes: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return (n_rows, words) keys: a row's largest are words drawn by the row's random theme."""
    own_theme = rng.integers(0, N_THEMES, n_rows)[:, None] == word_themes
    keys: NDArray[np.float64] = rng.gumbel(size=own_theme.shape)
    keys[own_theme] += np.log(_THEME_WEIGHT)
    return keys


def _indicator(words: NDArray[np.int64], n_words: int) -> NDArray[np.int64]:
    hits = np.zeros((len(words), n_words), dtype=np.int64)
    np.put_along_axis(hits, words, 1, axis=1)
    return hits
