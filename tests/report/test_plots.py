"""What is drawn: every arm named and told apart, no text over another or cut off, divergence shown."""

import functools
import io
import itertools
import xml.etree.ElementTree as ET
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from jaxlab import report, verdict
from jaxlab.report import check
from jaxlab.report.best_of import best_of
from jaxlab.report.focus import near
from jaxlab.report.forest import final_metric
from jaxlab.report.learning_curves import learning_curves
from jaxlab.report.plots import figures, to_png, to_svg
from jaxlab.report.reading import ranked
from jaxlab.report.sensitivity import sensitivity
from jaxlab.report.shown import BEST, looks, shown_arms
from jaxlab.report.slices import slices
from jaxlab.report.style import FAINT, fit, styles, text_width

CASES = {
    "two": {"arms": 2},
    "seven": {},
    "twelve": {"arms": 12},
    "one seed": {"seeds": 1},
    "two seeds": {"seeds": 2, "arms": 4},
    "diverged": {"lost": {"adagrad": 2, "lion": 5}},
    "loss with one far off": {"loss": True, "far": ("sgd",)},
    "twenty rates": {"rates": 20, "arms": 3},
    "all that may be told": {"board": "one-knob"},
    "full board": {"board": "full", "rates": 16, "arms": 6},
}


def large(study, board="one-knob"):
    """A study of more arms than plots of lines show: those of twelve, and three copies that are a little worse."""
    results = study(arms=12, rates=4, board=board, lost={"adagrad": 2})
    for arm in results["arms"][:3]:
        copy = deepcopy(arm)
        copy["name"] += "_again"
        copy["report"]["test"] = np.asarray(copy["report"]["test"]) - 0.001
        copy["report"]["mean"] = float(np.mean(copy["report"]["test"]))
        copy["report"]["interval"] = verdict.t_interval(copy["report"]["test"])
        results["arms"].append(copy)
    tests = {arm["name"]: arm["report"]["test"] for arm in results["arms"]}
    results["comparisons"] = [vars(found) for found in verdict.comparisons(tests, higher_is_better=True)]
    return check(results)


class Drawn(NamedTuple):
    """A study's plots, and every text of each with its box."""

    results: report.Results
    figures: dict[str, Figure]
    boxes: dict[str, list[tuple[str, Bbox]]]

    def texts(self, name):
        return {text for text, _ in self.boxes[name]}


@pytest.fixture(scope="module")
def draw(study):
    """Draws a case once for all tests."""

    @functools.cache
    def drawn(case):
        results = check(study(**CASES[case]))
        found = figures(results)
        return Drawn(results, found, {name: text_boxes(figure) for name, figure in found.items()})

    return drawn


@pytest.fixture(scope="module")
def drawn_large(study):
    results = large(study)
    found = figures(results)
    return Drawn(results, found, {name: text_boxes(figure) for name, figure in found.items()})


def text_boxes(figure):
    """Every text that is drawn, with its box in pixels; ticks beyond the axis are not drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not (low <= tick.get_loc() <= high and tick.label1.get_visible()):
                    hidden |= {id(tick.label1)}
                hidden |= {id(tick.label2)}
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and id(text) not in hidden]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]


@pytest.mark.parametrize("case", CASES)
def test_no_text_touches_another_or_leaves_the_figure(case, draw):
    drawn = draw(case)
    check_room(drawn.figures, drawn.boxes)


def test_no_text_of_a_large_study_touches_another(drawn_large):
    check_room(drawn_large.figures, drawn_large.boxes)


def check_room(drawn, boxes):
    """No text over another, none cut off."""
    for name, found in boxes.items():
        width, height = drawn[name].canvas.get_width_height()
        for text, box in found:
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            assert inside, (name, text, box.extents)
        for (one, a), (other, b) in itertools.combinations(found, 2):
            overlap = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            # A box has the room of ascenders and descenders: a pixel of overlap is no touch.
            assert min(overlap) < 1.5, (name, one, other, overlap)


@pytest.mark.parametrize("case", ["twelve", "all that may be told", "full board"])
def test_every_arm_is_named_in_every_plot(case, draw):
    drawn = draw(case)
    best = ranked(drawn.results)[0]["name"]
    for name in drawn.figures:
        missing = {arm["name"] for arm in drawn.results["arms"]} - drawn.texts(name)
        # Differences are those from the best arm, which the axis names.
        assert missing == ({best} if name == "differences" else set())


def test_a_large_study_names_its_best_arms_and_all_in_one_plot(study, drawn_large):
    results, _, boxes = drawn_large
    best = {arm["name"] for arm in ranked(results)[:BEST]}
    others = {arm["name"] for arm in results["arms"]} - best
    drawn = {name: {text for text, _ in found} for name, found in boxes.items()}
    full = slices(large(study, "full"))
    assert full is not None
    drawn["slices"] = {text.get_text() for text in full.findobj(Text)}
    assert best | others <= drawn.pop("final")
    assert len(best & drawn.pop("differences")) == BEST - 1
    for name, texts in drawn.items():
        assert best <= texts, name
        assert not others & texts, name


def test_arms_of_a_large_study_that_are_shown_have_a_colour_each(study, drawn_large):
    results = drawn_large.results
    look, best = looks(results), [arm["name"] for arm in shown_arms(results)]
    assert len({look[name].color for name in best}) == len(best) == BEST
    assert {style.color for name, style in look.items() if name not in best} == {FAINT}
    few = check(study(arms=12, rates=4))
    assert looks(few) == styles([arm["name"] for arm in few["arms"]])


def test_axes_are_named_with_units(draw):
    expected = {
        "final": ["test accuracy (% correct)"],
        "differences": ["test accuracy minus that of adamw (points)"],
        "curves": ["validation accuracy (% correct)", "training step"],
        "sensitivity": ["validation accuracy (% correct)", "learning rate (log scale)"],
        "best_of": ["expected best validation accuracy (% correct)", "trials of a search"],
    }
    drawn = draw("all that may be told")
    assert list(drawn.figures) == list(expected)
    for name, words in expected.items():
        assert set(words) <= drawn.texts(name)
    words = {"validation accuracy (% correct)", "learning rate", "b1", "weight decay", "smoothing"}
    assert words <= draw("full board").texts("slices")


def test_arms_differ_without_colour():
    looks = styles([f"arm{i}" for i in range(12)]).values()
    assert len({(look.marker, str(look.dash)) for look in looks}) == 12
    assert len({look.marker for look in looks}) == 12


def test_styles_belong_to_the_arm_and_not_to_its_rank(study):
    assert styles(["a", "b"])["b"] == styles(["a", "b", "c"])["b"]


def test_diverged_runs_are_named(draw):
    for name in ("final", "differences"):
        assert {"2 of 5 diverged", "5 of 5 diverged"} <= draw("diverged").texts(name)


def test_a_mean_line_ends_where_the_first_seed_diverges(study):
    results = check(study(arms=3, lost={"sgd": 1}))
    axes = learning_curves(results).axes[0]
    steps = results["arms"][0]["curves"]["steps"]
    lost_at = results["arms"][0]["curves"]["validation"][0].index(None)
    last = [line.get_xdata()[-1] for line in axes.lines if len(line.get_xdata()) > 3]
    assert sorted(last) == [steps[lost_at - 1], steps[-1], steps[-1]]


def test_means_and_intervals_are_drawn_where_they_are(study):
    results = check(study(arms=2))
    figure = final_metric(results)
    assert figure is not None
    drawn = [tuple(np.round(line.get_xdata(), 6)) for line in figure.axes[0].lines]
    for arm in results["arms"]:
        assert tuple(np.round(100 * np.array(arm["report"]["interval"], float), 6)) in drawn
        assert (np.round(100 * (arm["report"]["mean"] or 0.0), 6),) in drawn


def test_best_is_first(study):
    for loss in (False, True):
        results = check(study(loss=loss))
        figure = final_metric(results)
        assert figure is not None
        heights = {text: box.y0 for text, box in text_boxes(figure)}
        means = {arm["name"]: arm["report"]["mean"] for arm in results["arms"]}
        by_mean = sorted(means, key=lambda name: means[name] or 0.0, reverse=not loss)
        assert sorted(means, key=lambda name: -heights[name]) == by_mean


def test_plots_that_would_be_empty_are_left_out(study):
    assert "differences" not in figures(check(study(arms=1)))
    all_lost = figures(check(study(arms=2, lost={"sgd": 5, "momentum": 5})))
    assert list(all_lost) == ["curves", "sensitivity"]


def test_every_trial_is_in_every_slice(study):
    results = study(arms=2, board="full", rates=16)
    figure = slices(check(results))
    assert figure is not None
    arm = results["arms"][1]
    means = 100 * np.array(arm["tuning"]["validation"], float).mean(axis=1)
    best = int(np.nanargmax(means))
    panels = figure.axes
    # sgd varies two, momentum five: columns learning rate and b1 of both, then three of momentum, in two blocks.
    assert len(panels) == 7
    for name, axes in zip(("b1", "b2"), (panels[3], panels[4]), strict=True):
        dots = axes.lines[0]
        np.testing.assert_allclose(dots.get_ydata(), means)
        np.testing.assert_allclose(1.0 - 10.0 ** -np.asarray(dots.get_xdata()), arm["tuning"]["points"][name])
        ring = axes.lines[-1]
        assert ring.get_ydata()[0] == pytest.approx(means[best])
    lost = panels[1].lines[2]
    assert lost.get_marker() == "x"
    assert len(lost.get_xdata()) == int(np.isnan(means).sum()) > 0


def test_one_hyperparameter_has_curves_and_several_have_slices(study):
    assert slices(check(study(arms=2))) is None
    assert slices(check(study(arms=2, board="one-knob"))) is None
    assert sensitivity(check(study(arms=2, board="full"))) is None


def test_best_of_k_is_drawn_from_the_file(study):
    results = study(arms=2, board="one-knob")
    results["arms"][0]["measures"]["best_of"] = [None, 0.8, 0.9, 0.95]
    results["arms"][1]["measures"]["best_of"] = [0.7, 0.85, 0.9, 0.92]
    figure = best_of(check(results))
    assert figure is not None
    sgd, momentum = figure.axes[0].lines[:2]
    np.testing.assert_allclose(sgd.get_ydata(), [np.nan, 80.0, 90.0, 95.0])
    np.testing.assert_allclose(momentum.get_ydata(), [70.0, 85.0, 90.0, 92.0])
    assert sgd.get_xdata().tolist() == [1, 2, 3, 4]
    for arm in results["arms"]:
        arm["measures"]["best_of"] = [None] * 4
    assert best_of(check(results)) is None


def test_an_arm_that_never_finished_has_a_cross_in_best_of_k(study):
    results = study(arms=2, board="one-knob")
    results["arms"][0]["measures"]["best_of"] = [None, None]
    results["arms"][1]["measures"]["best_of"] = [0.7, 0.8]
    figure = best_of(check(results))
    assert figure is not None
    assert [line.get_marker() for line in figure.axes[0].lines].count("x") == 1


def test_a_widened_grid_shades_its_first_range_and_is_drawn_in_order(study):
    results = check(study(arms=2))
    tuning = results["arms"][0]["tuning"]
    values = tuning["values"]
    # A search of the lower five found its largest value best and went on beyond it; the order of trials is anyone's.
    tuning["values"], tuning["chosen"] = values[::-1], values[-1]
    tuning["validation"] = [[0.9 + 0.001 * value] * 3 for value in values[::-1]]
    tuning |= {"widened": 3, "asked": [values[0], values[4]], "edges": ["learning_rate"]}
    figure = sensitivity(results)
    assert figure is not None
    first, second = figure.axes
    (shade,) = first.patches
    assert [shade.get_x(), shade.get_x() + shade.get_width()] == pytest.approx([values[0], values[4]])
    assert not second.patches
    drawn = next(line for line in first.lines if line.get_marker() == "o" and line.get_linestyle() == "-")
    np.testing.assert_array_equal(drawn.get_xdata(), values)
    assert first.get_title("right").endswith(", not tuned")
    assert "not tuned" not in second.get_title("right")


def test_a_band_holds_the_mean_of_the_selection_seeds(study):
    results = check(study(arms=1))
    figure = sensitivity(results)
    assert figure is not None
    seeds = 100 * np.array(results["arms"][0]["tuning"]["validation"], float)
    edges = figure.axes[0].collections[0].get_paths()[0].vertices
    for value, scores in zip(results["arms"][0]["tuning"]["values"], seeds, strict=True):
        if np.isfinite(scores).all():
            at = edges[np.isclose(edges[:, 0], value), 1]
            # Of three seeds a 95% band of the mean reaches nearly from the lowest to the highest.
            assert scores.min() - 1e-9 <= at.min() <= scores.mean() <= at.max() <= scores.max() + 1e-9


def test_a_far_arm_does_not_flatten_the_others():
    finals = np.array([0.10, 0.97, 0.975, 0.96, np.nan])
    assert near(finals, higher_is_better=True).tolist() == [False, True, True, True, False]
    assert near(-finals, higher_is_better=False).tolist() == [False, True, True, True, False]
    # Twice as far as the seeds scatter is not far, however close the others are.
    assert near(np.array([0.970, 0.9701, 0.96]), 0.005, higher_is_better=True).all()
    assert not near(np.array([np.nan, np.nan]), higher_is_better=True).any()


def test_svg_is_whole_and_the_same_every_time(study):
    results = check(study(arms=2))
    first, second = (to_svg(final_metric(results)) for _ in range(2))
    assert first == second
    assert ET.fromstring(first).tag.endswith("svg")


def test_png_is_opaque(study):
    image = imread(io.BytesIO(to_png(final_metric(check(study(arms=2))), dpi=60)))
    assert image[..., -1].min() == 1.0


def test_global_state_is_left_alone(study):
    before = dict(mpl.rcParams)
    to_svg(figures(check(study(arms=2)))["final"])
    assert dict(mpl.rcParams) == before
    for source in Path(report.__file__).parent.glob("*.py"):
        assert "pyplot" not in source.read_text(encoding="utf-8")


def test_long_names_are_cut_and_dollars_are_no_maths():
    cut = fit("$x^2$" + "long" * 20, 1.0)
    assert text_width(cut) <= 1.0
    assert r"\$x" in cut
    assert "..." in cut
