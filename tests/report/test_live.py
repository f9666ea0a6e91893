"""A plot that is drawn while a run goes on: what it says, and how seldom it draws."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from jaxlab.report import LivePlot, live


@pytest.fixture
def clock(monkeypatch):
    found = SimpleNamespace(now=100.0)
    monkeypatch.setattr(live.time, "perf_counter", lambda: found.now)
    return found


@pytest.fixture
def shown(monkeypatch):
    """What a notebook is given to show, the place of the first named."""
    images = []
    notebook = ModuleType("IPython.display")
    notebook.Image = lambda data: data
    notebook.display = lambda image, display_id: (
        images.append(("new", image)) or SimpleNamespace(update=lambda image: images.append(("again", image)))
    )
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    return images


def plot():
    return LivePlot("bits", "bits a byte", steps=10, per_step=64, rate="tokens a second")


def test_it_draws_in_one_place_every_other_second(clock, shown):
    live_plot = plot()
    live_plot.show()
    told = live_plot.line("one")
    for step in range(1, 9):
        clock.now += 0.6
        told(step, {"bits": 8.0 - step})
    assert [how for how, _ in shown] == ["new", "again", "again"]
    live_plot.draw()
    assert len(shown) == 4
    assert all(image.startswith(b"\x89PNG") for _, image in shown)


def test_without_a_place_nothing_is_drawn(clock, shown):
    live_plot = plot()
    live_plot.line("one")(1, {"bits": 1.0})
    live_plot.draw()
    assert shown == []


def test_its_lines_are_what_was_told(clock):
    """Two stretches of a run, four steps a second and two, of 64 tokens each."""
    live_plot = plot()
    assert np.isnan(live_plot.median_rate)
    for label, steps, seconds in (("before", range(1, 5), 0.25), ("after", range(5, 11), 0.5)):
        told = live_plot.line(label)
        for step in steps:
            clock.now += seconds
            told(step, {"bits": 1.0 / step, "loss": 9.0})
    assert live_plot.values("before") == [1.0, 1 / 2, 1 / 3, 1 / 4]
    assert live_plot.median_rate == pytest.approx(128.0)
    value, speed = live_plot.figure().axes
    assert [line.get_label() for line in value.lines] == ["before", "after"]
    np.testing.assert_allclose(value.lines[1].get_xydata()[:, 0], range(5, 11))
    np.testing.assert_allclose(speed.lines[0].get_xydata(), [[2, 256], [3, 256]])
    np.testing.assert_allclose(speed.lines[1].get_xydata()[:, 1], 128)
    assert value.get_xlim() == (0, 10)


def test_the_last_two_steps_come_together(clock):
    """Metrics are fetched one step late, but at the end there is nothing to wait for."""
    live_plot = plot()
    told = live_plot.line("one")
    for step, seconds in enumerate((1.0, 1.0, 1.0, 1e-6), start=1):
        clock.now += seconds
        told(step, {"bits": 1.0})
    assert live_plot.figure().axes[1].lines[0].get_ydata().tolist() == [64.0, 64.0]


def test_a_label_belongs_to_one_line():
    live_plot = plot()
    live_plot.line("one")
    with pytest.raises(ValueError, match="label = 'one': accepted is one that no other line has"):
        live_plot.line("one")
    with pytest.raises(ValueError, match="steps = 0"):
        LivePlot("bits", "bits a byte", steps=0, per_step=1, rate="tokens a second")
