"""Words as features, against scikit-learn on the words themselves."""

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from tiny_models import WORDS

from recbole_symcere.base.word_counts import Vocabulary
from recbole_symcere.text import lexical
from recbole_symcere.text.lexical import LexicalSpace, WordSums, word_counts

OWNERS = np.array([0, 0, 1, 2, 3, 4, 5, 1])
TEXTS = [" ".join(WORDS[(7 * n + k * k) % 12] for k in range(2 + n % 4)) for n in range(8)]
TEXTS[4] = ""
TEXTS[7] = TEXTS[0]  # one text of two owners


def counted(texts, owners, n_owners):
    words = Vocabulary().count(texts)
    ids = np.where(np.diff(words.indptr) > 0, np.arange(len(texts)), -1)
    return word_counts(words, ids, owners, n_owners)


def lexical_vectors(counts, others, size):
    space = LexicalSpace(counts, size)
    return space.rows, space.transform(others)


def joined(texts, owners, n_owners):
    return [
        " ".join(t for t, o in zip(texts, owners, strict=True) if o == n) for n in range(n_owners)
    ]


def test_every_word_is_counted_once_per_use():
    counts = counted(TEXTS, OWNERS, 7)
    words = [text.split() for text in joined(TEXTS, OWNERS, 7)]
    assert counts.shape[0] == 7
    assert counts.sum(axis=1).ravel().tolist()[0] == [len(row) for row in words]
    assert np.diff(counts.indptr).tolist() == [len(set(row)) for row in words]
    alike = (counts @ counts.T).toarray()
    for a, first in enumerate(words):
        for b, second in enumerate(words):
            expected = sum(first.count(word) * second.count(word) for word in set(first))
            assert alike[a, b] == expected, (a, b)


@given(st.lists(st.integers(0, 9), max_size=9), st.integers(0, 99))
def test_pieces_add_up(widths, seed):
    rng = np.random.default_rng(seed)
    pieces = [rng.integers(0, 3, (4, width)) for width in sorted(widths)]
    sums, wanted = WordSums(4), np.zeros((4, 10))
    for piece in pieces:
        sums.add(csr_matrix(piece, dtype=np.float32))
        wanted[:, : piece.shape[1]] += piece
        assert sums.total(10).toarray().tolist() == wanted.tolist()


def test_adding_pieces_takes_near_linear_work(monkeypatch):
    added, plain = [], lexical._sum
    monkeypatch.setattr(lexical, "_sum", lambda a, b: added.append(a.nnz + b.nnz) or plain(a, b))
    sums, one = WordSums(64), csr_matrix(np.eye(64, dtype=np.float32))
    for n in range(64):
        sums.add(csr_matrix((one.data, one.indices + 64 * n, one.indptr), (64, 64 * (n + 1))))
    assert sums.total(64 * 64).nnz == 64 * 64
    assert sum(added) <= 64 * 64 * 8  # one after the other it would be 32 times all of them


def test_the_vectors_keep_the_angles_of_tf_idf():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 5)) for _ in range(60)]
    owners = np.arange(60) % 30
    counts = counted(texts, owners, 31)
    vectors, _ = lexical_vectors(counts, counts, 1000)
    assert vectors.shape == (31, 29)  # one less than the rows that have a word
    oracle = TfidfVectorizer(
        analyzer=str.split, sublinear_tf=True, min_df=2, max_df=int(0.3 * 30)
    ).fit_transform(joined(texts, owners, 30))
    cosines = (oracle @ oracle.T).toarray()
    assert np.abs((vectors @ vectors.T).numpy()[:30, :30] - cosines).max() < 0.02
    assert not vectors[30].any()  # no text


def test_users_are_brought_into_the_space_of_items():
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(WORDS, 5)) for _ in range(40)]
    counts = counted(texts, np.arange(40) % 20, 20)
    items, users = lexical_vectors(counts, counts[[3, 5]], 8)
    assert torch.allclose(users, items[[3, 5]], atol=1e-6)


def test_users_words_are_weighed_as_items_words_are():
    """By the idf of items, whatever the users' own counts would give."""
    rng = np.random.default_rng(2)
    texts = [" ".join(rng.choice(WORDS[:150], 8)) for _ in range(60)]
    counts = counted(texts, np.arange(60) % 30, 30)
    space = LexicalSpace(counts, 1000)
    users = counts[[4, 4, 4, 9]] + counts[[11, 12, 13, 14]]  # the fourth's words are frequent here
    found = space.transform(users).double().numpy()
    dense = counts.toarray().astype(float)
    n_with = (dense > 0).sum(axis=0)
    kept = (n_with >= 2) & (n_with <= 0.3 * 30)
    idf = np.log(31 / (1 + n_with[kept])) + 1
    items, users = (
        oracles.unit(np.where(rows > 0, 1 + np.log(np.maximum(rows, 1)), 0) * idf)
        for rows in (dense[:, kept], users.toarray()[:, kept].astype(float))
    )
    assert np.abs(found @ space.rows.double().numpy().T - users @ items.T).max() < 0.02


@pytest.mark.parametrize("texts", [["same words"] * 6, [""] * 6, [f"{w}" for w in WORDS[:6]]])
def test_texts_that_tell_nothing_apart_give_no_dimension(texts):
    counts = counted(texts, np.arange(6), 6)
    items, users = lexical_vectors(counts, counts, 8)
    assert items.shape == users.shape == (6, 0)


@given(st.lists(st.lists(st.sampled_from(WORDS[:9]), max_size=6), min_size=1, max_size=12))
def test_any_texts_give_finite_vectors_of_length_one_at_most(rows):
    texts = [" ".join(row) for row in rows]
    counts = counted(texts, np.arange(len(rows)), len(rows))
    items, _ = lexical_vectors(counts, counts, 4)
    assert torch.isfinite(items).all()
    assert (items.norm(dim=1) <= 1 + 1e-5).all()
