"""Integrated gradients (Sundararajan et al., 2017): a second opinion on what a word contributes.

With e the embeddings of a review's tokens and e0 those of the same review with each token replaced
by one that says nothing (the mask, else the pad), the attribution of token k to f = t(x) . v is::

    (e_k - e0_k) . 1/m sum_{j=1..m} df/de_k at e0 + (j - 1/2)/m (e - e0)

Attributions add up to f(x) - f(x0) as m grows. A word's is the sum over its tokens; special tokens
are the same in both texts, and have none.
"""

import torch

from recbole_symcere.base.words import distinct_words
from recbole_symcere.explain.loaded_run import ExplainedRun

__all__ = ["integrated_gradients"]


def integrated_gradients(
    run: ExplainedRun, text: str, direction: torch.Tensor, n_steps: int = 16
) -> dict[str, float]:
    """Attribution of each distinct word of a text to ``t(x) . direction``.

    Args:
        run: the run; its tokenizer must be a fast one, which knows where tokens stand.
        text: the review.
        direction: [d].
        n_steps: m, points on the path (midpoint rule).
    """
    tokens = run.tokens(text)
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    special = torch.isin(ids, torch.tensor(run.special_ids))
    table = run.encoder.model.get_input_embeddings()  # type: ignore[operator] # transformers'
    with torch.no_grad():
        e = table(ids.to(run.device))
        e0 = table(torch.where(special, ids, run.blank_id).to(run.device))
    shares = (torch.arange(n_steps, device=run.device) + 0.5) / n_steps
    path = (e0 + shares[:, None, None] * (e - e0)).requires_grad_()  # [m, T, width]
    # the model reads the path where its own table would give it the tokens' embeddings
    hook = table.register_forward_hook(lambda *_: path)
    try:
        vectors = run.encoder(
            ids.expand(n_steps, -1).to(run.device), mask.expand(n_steps, -1).to(run.device)
        )
    finally:
        hook.remove()
    projected = run.model.unit(run.model.projection(vectors))
    (gradient,) = torch.autograd.grad((projected @ direction.to(run.device)).sum(), path)
    by_token = ((e - e0)[0] * gradient.mean(dim=0)).sum(dim=1).cpu().numpy()  # [T]
    starts, ends = tokens["offset_mapping"][0].T.numpy()
    return {
        word: float(
            sum(
                by_token[(starts < end) & (ends > start) & (ends > starts)].sum()
                for start, end in places
            )
        )
        for word, places in distinct_words(text).items()
    }
