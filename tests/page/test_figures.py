"""Figures that are read: ticks, whole numbers, names without overlaps, colours for every eye."""

import itertools
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from recbole_symcere.page.figures import (
    COLOURS,
    GREY,
    INK,
    Estimate,
    count_axis,
    counts,
    drawing,
    estimates,
    forest,
    key,
    label_ends,
    log_ticks,
    png,
    svg,
    whole_numbers,
)

GROUNDS = ("#ffffff", "#f6f7f9", "#15171b", "#1e2127")  # of pages, light and dark


def linear(colour):
    values = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG's."""
    light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (one, other))
    return light[1] / light[0]


@pytest.mark.parametrize("colour", [*COLOURS, GREY])
def test_colours_are_seen_on_light_and_dark_pages(colour):
    assert min(contrast(colour, ground) for ground in GROUNDS) > 3.5


# Machado, Oliveira and Fernandes (2009), severity 1
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.052]],
    "deutan": [[0.3673, 0.8606, -0.2279], [0.2801, 0.6727, 0.0472], [-0.0118, 0.0429, 0.9689]],
}


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_first_three_colours_differ_for_every_eye(kind):
    def seen(colour):
        return np.clip(BLINDNESS[kind] @ linear(colour), 0, 1) ** (1 / 2.2)

    pairs = [*itertools.combinations(COLOURS[:3], 2), *((c, GREY) for c in COLOURS[:2])]
    for one, other in pairs:
        assert np.abs(seen(one) - seen(other)).max() > 0.25


def texts(content):
    root = ET.fromstring(content)
    return ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_svg_follows_the_window_and_is_the_same_each_time():
    def drawn():
        with drawing(3, 2) as (figure, axes):
            axes.plot([0, 1], [0, 1])
            axes.set_xlabel("epoch")
            return svg(figure)

    content = drawn()
    assert content == drawn()
    text = content.decode()
    assert "epoch" in texts(content)
    assert "currentColor" in text
    assert "prefers-color-scheme:dark" in text
    assert INK not in text
    assert "DejaVu" not in text
    assert "<!--" not in text
    assert "#ffffff" not in text  # no ground of its own
    assert png_of().startswith(b"\x89PNG")


def png_of():
    with drawing(3, 2) as (figure, axes):
        axes.plot([0, 1])
        return png(figure)


@pytest.mark.parametrize("hostile", ["<script>x</script>", "a--> <b>", "$x$ & y", '"><img src=x>'])
def test_hostile_labels_are_text(hostile):
    with drawing(4, 3) as (figure, axes):
        estimates(axes, [(hostile, [Estimate(1, 0, 2)])], [COLOURS[0]])
        key(figure, [(hostile, COLOURS[0])])
        figure.draw_without_rendering()
        label_ends(axes, [(0.0, hostile, COLOURS[0])])
        content = svg(figure)
    assert texts(content).count(hostile) == 3
    kinds = {one.tag.rpartition("}")[2] for one in ET.fromstring(content).iter()}
    assert not kinds & {"script", "img", "b", "image", "foreignObject"}


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    with drawing(3, 2):
        assert matplotlib.rcParams["svg.fonttype"] == "none"
    assert dict(matplotlib.rcParams) == before


def ticks_of(axis):
    axis.axes.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    return [t.label1.get_text() for t in axis.get_major_ticks() if low <= t.get_loc() <= high]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 900, ["1", "10", "100", "1,000"]),
        (2, 40, ["3", "10", "30"]),
        (2, 60_000, ["10", "100", "1,000", "10,000", "100,000"]),
        (4, 7, ["4", "5", "6", "7"]),
    ],
)
def test_ticks_of_counts_are_written_in_full(low, high, expected):
    with drawing(4, 3) as (_, axes):
        axes.plot([low, high], [1, 2])
        count_axis(axes.xaxis, [low, high])
        found = ticks_of(axes.xaxis)
        axes.figure.draw_without_rendering()
        minor = [t.label1.get_text() for t in axes.xaxis.get_minor_ticks()]
    assert found == expected
    assert not any(minor)


def test_ticks_of_small_numbers_are_no_powers():
    with drawing(4, 3) as (_, axes):
        axes.plot([1, 2], [0.0006, 0.2])
        log_ticks(axes.yaxis, 0.0006, 0.2)
        found = ticks_of(axes.yaxis)
    assert found
    assert all(float(text) for text in found)
    assert not any("\u00d7" in text or "^" in text or "$" in text for text in found)


def test_values_that_are_all_one_power_of_ten_have_an_axis():
    with drawing(4, 3) as (_, axes):
        axes.plot([10, 10], [1, 2])
        count_axis(axes.xaxis, [10, 10])
        found = ticks_of(axes.xaxis)
    assert "10" in found


@pytest.mark.parametrize("last", [1, 2, 5, 30, 400])
def test_ticks_of_epochs_are_whole_numbers(last):
    with drawing(1.9, 1.5) as (_, axes):
        axes.plot(range(last + 1), np.zeros(last + 1))
        whole_numbers(axes.xaxis)
        found = ticks_of(axes.xaxis)
    assert len(found) >= 2
    assert len(set(found)) == len(found)
    assert all(text.lstrip("\u2212-").replace(",", "").isdigit() for text in found)


def test_histograms_count_whole_things():
    values = np.random.default_rng(0).integers(3, 90, 500)
    edges = np.arange(2.5, 90, 3)
    with drawing(4, 3) as (_, axes):
        counts(axes, values, edges)
        heights = [bar.get_height() for bar in axes.patches]
        found = ticks_of(axes.yaxis)
    assert sum(heights) == 500
    assert all(height == int(height) for height in heights)
    assert all(text.replace(",", "").isdigit() for text in found)


def test_inline_ink_is_that_of_the_text_around_it():
    with drawing(4, 3) as (figure, _):
        alone, inline = svg(figure), svg(figure, inline=True)
    assert b"prefers-color-scheme" in alone
    assert b"<style" not in inline.split(b"<defs>")[0]
    assert b"prefers-color-scheme" not in inline
    assert b"currentColor" in inline


def test_a_forest_has_a_dot_and_an_interval_for_each_row_in_its_colour():
    rows = [("a" * 50, Estimate(3.0, 1.0, 5.0), "red"), ("b", Estimate(-1.0, -2.0, 0.0), "blue")]
    with forest(rows, "change, %", [("best", "red")]) as figure:
        (axes,) = figure.axes
        drawn = {
            (line.get_color(), *line.get_xdata()): set(line.get_ydata()) for line in axes.lines
        }
        labels = [text.get_text() for text in axes.get_yticklabels()]
    assert drawn["red", 1.0, 5.0] == drawn["red", 3.0] == {0}
    assert drawn["blue", -2.0, 0.0] == drawn["blue", -1.0] == {1}
    assert labels == ["a" * 33 + "\u2026", "b"]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_names_at_the_ends_of_lines_do_not_overlap(scale):
    heights = [0.1, 0.1001, 0.1002, 0.5, 0.9]
    with drawing(5, 3) as (figure, axes):
        axes.set_yscale(scale)
        axes.plot([0, 1], [0.1, 0.9])
        figure.draw_without_rendering()
        label_ends(axes, [(y, f"line {n}", COLOURS[n]) for n, y in enumerate(heights)], [1] * 5)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in axes.texts]
        assert [text.get_text() for text in axes.texts] == [f"line {n}" for n in range(5)]
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)
        assert all(b.x0 >= axes.get_window_extent().x1 for b in boxes)
        assert all(b.x1 <= figure.bbox.x1 for b in boxes)
        middles = [box.y0 for box in boxes]
    assert middles == sorted(middles)  # in the order of the lines


def test_an_estimate_is_a_dot_on_its_interval():
    rows = [("a", [Estimate(1.0, 0.5, 2.0), None]), ("b", [Estimate(3, 2, 4), Estimate(0, -1, 1)])]
    with drawing(4, 3) as (_, axes):
        estimates(axes, rows, COLOURS[:2])
        bars = [line.get_xdata().tolist() for line in axes.lines if len(line.get_xdata()) == 2]
        dots = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        names = [text.get_text() for text in axes.get_yticklabels()]
    assert (bars, dots) == ([[0.5, 2.0], [2, 4], [-1, 1]], [1.0, 3, 0])
    assert names == ["a", "b"]
