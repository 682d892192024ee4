"""The command explain geometry, its figures against loops."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
import torch
from explain.planted import train
from page.test_html_page import check_structure

from recbole_symcere.cli import main
from recbole_symcere.explain.geometry import effective_rank, measure
from recbole_symcere.explain.geometry_plots import histograms, norm_plots, recommended, spectra
from recbole_symcere.explain.loaded_run import load_run


@pytest.fixture(scope="module")
def loaded(planted_run):
    return load_run(str(planted_run))


@pytest.fixture(scope="module")
def found(planted_run):
    return measure(str(planted_run), 10_000, 0)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def arrays(loaded):
    _, model, dataset, train_data, *_ = loaded
    users, items = (v.detach().double().numpy() for v in model.forward())
    seen = [train_data.dataset.inter_feat[f].numpy() for f in ("user_id", "item_id")]
    whole = [dataset.inter_feat[f].numpy() for f in ("user_id", "item_id")]
    return users, items, seen, whole


def test_alignment_and_uniformity(found, arrays):
    users, items, seen, _ = arrays
    distances = ((unit(users)[seen[0]] - unit(items)[seen[1]]) ** 2).sum(axis=1)
    assert found.alignment["user and item"] == pytest.approx(distances.mean(), abs=1e-5)
    rows = unit(items[1:])
    potential = [
        np.exp(-2 * ((rows[a] - rows[b]) ** 2).sum()) for a in range(len(rows)) for b in range(a)
    ]
    assert found.uniformity["items"] == pytest.approx(np.log(np.mean(potential)), abs=1e-5)
    assert (
        found.alignment["review and interaction"]
        < 1
        < found.products[("unobserved", "cosine")].size
    )


def test_pairs_are_what_they_are_called(found, arrays):
    users, items, seen, whole = arrays
    known = set(zip(*seen, strict=True))
    held_out = set(zip(*whole, strict=True)) - known
    for name, pairs in (("training", known), ("held out", held_out)):
        dots = sorted(users[u] @ items[i] for u, i in pairs)
        assert np.allclose(sorted(found.products[(name, "dot product")]), dots, atol=1e-5)
        cosines = sorted(unit(users)[u] @ unit(items)[i] for u, i in pairs)
        assert np.allclose(sorted(found.products[(name, "cosine")]), cosines, atol=1e-5)
    others = [
        unit(users)[u] @ unit(items)[i]
        for u in range(1, len(users))
        for i in range(1, len(items))
        if (u, i) not in known | held_out
    ]
    ours = np.sort(found.products[("unobserved", "cosine")])
    assert np.allclose(ours, np.sort(others), atol=1e-5)
    assert found.auc[("training", "cosine")] > 0.8
    assert found.auc[("review and its interaction", "cosine")] > 0.9


def test_norms_ranks_and_recommendations(found, arrays):
    users, items, seen, _ = arrays
    assert found.norms["users"] == pytest.approx(np.linalg.norm(users[1:], axis=1), abs=1e-5)
    assert found.counts["items"].tolist() == [(seen[1] == i).sum() for i in range(1, len(items))]
    share = np.linalg.svd(items[1:], compute_uv=False)
    share /= share.sum()
    assert found.rank["items"] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-4)
    counts = np.zeros(len(items), int)
    for user in range(1, len(users)):
        scores = unit(items) @ users[user]
        scores[[0, *seen[1][seen[0] == user]]] = -np.inf
        counts[np.argsort(-scores)[:10]] += 1
    assert found.recommended.tolist() == counts[1:].tolist()
    top = found.ranking["share of the first 10 by dot product that are first by cosine too"]
    by_hand = []
    for user in range(1, len(users)):
        dots = items[1:] @ users[user]
        first = set(np.argsort(-dots)[:10])
        by_hand.append(len(first & set(np.argsort(-(unit(items[1:]) @ users[user]))[:10])) / 10)
    assert top == pytest.approx(np.mean(by_hand))


def test_effective_rank():
    assert effective_rank(torch.ones(5, 3)) == pytest.approx(1)
    assert effective_rank(torch.eye(6)[:, :3] * 7) == pytest.approx(3)


def test_the_page(planted_run, tmp_path):
    assert (
        main(["explain", "geometry", f"--run={planted_run}", f"--out={tmp_path}", "--n=100"]) == 0
    )
    text = (tmp_path / "geometry.md").read_text()
    pictures = re.findall(r"\]\((.*?)\)", text)
    assert len(pictures) == 7
    assert all((tmp_path / name).stat().st_size > 2000 for name in pictures)
    told = json.loads((tmp_path / "geometry.json").read_text())
    assert told["normalised"] is True
    assert told["largest_logit"][1] <= 5.001  # 1 / temperature
    assert "nothing bounds that logit" not in text
    check_structure((tmp_path / "geometry.html").read_text())


def drawn_texts(picture):
    root = ET.fromstring(picture.content)
    return ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_noise_of_a_spectrum_is_cut_off(found):
    values = np.array([0.5, 0.3, 0.2, 1e-9, 1e-12])
    picture = spectra(replace(found, spectrum={"users": values}))
    ticks = [float(x) for x in drawn_texts(picture) if re.fullmatch(r"[\d.e-]+", x)]
    assert min(ticks) >= 0.01 or min(ticks) in {1, 2, 3}
    assert "users" in drawn_texts(picture)  # beside its line
    assert "those below 0.001 of the largest are left out" in picture.caption


def test_histograms_count_pairs_and_no_tick_is_a_power(found):
    for picture in [*histograms(found), *norm_plots(found), recommended(found)]:
        texts = drawn_texts(picture)
        assert not any("\u00d7" in text or "$" in text or "^" in text for text in texts)
    texts = drawn_texts(histograms(found)[0])
    counted = {name: len(found.products[name, "cosine"]) for name in ("training", "unobserved")}
    assert {f"{name} ({n:,})" for name, n in counted.items()} <= {*texts}
    heights = [x.replace(",", "") for x in texts[texts.index("cosine of user and item") + 1 :]]
    heights = heights[: heights.index("pairs")]
    assert heights
    assert all(height.isdigit() for height in heights)


def test_a_run_without_normalisation_and_one_without_text(small, tmp_path, capsys):
    path = train(tmp_path / "raw", small, l2_normalize=False, epochs=3)
    assert main(["explain", "geometry", f"--run={path}"]) == 0
    assert "nothing bounds that logit" in (path / "explain/geometry/geometry.md").read_text()
    path = train(
        tmp_path / "ngcf", small, l2_normalize=False, epochs=1, backbone="NGCF",
        hidden_size_list=[8, 4],
    )  # fmt: skip
    assert main(["explain", "geometry", f"--run={path}"]) == 0
    assert "only layer 0 can grow" in (path / "explain/geometry/geometry.md").read_text()
    told = json.loads((path / "explain/geometry/geometry.json").read_text())["lengths"]
    assert told["layer 1"] == told["layer 2"] == pytest.approx(1, abs=1e-5)
    assert 0 < told["layer 0"] < 1
    assert told["reviews"] > 0
    path = train(tmp_path / "graph", small, model="SimGCL", epochs=1)
    assert main(["explain", "geometry", f"--run={path}"]) == 0
    assert "review" not in (path / "explain/geometry/geometry.md").read_text()
    path = train(tmp_path / "none", small, model="Pop", epochs=1)
    capsys.readouterr()
    assert main(["explain", "geometry", f"--run={path}"]) == 2
    assert "Pop, which doesn't score by one vector per user and item" in capsys.readouterr().err
