"""The losses against golden numbers, loop oracles, and the laws they have to obey."""

import doctest
import json
import math
from pathlib import Path

import numpy as np
import oracles
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.loss import contrastive as loss
from recbole_symcere.loss import fused
from recbole_symcere.loss.contrastive import (
    alignment,
    anchor_user_logits,
    bpr,
    info_nce,
    products,
    sincere,
    sincere_from_logits,
    symmetric_sincere,
    uniformity,
)
from recbole_symcere.loss.ranking import info_nce_among, intent_contrast

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "symcere.json").read_text())
ORIENTATIONS = ["anchor", "transpose", "both"]


def double(x):
    return torch.as_tensor(np.asarray(x), dtype=torch.float64)


def boolean(x):
    return torch.as_tensor(np.asarray(x, dtype=bool))


def near(expected):
    return pytest.approx(expected, abs=1e-6)


def rngs(n):
    return [np.random.default_rng(seed) for seed in range(n)]


def random_batch(size, width, n_kinds, seed):
    """Graph and text vectors and a mask, with repeated rows where ``n_kinds`` < ``size``."""
    rng = np.random.default_rng(seed)
    graph, text = (oracles.unit(rng.normal(size=(n_kinds, width))) for _ in range(2))
    pick = rng.integers(0, n_kinds, size=size)
    users, pairs = rng.integers(0, 3, size=size), rng.integers(0, 4, size=(size, 2)) % [3, n_kinds]
    pairs = np.concatenate([pairs, np.stack([users, pick], axis=1)])
    allowed = oracles.negative_mask(users, pick, pairs)
    return graph[pick], text[pick], allowed


batches = st.builds(
    random_batch,
    size=st.integers(1, 7),
    width=st.integers(1, 5),
    n_kinds=st.integers(1, 7),
    seed=st.integers(0, 10**6),
)
temperatures = st.floats(0.01, 1.0)


@pytest.fixture
def golden():
    """The golden batch: raw and unit vectors, mask, temperature."""
    given = GOLDEN["input"]
    user, item = (double(given[f"{k}_table"])[given[f"{k}s"]] for k in ("user", "item"))
    text = double(given["text"])
    return {
        "user": user,
        "item": item,
        "graph": F.normalize((user + item) / 2, dim=1),
        "text": F.normalize(text, dim=1),
        "graph_view": F.normalize(
            (user + given["item_factor_of_the_graph_view"] * item) / 2, dim=1
        ),
        "text_view": F.normalize(text + double(given["added_by_the_text_view"]), dim=1),
        "negative": double(given["item_table"])[given["negative_items"]],
        "mask": boolean(GOLDEN["negative_mask"]),
        "temperature": given["temperature"],
    }


class TestGoldenNumbers:
    def test_masks(self):
        given = GOLDEN["input"]
        allowed = oracles.negative_mask(given["users"], given["items"], given["history"])
        assert np.array_equal(allowed, GOLDEN["negative_mask"])
        assert np.array_equal(oracles.both(allowed), GOLDEN["negative_mask_both"])

    def test_graph_to_text(self, golden):
        views = golden["graph"], golden["text"], golden["mask"], golden["temperature"]
        expected = GOLDEN["graph_to_text"]
        assert sincere(*views, reduction="none").tolist() == near(expected["rows"])
        assert sincere(*views).item() == near(expected["mean"])
        assert sincere(*views, reduction="sum").item() == near(sum(expected["rows"]))

    @pytest.mark.parametrize("orientation", ORIENTATIONS)
    def test_symmetric(self, golden, orientation):
        views = golden["graph"], golden["text"], golden["mask"], golden["temperature"]
        forth = GOLDEN["graph_to_text_both" if orientation == "both" else "graph_to_text"]
        back = GOLDEN["text_to_graph"][orientation]
        rows = symmetric_sincere(*views, reduction="none", orientation=orientation)
        expected = [(a + b) / 2 for a, b in zip(forth["rows"], back["rows"], strict=True)]
        assert rows.tolist() == near(expected)
        mean = symmetric_sincere(*views, orientation=orientation).item()
        assert mean == near((forth["mean"] + back["mean"]) / 2)

    def test_the_default_orientation_is_the_anchor(self, golden):
        views = golden["graph"], golden["text"], golden["mask"], golden["temperature"]
        assert symmetric_sincere(*views).item() == near(GOLDEN["cross"]["anchor"])

    @pytest.mark.parametrize("orientation", ORIENTATIONS)
    def test_text_to_graph_alone(self, golden, orientation):
        mask = golden["mask"]
        mask = {"anchor": mask, "transpose": mask.T, "both": mask & mask.T}[orientation]
        rows = sincere(golden["text"], golden["graph"], mask, golden["temperature"], "none")
        assert rows.tolist() == near(GOLDEN["text_to_graph"][orientation]["rows"])

    def test_the_literal_equation_8(self, golden):
        views = golden["text"], golden["user"], golden["item"], golden["temperature"]
        expected = GOLDEN["text_to_graph"]["anchor_user"]
        rows = sincere_from_logits(anchor_user_logits(*views), golden["mask"], "none")
        assert rows.tolist() == near(expected["rows"])
        forth = sincere(golden["graph"], golden["text"], golden["mask"], golden["temperature"])
        cross = (forth + rows.mean()) / 2
        assert cross.item() == near(GOLDEN["cross"]["anchor_user"])

    def test_info_nce_ablation(self, golden):
        expected = GOLDEN["info_nce_ablation"]
        forth = info_nce(golden["graph"], golden["text"], golden["temperature"])
        back = info_nce(golden["text"], golden["graph"], golden["temperature"])
        assert forth.item() == near(expected["graph_to_text"])
        assert back.item() == near(expected["text_to_graph"])
        assert ((forth + back) / 2).item() == near(expected["cross"])

    def test_item_id_only_mask(self, golden):
        items = torch.tensor(GOLDEN["input"]["items"])
        mask = items[:, None] != items
        for direction, views in {
            "graph_to_text": ("graph", "text"),
            "text_to_graph": ("text", "graph"),
        }.items():
            value = sincere(*(golden[v] for v in views), mask, golden["temperature"])
            assert value.item() == near(GOLDEN["item_id_only"][direction])

    def test_intra_bpr_and_totals(self, golden):
        intra = {
            view: info_nce(golden[view], golden[f"{view}_view"], golden["temperature"]).item()
            for view in ("graph", "text")
        }
        assert {**intra, "sum": sum(intra.values())} == near(GOLDEN["intra"])
        user, item, negative = (F.normalize(golden[k], dim=1) for k in ("user", "item", "negative"))
        scores = (user * item).sum(1), (user * negative).sum(1)
        assert bpr(*scores, reduction="none").tolist() == near(GOLDEN["bpr"]["rows"])
        views = golden["graph"], golden["text"], golden["mask"], golden["temperature"]
        for reduction in ("mean", "sum"):
            ranking = bpr(*scores, reduction=reduction).item()
            assert ranking == near(GOLDEN["bpr"][reduction])
            total = symmetric_sincere(*views).item() + GOLDEN["input"]["alpha"] * sum(
                intra.values()
            )
            total += GOLDEN["input"]["beta"] * ranking
            assert total == near(GOLDEN["total"][f"bpr_{reduction}"])

    def test_alignment_and_uniformity(self, golden):
        given = GOLDEN["input"]
        tables = {k: F.normalize(double(given[f"{k}_table"]), dim=1) for k in ("user", "item")}
        rows = {k: table[given[f"{k}s"]] for k, table in tables.items()}
        assert alignment(rows["user"], rows["item"]).item() == near(GOLDEN["alignment"])
        for k in ("user", "item"):
            expected = GOLDEN["uniformity"]
            assert uniformity(tables[k]).item() == near(expected[f"{k}s"])
            assert uniformity(rows[k]).item() == near(expected[f"{k}s_with_repeats"])


class TestOracles:
    @given(batches, temperatures)
    def test_every_loss_equals_its_loops(self, batch, temperature):
        graph, text, allowed = batch
        views = double(graph), double(text)
        mask = boolean(allowed)
        exact = {"rtol": 1e-9, "atol": 1e-9}
        forth = oracles.contrastive_rows(graph, text, allowed, temperature)
        rows = sincere(*views, mask, temperature, reduction="none")
        np.testing.assert_allclose(rows, forth, **exact)
        turned = {
            "anchor": (allowed, allowed),
            "transpose": (allowed, oracles.transposed(allowed)),
            "both": (oracles.both(allowed), oracles.both(allowed)),
        }
        for orientation, (first, second) in turned.items():
            expected = oracles.contrastive_rows(graph, text, first, temperature) / 2
            expected += oracles.contrastive_rows(text, graph, second, temperature) / 2
            rows = symmetric_sincere(*views, mask, temperature, "none", orientation)
            np.testing.assert_allclose(rows, expected, **exact)
        plain = oracles.contrastive_rows(graph, text, oracles.others(len(graph)), temperature)
        np.testing.assert_allclose(info_nce(*views, temperature, "none"), plain, **exact)

    @given(batches, temperatures)
    def test_anchor_user_equals_its_loops(self, batch, temperature):
        user, text, allowed = batch
        item = 3 * np.roll(text, 1, axis=1) + 0.5
        logits = anchor_user_logits(double(text), double(user), double(item), temperature)
        pairs = oracles.pair_vectors_of_anchor_user(user, item)
        expected = oracles.contrastive_rows(text, pairs, allowed, temperature)
        rows = sincere_from_logits(logits, boolean(allowed), "none")
        np.testing.assert_allclose(rows, expected, rtol=1e-6, atol=1e-6)
        raw = anchor_user_logits(*(double(x) for x in (text, user, item)), temperature, False)
        expected = np.einsum("rd,rsd->rs", text, (user[:, None] + item) / 2) / temperature
        np.testing.assert_allclose(raw, expected, rtol=1e-9, atol=1e-9)

    @given(batches)
    def test_the_other_losses_equal_their_loops(self, batch):
        x, y, _ = batch
        positive, negative = 4 * x[:, 0], 4 * y[:, 0]
        rows = bpr(double(positive), double(negative), "none")
        np.testing.assert_allclose(rows, oracles.bpr_rows(positive, negative), rtol=1e-12)
        assert alignment(double(x), double(y)).item() == pytest.approx(oracles.alignment(x, y))
        if len(x) > 1:
            for t in (0.5, 2.0):
                expected = oracles.uniformity(x, t)
                assert uniformity(double(x), t).item() == pytest.approx(expected, abs=1e-12)


class TestLaws:
    @given(batches, temperatures)
    def test_an_excluded_row_gets_no_gradient_at_all(self, batch, temperature):
        graph, text, allowed = batch
        size = len(graph)
        for r in range(size):
            candidate = double(text).requires_grad_()
            views = double(graph), candidate
            rows = sincere(*views, boolean(allowed), temperature, reduction="none")
            (grad,) = torch.autograd.grad(rows[r], candidate)
            outside = [s for s in range(size) if s != r and not allowed[r][s]]
            assert (grad[outside] == 0).all()

    @given(batches, temperatures)
    def test_what_an_excluded_row_holds_does_not_matter(self, batch, temperature):
        graph, text, allowed = batch
        mask = boolean(allowed)
        logits = double(graph) @ double(text).T / temperature
        other = torch.where(mask | torch.eye(len(mask), dtype=torch.bool), logits, 1e6)
        assert torch.equal(sincere_from_logits(logits, mask), sincere_from_logits(other, mask))

    @pytest.mark.parametrize("orientation", ORIENTATIONS)
    @pytest.mark.parametrize("size", [0, 1, 5])
    def test_no_negatives_give_0_with_a_gradient_path(self, size, orientation):
        graph = F.normalize(torch.randn(size, 3), dim=1).requires_grad_()
        text = F.normalize(torch.randn(size, 3), dim=1)
        mask = torch.zeros(size, size, dtype=torch.bool)
        value = symmetric_sincere(graph, text, mask, 0.01, orientation=orientation)
        value.backward()
        assert value.item() == 0
        assert torch.equal(graph.grad, torch.zeros(size, 3))

    @pytest.mark.parametrize("size", [0, 1])
    def test_batches_too_small_for_a_loss_give_0_with_a_gradient_path(self, size):
        x = torch.ones(size, 3, requires_grad=True)
        value = info_nce(x, x.detach(), 0.1) + uniformity(x) + alignment(x, x.detach())
        value = value + bpr(x[:0].sum(1), x[:0].sum(1))
        value.backward()
        assert value.item() == 0
        assert torch.equal(x.grad, torch.zeros(size, 3))

    @given(batches, st.booleans())
    def test_the_diagonal_is_never_a_negative(self, batch, fill):
        graph, text, allowed = batch
        mask = boolean(allowed)
        changed = mask.clone().fill_diagonal_(fill)
        before = changed.clone()
        value = symmetric_sincere(double(graph), double(text), changed, 0.2)
        assert torch.equal(value, symmetric_sincere(double(graph), double(text), mask, 0.2))
        assert torch.equal(changed, before)

    @given(batches, temperatures, st.sampled_from(ORIENTATIONS), st.randoms())
    def test_permuting_the_batch_permutes_the_row_losses(self, batch, tau, orientation, random):
        graph, text, mask = (torch.as_tensor(np.asarray(x)) for x in batch)
        order = torch.tensor(random.sample(range(len(graph)), len(graph)))
        rows = symmetric_sincere(graph, text, mask, tau, "none", orientation)
        mixed = symmetric_sincere(
            graph[order], text[order], mask[order][:, order], tau, "none", orientation
        )
        torch.testing.assert_close(mixed, rows[order])

    @given(batches, temperatures)
    def test_swapping_the_views_transposes_the_mask(self, batch, temperature):
        graph, text, mask = (torch.as_tensor(np.asarray(x)) for x in batch)
        for orientation in ("transpose", "both"):
            value = symmetric_sincere(graph, text, mask, temperature, "none", orientation)
            swapped = symmetric_sincere(text, graph, mask.T, temperature, "none", orientation)
            torch.testing.assert_close(swapped, value)
        value = symmetric_sincere(graph, text, mask, temperature)
        torch.testing.assert_close(symmetric_sincere(text, graph, mask, temperature), value)

    @given(batches, temperatures)
    def test_sincere_is_info_nce_with_fewer_negatives(self, batch, temperature):
        graph, text, mask = (torch.as_tensor(np.asarray(x)) for x in batch)
        forth = info_nce(graph, text, temperature, "none")
        back = info_nce(text, graph, temperature, "none")
        upper = (forth + back) / 2
        for orientation in ORIENTATIONS:
            rows = symmetric_sincere(graph, text, mask, temperature, "none", orientation)
            assert (rows <= upper + 1e-9).all()
        everyone = torch.ones_like(mask)
        rows = symmetric_sincere(graph, text, everyone, temperature, "none")
        torch.testing.assert_close(rows, upper)

    @given(batches, st.floats(0.01, 100))
    def test_scaling_before_normalisation_changes_nothing(self, batch, factor):
        graph, text, mask = (torch.as_tensor(np.asarray(x)) for x in batch)
        factors = factor ** torch.linspace(-1, 1, len(graph), dtype=torch.float64)[:, None]
        scaled = F.normalize(graph * factors, dim=1)
        value = symmetric_sincere(graph, text, mask, 0.1)
        torch.testing.assert_close(symmetric_sincere(scaled, text, mask, 0.1), value)

    def test_the_gradient_along_a_positive_follows_the_closed_form(self):
        given = GOLDEN["gradient"]
        z = double(oracles.unit(np.random.default_rng(0).normal(size=(6, 4))))
        tau, positive, negatives = (given[k] for k in ("temperature", "positive", "negatives"))
        rows = [positive, *negatives]
        similarity = (z[given["anchor"]] @ z[rows].T).requires_grad_()
        logits = F.pad(similarity[None] / tau, (0, 0, 0, len(rows) - 1))
        value = sincere_from_logits(logits, boolean(np.ones((len(rows), len(rows)))), "none")[0]
        value.backward()
        share = (similarity / tau).softmax(0).detach()
        assert similarity.grad[0].item() == near((share[0].item() - 1) / tau)
        assert similarity.grad[0].item() == near(given["sincere"])
        assert similarity.grad[1:].tolist() == near((share[1:] / tau).tolist())

    @pytest.mark.parametrize("orientation", ORIENTATIONS)
    def test_gradcheck(self, orientation):
        graph, text, allowed = random_batch(5, 3, 4, seed=1)
        views = [double(x).requires_grad_() for x in (graph, text)]
        mask = boolean(allowed)
        assert torch.autograd.gradcheck(
            lambda a, b: symmetric_sincere(a, b, mask, 0.3, "none", orientation), views
        )

    def test_gradcheck_of_the_others(self):
        rng = np.random.default_rng(2)
        x, y, z = (double(rng.normal(size=(4, 3))).requires_grad_() for _ in range(3))
        mask = boolean(rng.random((4, 4)) > 0.5)
        for function, inputs in (
            (lambda a, b: sincere(a, b, mask, 0.3, "none"), (x, y)),
            (lambda a, b: info_nce(a, b, 0.3, "none"), (x, y)),
            (lambda a, b, c: anchor_user_logits(a, b, c, 0.3), (x, y, z)),
            (lambda a, b: bpr(a, b, "none"), (x, y)),
            (alignment, (x, y)),
            (uniformity, (x,)),
        ):
            assert torch.autograd.gradcheck(function, inputs)

    @pytest.mark.parametrize("orientation", ORIENTATIONS)
    @pytest.mark.parametrize("held", [20 * 20, 20 * 20 - 1])
    def test_one_matrix_for_both_directions_gives_the_mean_of_the_row_losses(
        self, monkeypatch, orientation, held
    ):
        monkeypatch.setattr(fused, "_BLOCK", held)
        rng = np.random.default_rng(4)
        mask, found = boolean(rng.random((20, 20)) < 0.6), []
        for reduction in ("mean", "none"):
            views = [double(oracles.unit(rng_of.normal(size=(20, 5)))) for rng_of in rngs(2)]
            graph, text = (view.requires_grad_() for view in views)
            value = symmetric_sincere(graph, text, mask, 0.2, reduction, orientation).mean()
            value.backward()
            found.append((value.detach(), graph.grad, text.grad))
        for one, other in zip(*found, strict=True):
            assert torch.allclose(one, other, rtol=1e-12, atol=1e-14)


class TestNumerics:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("case", ["random", "equal", "opposite"])
    def test_finite_at_temperature_001_forward_and_backward(self, dtype, case):
        generator = torch.Generator().manual_seed(0)
        graph = F.normalize(torch.randn(16, 8, generator=generator), dim=1)
        text = F.normalize(torch.randn(16, 8, generator=generator), dim=1)
        if case != "random":
            graph = graph[:1].expand(16, 8)
            text = graph if case == "equal" else -graph
        graph, text = (x.to(dtype).clone().requires_grad_() for x in (graph, text))
        mask = torch.rand(16, 16, generator=generator) > 0.3
        value = symmetric_sincere(graph, text, mask, 0.01) + info_nce(graph, text, 0.01)
        logits = anchor_user_logits(text, graph, -graph, 0.01)  # |g_u + g_v| = 0 on the diagonal
        value = value + sincere_from_logits(logits, mask) + uniformity(graph)
        value = value + bpr(graph[:, 0] * 1e3, text[:, 0] * 1e3) + alignment(graph, text)
        value.backward()
        assert value.dtype == torch.float32
        assert all(torch.isfinite(x).all() for x in (value, graph.grad, text.grad))

    @pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4, 0.0])
    def test_uniformity_of_rows_that_lie_close_together(self, spread):
        generator = torch.Generator().manual_seed(0)
        offset = torch.randn(12, generator=generator)
        x = F.normalize(offset + spread * torch.randn(20, 12, generator=generator), dim=1)
        x.requires_grad_()
        uniformity(x).backward()
        exact = x.detach().double().requires_grad_()
        expected = torch.exp(-2 * torch.pdist(exact).square()).mean().log()
        expected.backward()
        assert uniformity(x).item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
        largest = exact.grad.abs().max().item()
        assert torch.allclose(x.grad.double(), exact.grad, rtol=0, atol=1e-3 * largest)

    def test_uniformity_with_a_factor_that_underflows(self):
        x = double(np.eye(3))
        assert uniformity(x, 1e4).item() == pytest.approx(-2e4)

    def test_half_precision_logits_are_those_of_float32(self):
        graph = F.normalize(torch.randn(32, 16), dim=1).bfloat16()
        text = F.normalize(torch.randn(32, 16), dim=1).bfloat16()
        mask = torch.rand(32, 32) > 0.2
        expected = symmetric_sincere(graph.float(), text.float(), mask, 0.01)
        assert torch.equal(symmetric_sincere(graph, text, mask, 0.01), expected)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(symmetric_sincere(graph, text, mask, 0.01), expected)
            value = symmetric_sincere(graph.float(), text.float(), mask, 0.01)
        assert torch.equal(value, expected)

    def test_losses_over_tables_are_those_of_float32_too(self):
        torch.manual_seed(0)
        rows, table = (F.normalize(torch.randn(32, 16), dim=1) for _ in range(2))
        place, factors = torch.arange(32), torch.rand(32, 3)
        among = info_nce_among(rows, table, place, 0.01)
        intents = intent_contrast(rows, table, factors, 3, 0.01)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(info_nce_among(rows, table, place, 0.01), among)
            assert torch.equal(intent_contrast(rows, table, factors, 3, 0.01), intents)
            assert not torch.equal(products(rows, table), rows @ table.T)  # which is rounded
        assert torch.equal(products(rows, table), rows @ table.T)
        halves = rows.bfloat16(), table.bfloat16()
        assert torch.equal(products(*halves), halves[0].float() @ halves[1].float().T)

    def test_equal_vectors_give_the_logarithm_of_the_number_of_terms(self):
        x = F.normalize(torch.ones(8, 3), dim=1)
        assert info_nce(x, x, 0.0125).item() == pytest.approx(math.log(8), abs=1e-6)

    def test_a_sure_positive_keeps_its_tiny_loss(self):
        value = bpr(torch.tensor([50.0]), torch.tensor([0.0]))
        assert value.item() == pytest.approx(math.exp(-50), rel=1e-5)


class TestErrors:
    x = torch.eye(3)
    mask = torch.ones(3, 3, dtype=torch.bool)

    @pytest.mark.parametrize("temperature", [0, -0.1, math.nan, math.inf])
    def test_temperature(self, temperature):
        with pytest.raises(ValueError, match=f"temperature is {temperature}, expected a finite"):
            symmetric_sincere(self.x, self.x, self.mask, temperature)
        with pytest.raises(ValueError, match=f"^t is {temperature}, expected a finite"):
            uniformity(self.x, temperature)

    def test_shapes(self):
        with pytest.raises(ValueError, match=r"anchor has shape \(3,\), expected \[B, d\]"):
            sincere(self.x[0], self.x, self.mask, 0.1)
        with pytest.raises(
            ValueError, match=r"text has shape \(2, 3\), expected that of graph, \(3, 3\)"
        ):
            symmetric_sincere(self.x, self.x[:2], self.mask, 0.1)
        with pytest.raises(ValueError, match=r"user has shape \(3, 2\), expected that of text"):
            anchor_user_logits(self.x, self.x[:, :2], self.x, 0.1)
        with pytest.raises(ValueError, match=r"augmented has shape \(1, 3\)"):
            info_nce(self.x, self.x[:1], 0.1)
        with pytest.raises(ValueError, match=r"logits has shape \(2, 3\), expected a square"):
            sincere_from_logits(self.x[:2], self.mask)
        with pytest.raises(ValueError, match=r"negative_score has shape \(3, 1\), .*\(3,\)"):
            bpr(torch.zeros(3), torch.zeros(3, 1))
        with pytest.raises(ValueError, match=r"y has shape \(2, 3\), expected that of x"):
            alignment(self.x, self.x[:2])
        with pytest.raises(ValueError, match=r"x has shape \(3,\), expected \[B, d\]"):
            uniformity(self.x[0])

    def test_mask(self):
        with pytest.raises(ValueError, match=r"negative_mask has shape \(2, 3\), .*\(3, 3\)"):
            sincere(self.x, self.x, self.mask[:2], 0.1)
        with pytest.raises(ValueError, match=r"dtype torch\.int64, expected torch\.bool"):
            sincere(self.x, self.x, self.mask.long(), 0.1)

    def test_names(self):
        with pytest.raises(ValueError, match="reduction is 'avg', expected 'mean', 'sum' or"):
            bpr(torch.zeros(3), torch.zeros(3), "avg")
        with pytest.raises(ValueError, match="orientation is 'row', expected 'anchor', 'trans"):
            symmetric_sincere(self.x, self.x, self.mask, 0.1, orientation="row")


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(loss)
    assert result.attempted > 0
    assert result.failed == 0
