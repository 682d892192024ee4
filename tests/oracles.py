"""The papers' equations as float64 NumPy loops: slow, plain and apart from the package.

Nothing of the package is imported here, and no formula is rearranged for speed or numerics, except
that the largest logit is taken out of a sum of exponentials.
"""

import hashlib

import numpy as np


def unit(x):
    """Rows at length 1 (SymCERE eq. 3)."""
    x = np.asarray(x, dtype=np.float64)
    return np.stack([row / np.sqrt((row**2).sum()) for row in x]) if len(x) else x


def contrastive_rows(anchor, candidate, allowed, temperature):
    """Eq. 7, eq. 10: row r's positive is candidate r, its negatives are where ``allowed`` is true.

    ``candidate`` is [B, d], or [B, B, d] where each anchor has candidates of its own (eq. 8).
    """
    losses = []
    for r in range(len(anchor)):
        own = candidate[r] if np.ndim(candidate) == 3 else candidate
        positive = dot(anchor[r], own[r]) / temperature
        negatives = [s for s in range(len(anchor)) if s != r and allowed[r][s]]
        terms = [positive, *(dot(anchor[r], own[s]) / temperature for s in negatives)]
        top = max(terms)
        losses.append(top + np.log(sum(np.exp(x - top) for x in terms)) - positive)
    return np.array(losses)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def pair_vectors_of_anchor_user(user, item):
    """Candidates g_{u_r,v_s} of eq. 8 at length 1: [B, B, d]."""
    size = len(user)
    return np.array([unit([(user[r] + item[s]) / 2 for s in range(size)]) for r in range(size)])


def others(size):
    """Every other row of the batch."""
    return [[r != s for s in range(size)] for r in range(size)]


def transposed(allowed):
    return [[allowed[s][r] for s in range(len(allowed))] for r in range(len(allowed))]


def both(allowed):
    return [
        [allowed[r][s] and allowed[s][r] for s in range(len(allowed))] for r in range(len(allowed))
    ]


def history_mask(users, items, pairs):
    """True at (r, s) where items[s] is among the pairs of users[r]."""
    known = {(int(u), int(i)) for u, i in pairs}
    return [[(int(u), int(i)) in known for i in items] for u in users]


def negative_mask(users, items, pairs):
    """N_r of SymCERE section 3.2.2."""
    known = history_mask(users, items, pairs)
    size = range(len(users))
    return [[bool(items[s] != items[r] and not known[r][s]) for s in size] for r in size]


def bpr_rows(positive, negative):
    """Eq. 12."""
    return np.array(
        [-np.log(1 / (1 + np.exp(-(p - n)))) for p, n in zip(positive, negative, strict=True)]
    )


def alignment(x, y):
    return np.mean([((a - b) ** 2).sum() for a, b in zip(x, y, strict=True)])


def uniformity(x, t=2.0):
    terms = [
        np.exp(-t * ((x[a] - x[b]) ** 2).sum()) for a in range(len(x)) for b in range(a + 1, len(x))
    ]
    return np.log(np.mean(terms))


def normalised_adjacency(pairs, n_users, n_items):
    """Dense D^-1/2 A D^-1/2 over users and then items; a repeated pair counts once."""
    size = n_users + n_items
    adjacency = np.zeros((size, size))
    for u, i in pairs:
        adjacency[u, n_users + i] = adjacency[n_users + i, u] = 1
    degree = adjacency.sum(1)
    result = np.zeros((size, size))
    for a in range(size):
        for b in range(size):
            if adjacency[a, b]:
                result[a, b] = 1 / np.sqrt(degree[a] * degree[b])
    return result


def lightgcn(adjacency, x, n_layers):
    """Eq. 1-2: the mean of the layers 0 to K."""
    layers = [np.linalg.matrix_power(adjacency, k) @ x for k in range(n_layers + 1)]
    return sum(layers) / (n_layers + 1)


def ngcf(adjacency, x, layers):
    """Layers side by side; ``layers`` holds (W1, b1, W2, b2), with W of [out, in]."""
    outputs = [x]
    eye = np.eye(len(x))
    for w1, b1, w2, b2 in layers:
        h = (adjacency + eye) @ x @ w1.T + b1 + ((adjacency @ x) * x) @ w2.T + b2
        h = np.where(h > 0, h, 0.2 * h)
        x = h / np.maximum(np.sqrt((h**2).sum(1, keepdims=True)), 1e-12)
        outputs.append(x)
    return np.concatenate(outputs, axis=1)


def mlp(x, layers):
    """Linear layers (W of [out, in], b) with ReLU between them."""
    for n, (weight, bias) in enumerate(layers):
        x = x @ weight.T + bias
        if n < len(layers) - 1:
            x = np.where(x > 0, x, 0)
    return x


def tie_key(user, item, seed):
    """What decides among interactions of one time: 64-bit arithmetic in Python's own numbers."""

    def mixed(x):
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    def hashed(token):
        return int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "little")

    start = mixed((hashed(user) + (seed + 1) * 0x9E3779B97F4A7C15) % 2**64)
    return mixed(start ^ hashed(item) * 0xD1B54A32D192ED03 % 2**64)
