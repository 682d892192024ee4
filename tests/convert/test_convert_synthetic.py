import json
import re

import numpy as np
import polars as pl
import pytest
from convert_tables import read_all

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert import synthetic
from recbole_symcere.convert import synthetic_words as words
from recbole_symcere.convert.convert_options import Dials
from recbole_symcere.convert.kcore import filter_core
from recbole_symcere.convert.synthetic_choice import CORE, choose, make_world

SMALL = {"n_users": 150, "n_items": 120, "n_reviews": 2400}
ATTRIBUTES = {word for group in words.ATTRIBUTES.values() for word in group}
SENTIMENTS = {*words.POSITIVE, *words.NEGATIVE}


def generate(name, dials):
    return read_all(synthetic.generate(name, dials))


def core_size(reviews):
    users, items = (reviews[name].rank("dense").to_numpy() for name in ("user_id", "item_id"))
    return filter_core(users.astype(np.int64), items.astype(np.int64), k_core=CORE).sum()


@pytest.fixture(scope="module")
def default():
    return generate("yelp", Dials())


def planted(reading):
    return json.loads(reading.reading.extra_files["planted.json"])


def tokens(texts):
    return [set(re.findall(r"[a-z]+", text.lower())) for text in texts]


def excess_match(**dials):
    """Mean match of the chosen pairs minus that of all users with those items, in deviations."""
    settings = Dials(**SMALL, **dials)
    rng = np.random.default_rng(settings.seed)
    world = make_world(settings, rng)
    choices = choose(settings, world, rng)
    match = world.match()
    expected = match[:, choices.items].mean()
    return (match[choices.users, choices.items].mean() - expected) / match.std()


def test_the_default_has_the_shape_of_the_papers_set(default):
    reviews = default.reviews
    assert (reviews["user_id"].n_unique(), reviews["item_id"].n_unique()) == (802, 1274)
    assert len(reviews) == len(reviews.unique(["user_id", "item_id"])) == 11_879
    assert core_size(reviews) == 11_879
    lengths = reviews["text"].str.split(" ").list.len()
    assert 9 <= lengths.mean() <= 12
    assert lengths.max() <= 40


def test_times_increase_within_each_user_and_lie_in_2010_to_2018(default):
    steps = default.reviews.select(pl.col("timestamp").diff().over("user_id")).to_series()
    assert steps.min() > 0
    assert default.reviews["timestamp"].min() >= 1_262_304_000
    assert default.reviews["timestamp"].max() < 1_546_300_800


def test_times_increase_even_where_there_are_few_seconds(monkeypatch):
    monkeypatch.setattr(synthetic, "_LAST_SECOND", synthetic._FIRST_SECOND + 5)
    reviews = generate("d", Dials(**SMALL)).reviews
    assert reviews.select(pl.col("timestamp").diff().over("user_id")).to_series().min() > 0


def test_one_seed_gives_one_data_set():
    one, same, other = (generate("d", Dials(**SMALL, seed=seed)) for seed in (1, 1, 2))
    assert one.reviews.equals(same.reviews)
    assert one.reading.extra_files == same.reading.extra_files
    assert not one.reviews.equals(other.reviews)


def test_it_says_that_it_is_synthetic_and_how_to_get_the_real_one(default):
    assert default.reading.synthetic
    assert default.reading.notice.startswith("yelp here is SYNTHETIC")
    assert "convert yelp --input=yelp_dataset.tar --name=yelp" in default.reading.notice


@pytest.mark.parametrize("name", ["yelp", "mine"])
def test_the_notice_fits_the_set_that_it_speaks_of(name):
    notice = generate(name, Dials(**SMALL)).reading.notice
    assert notice.startswith(f"{name} is SYNTHETIC: its reviews are generated")
    assert "Yelp" not in notice


def test_attributes_decide_choices_as_much_as_the_dial_says():
    none, some, much = (excess_match(preference_strength=s) for s in (0.0, 1.0, 3.0))
    assert abs(none) < 0.06
    assert none + 0.3 < some
    assert some + 0.3 < much


def test_the_popularity_dial_decides_how_unequal_items_are():
    def top_share(skew):
        reviews = generate("d", Dials(**SMALL, popularity_skew=skew)).reviews
        counts = reviews["item_id"].value_counts()["count"].sort(descending=True)
        return counts.head(12).sum() / counts.sum()

    flat, skewed, steep = (top_share(skew) for skew in (0.0, 0.8, 1.6))
    assert flat < 0.25
    assert flat + 0.05 < skewed
    assert skewed + 0.05 < steep


def test_ratings_have_nothing_to_do_with_the_match(default):
    truth = planted(default)
    items = {item: set(ws.split()) for item, ws in truth["item_attributes"].items()}
    users = {user: set(ws.split()) for user, ws in truth["user_likes"].items()}
    rows = default.reviews.select("user_id", "item_id", "rating").rows()
    match = [len(items[item] & users[user]) for user, item, _ in rows]
    ratings = [rating for *_, rating in rows]
    # four standard errors of a correlation of independent columns
    assert abs(np.corrcoef(match, ratings)[0, 1]) < 4 / np.sqrt(len(rows))
    popularity = [np.log(truth["item_popularity"][item]) for _, item, _ in rows]
    assert abs(np.corrcoef(popularity, ratings)[0, 1]) < 4 / np.sqrt(len(rows))


def test_sentiment_words_follow_the_rating(default):
    said = tokens(default.reviews["text"])
    balance = np.array([len(t & {*words.POSITIVE}) - len(t & {*words.NEGATIVE}) for t in said])
    stars = default.reviews["rating"].to_numpy()
    means = [balance[stars == n].mean() for n in range(1, 6)]
    assert means == sorted(means)
    assert means[0] < -0.5
    assert means[4] > 0.5


def test_a_text_names_attributes_of_its_item_only_and_liked_ones_more_often(default):
    truth = planted(default)
    items = {item: set(ws.split()) for item, ws in truth["item_attributes"].items()}
    users = {user: set(ws.split()) for user, ws in truth["user_likes"].items()}
    hits = {True: [], False: []}
    rows = default.reviews.select("user_id", "item_id").rows()
    for (user, item), said in zip(rows, tokens(default.reviews["text"]), strict=True):
        assert 1 <= len(said & ATTRIBUTES) <= len(items[item]) == 6
        assert said & ATTRIBUTES <= items[item]
        for word in items[item]:
            hits[word in users[user]].append(word in said)
    assert np.mean(hits[True]) > np.mean(hits[False]) + 0.15


def test_every_word_is_planted_and_the_kinds_do_not_overlap(default):
    truth = planted(default)
    filler = set(truth["filler_words"])
    assert set().union(*truth["attribute_words"].values()) == ATTRIBUTES
    assert 60 <= len(ATTRIBUTES) <= 120
    kinds = (ATTRIBUTES, {*words.POSITIVE}, {*words.NEGATIVE}, filler)
    assert sum(map(len, kinds)) == len(set().union(*kinds))
    used = set().union(*tokens(default.reviews["text"]))
    assert used == set().union(*kinds)


@pytest.mark.parametrize(
    ("dial", "kind"), [("attribute_words", ATTRIBUTES), ("sentiment_words", SENTIMENTS)]
)
def test_the_word_dials_decide_how_many_words_there_are(dial, kind):
    def mean_words(value):
        texts = generate("d", Dials(**SMALL, **{dial: value})).reviews["text"]
        return np.mean([len(said & kind) for said in tokens(texts)])

    assert mean_words(0.0) == 0
    assert mean_words(2.0) > mean_words(1.0) + 0.3


def test_what_cannot_be_made_is_refused():
    with pytest.raises(InputError, match=r"--n_reviews: found 100; expected 6370 .* to 255437"):
        generate("d", Dials(n_reviews=100))
    with pytest.raises(InputError, match="--n_users: found 3"):
        generate("d", Dials(n_users=3))
    with pytest.raises(InputError, match=r"preference_strength is -1\.0, .* at least 0"):
        Dials(preference_strength=-1.0)
    with pytest.raises(InputError, match="popularity_skew is nan"):
        Dials(popularity_skew=float("nan"))


@pytest.mark.parametrize("n_reviews", [600, 3600])
def test_the_core_holds_at_the_limits(n_reviews):
    dials = Dials(n_users=120, n_items=120, n_reviews=n_reviews, popularity_skew=2.0)
    reviews = generate("d", dials).reviews
    assert core_size(reviews) == n_reviews
