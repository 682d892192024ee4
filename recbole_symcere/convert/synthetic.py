"""Generates reviews whose truth is known: the stand-in for the paper's Yelp set.

Attributes and popularity decide who chooses what; the text names the item's attributes, those that
the user likes first; the rating is noise that has nothing to do with the choice, and only the
sentiment words follow it. Times carry no drift: a user's choices come in random order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recbole_symcere.convert import synthetic_words as words
from recbole_symcere.convert.convert_options import Dials
from recbole_symcere.convert.records import REJECTED, SCHEMA, Batch, Reading
from recbole_symcere.convert.synthetic_choice import (
    ITEM_WORDS,
    Choices,
    World,
    check_size,
    choose,
    make_world,
)

SOURCE = "synthetic"
PLANTED = "planted.json"

_RATING_SHARES = (0.12, 0.10, 0.15, 0.27, 0.36)  # of 1 to 5 stars
_POSITIVE_SHARES = np.array([0.05, 0.2, 0.5, 0.85, 0.97])  # of the sentiment words, by stars
_MAX_SENTIMENTS = 3
_LIKED_WEIGHT = 4.0  # odds of mentioning a liked attribute against another one
_FIRST_SECOND = 1_262_304_000  # 2010-01-01
_LAST_SECOND = 1_546_214_400  # 2018-12-31
_STAND_IN = "yelp"
_SIZES = ("n_users", "n_items", "n_reviews")
_NOTICE = (
    "{name} is SYNTHETIC: its reviews are generated from a known truth, so numbers on it say "
    "nothing about real reviews"
)
_NOTICE_OF_STAND_IN = (
    f"{_STAND_IN} here is SYNTHETIC, a stand-in with the shape of the paper's Yelp set; the Yelp "
    "Open Dataset may not be redistributed. The real one takes its place by the command: convert "
    f"yelp --input=yelp_dataset.tar --name={_STAND_IN} --overwrite=True"
)


def generate(name: str, dials: Dials) -> Reading:
    """Generate a data set.

    Args:
        name: name of the data set, for the notice.
        dials: the settings.

    Returns:
        The reviews, a notice that they are synthetic, and ``planted.json`` with the planted truth.

    Raises:
        InputError: if no data set of that size can be made.
    """
    check_size(dials)
    rng = np.random.default_rng(dials.seed)
    world = make_world(dials, rng)
    choices = choose(dials, world, rng)
    n_reviews = len(choices.users)
    ratings = rng.choice(5, size=n_reviews, p=_RATING_SHARES) + 1
    user_ids, item_ids = _ids("u", dials.n_users), _ids("i", dials.n_items)
    reviews = pl.DataFrame(
        {
            "user_id": np.array(user_ids)[choices.users],
            "item_id": np.array(item_ids)[choices.items],
            "rating": ratings.astype(np.float64),
            "timestamp": _times(choices.users, rng),
            "text": write_texts(dials, world, choices, ratings, rng),
            "source_line": np.arange(1, n_reviews + 1),
        },
        schema=dict(SCHEMA),
    )
    planted = _planted(dials, world, user_ids, item_ids)
    return Reading(
        SOURCE,
        "the generator",
        [reviews],
        lambda block: Batch(block, pl.DataFrame(schema=dict(REJECTED)), len(block)),
        notice=_notice(name, dials),
        synthetic=True,
        extra_files={PLANTED: (json.dumps(planted, indent=1) + "\n").encode()},
    )


def _notice(name: str, dials: Dials) -> str:
    usual = Dials()
    has_shape = all(getattr(dials, size) == getattr(usual, size) for size in _SIZES)
    return _NOTICE_OF_STAND_IN if name == _STAND_IN and has_shape else _NOTICE.format(name=name)


def write_texts(
    dials: Dials,
    world: World,
    choices: Choices,
    ratings: NDArray[np.int64],
    rng: np.random.Generator,
) -> list[str]:
    """Write one short text per review.

    Args:
        dials: the settings.
        world: the planted truth.
        choices: who reviewed what.
        ratings: (reviews,) stars, 1 to 5.
        rng: the random generator, advanced by this.

    Returns:
        The texts, about 10 words each: a CPU has to encode them in a minute or so.
    """
    n_reviews = len(ratings)
    openers = _draw(words.OPENERS, rng, n_reviews)
    closers = _draw(words.CLOSERS, rng, n_reviews)
    mentions = _mentions(dials, world, choices, rng)
    judgements = _judgements(dials, ratings, rng)
    return [
        _as_sentences(opener, ", ".join(filter(None, said)), ", ".join(filter(None, felt)), closer)
        for opener, said, felt, closer in zip(openers, mentions, judgements, closers, strict=True)
    ]


def _as_sentences(*parts: str) -> str:
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts if part)


def _mentions(
    dials: Dials, world: World, choices: Choices, rng: np.random.Generator
) -> NDArray[np.str_]:
    """Return (reviews, ITEM_WORDS) phrases with attribute words of the item, "" where none."""
    vocabulary = [word for group in words.ATTRIBUTES.values() for word in group]
    phrases = [words.MENTIONS[group] for group, ws in words.ATTRIBUTES.items() for _ in ws]
    table = np.array(
        [[phrase.format(w) for phrase in ps] for w, ps in zip(vocabulary, phrases, strict=True)]
    )
    own = world.item_words[choices.items]  # (reviews, ITEM_WORDS)
    liked = (own[:, :, None] == world.user_words[choices.users][:, None, :]).any(axis=2)
    keys = np.log(np.where(liked, _LIKED_WEIGHT, 1.0)) + rng.gumbel(size=own.shape)
    drawn = np.take_along_axis(own, np.argsort(-keys, axis=1), axis=1)
    counts = np.clip(rng.poisson(dials.attribute_words, len(own)), 1, ITEM_WORDS)
    if dials.attribute_words == 0:
        counts[:] = 0
    said = table[drawn, rng.integers(0, table.shape[1], drawn.shape)]
    return np.where(np.arange(ITEM_WORDS) < counts[:, None], said, "")


def _judgements(
    dials: Dials, ratings: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.str_]:
    """Return (reviews, _MAX_SENTIMENTS) phrases with sentiment words, "" where none."""
    shape = (len(ratings), _MAX_SENTIMENTS)
    positive = rng.random(shape) < _POSITIVE_SHARES[ratings - 1][:, None]
    table = np.array(
        [
            [[phrase.format(word) for phrase in words.JUDGEMENTS] for word in side]
            for side in (words.NEGATIVE, words.POSITIVE)
        ]
    )  # (sides, words, phrases)
    word = rng.integers(0, table.shape[1], shape)
    # the phrases of one review are all different
    phrase = np.argsort(rng.random(shape), axis=1)
    counts = rng.poisson(dials.sentiment_words, len(ratings))
    said = table[positive.astype(np.int64), word, phrase]
    return np.where(np.arange(_MAX_SENTIMENTS) < counts[:, None], said, "")


def _times(users: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return seconds of 2010 to 2018, strictly increasing within each user (users ascending)."""
    first = np.r_[True, users[1:] != users[:-1]]
    rank = np.arange(len(users)) - np.maximum.accumulate(np.where(first, np.arange(len(users)), 0))
    span = _LAST_SECOND - _FIRST_SECOND
    joined = rng.uniform(0, 0.7, users.max() + 1)[users]  # share of the span before the user came
    seconds = _FIRST_SECOND + span * (joined + (1 - joined) * rng.random(len(users)))
    # sorted within each user; the rank parts equal seconds
    ascending: NDArray[np.float64] = seconds[np.lexsort((seconds, users))]
    return ascending.astype(np.int64) + rank


def _planted(
    dials: Dials, world: World, user_ids: Sequence[str], item_ids: Sequence[str]
) -> dict[str, object]:
    vocabulary = np.array([word for group in words.ATTRIBUTES.values() for word in group])
    items = (" ".join(row) for row in vocabulary[world.item_words])
    users = (" ".join(row) for row in vocabulary[world.user_words])
    return {
        "dials": asdict(dials),
        "attribute_words": words.ATTRIBUTES,
        "sentiment_words": {"positive": words.POSITIVE, "negative": words.NEGATIVE},
        "filler_words": words.filler_words(),
        "item_attributes": dict(zip(item_ids, items, strict=True)),
        "item_popularity": dict(
            zip(item_ids, (float(f"{share:.4g}") for share in world.popularity), strict=True)
        ),
        "user_likes": dict(zip(user_ids, users, strict=True)),
    }


def _ids(letter: str, n: int) -> list[str]:
    width = len(str(n))
    return [f"{letter}{number:0{width}d}" for number in range(1, n + 1)]


def _draw(phrases: Sequence[str], rng: np.random.Generator, size: int) -> list[str]:
    return [phrases[number] for number in rng.integers(0, len(phrases), size)]
