"""Word occlusion against the lime package: the same words of the same reviews, in one process.

    PYTHONPATH=. python benchmarks/occlusion_speed.py --run runs/ID [--reviews 60] [--samples 1000]

Both go through the same batched encoder, and LIME's equal texts are encoded once, so the ratio is
a low estimate of what a user of LIME gains. Printed: seconds of both, their ratio, and the rank
correlation of the words' mean contributions, over words of at least ``--mentions`` of the reviews.
"""

import argparse
import time

import numpy as np
from scipy.stats import spearmanr

from recbole_symcere.explain.loaded_run import load_text_run
from recbole_symcere.explain.occlusion import gather, occlude
from recbole_symcere.explain.surrogate import explain_reviews


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True)
    parser.add_argument("--reviews", type=int, default=60)
    parser.add_argument("--samples", type=int, default=1000, help="lime's own default is 5000")
    parser.add_argument("--mentions", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    run = load_text_run(given.run)
    reviews = run.sample(given.reviews, given.seed)
    run.text_vectors(run.texts[:64])  # the first call loads libraries
    started = time.perf_counter()
    exact = gather(run, occlude(run, reviews))
    by_occlusion = time.perf_counter() - started
    started = time.perf_counter()
    found = explain_reviews(run, exact.reviews, given.samples, 1, given.seed)
    by_lime = time.perf_counter() - started
    weights = np.concatenate([one.weights[0] for one in found])
    assert [exact.vocabulary[n] for n in exact.word] == [w for one in found for w in one.words]
    n = np.bincount(exact.word)
    means = [np.bincount(exact.word, values) / n for values in (exact.own, weights)]
    known = n >= given.mentions
    by_word = spearmanr(means[0][known], means[1][known]).statistic
    print(
        f"{len(reviews)} reviews, {len(exact.word)} words of reviews, {len(n)} distinct words\n"
        f"occlusion: {by_occlusion:.1f} s, {len(exact.word) + len(reviews)} texts encoded, "
        f"{len(reviews) / by_occlusion:.1f} reviews/s\n"
        f"lime, {given.samples} samples: {by_lime:.1f} s, "
        f"{sum(one.encoded for one in found)} different texts encoded\n"
        f"occlusion is {by_lime / by_occlusion:.1f} times faster\n"
        f"rank correlation over the {known.sum()} words of {given.mentions} reviews or more: "
        f"{by_word:.3f}; over all words of reviews: {spearmanr(exact.own, weights).statistic:.3f}"
    )


if __name__ == "__main__":
    main()
