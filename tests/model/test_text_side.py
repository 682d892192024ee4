"""What of the texts is encoded before training: masked copies, and texts of items."""

import pytest
import torch
from model.test_contract import prepare

from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.masking import draw_words, mask_words_by_draws


@pytest.mark.parametrize("mode", ["frozen", "lora"])
def test_masked_copies_are_drawn_by_the_runs_seed(small, mode):
    settings = {"word_mask": 0.5, "text_mode": mode, "lora_layers": None if mode == "frozen" else 1}
    settings |= {"lora_dropout": 0.0} if mode == "lora" else {}
    encoder, tokenizer = load_encoder(small["text_encoder"])
    for seed in (3, 4):
        _, model, _, (train, *_) = prepare("SymCERE", small, seed=seed, **settings)
        store = train.reviews.store
        texts = [n for n in range(len(store)) if store.lengths[n] > 6][:3]
        batch = store.take(texts)
        if mode == "frozen":
            copies = model.reviews.masked[:, texts]
        else:
            views = [torch.full((3,), view) for view in range(model.reviews.kept.views)]
            masked = [model.reviews.kept.masked(*batch, view) for view in views]
            with torch.no_grad():
                copies = torch.stack([model.reviews.encoder.eval()(*copy) for copy in masked])
        assert len(copies) == 4
        truth = []
        for view in range(4):
            draws, _ = draw_words(*batch[:2], seed, view)
            copy = mask_words_by_draws(*batch, draws, 0.5, tokenizer.mask_token_id)
            with torch.no_grad():
                truth.append(TextEncoder(encoder).eval()(*copy))
        torch.testing.assert_close(copies, torch.stack(truth), atol=1e-5, rtol=0)


def test_runs_of_other_seeds_share_the_reviews_vectors(small):
    one, two = (prepare("SymCERE", small, seed=seed)[1].reviews for seed in (3, 4))
    assert torch.equal(one.original, two.original)
    assert not torch.equal(one.masked, two.masked)
    again = prepare("SymCERE", small, seed=3)[1].reviews
    assert torch.equal(again.masked, one.masked)
