"""The coordinate check sees what the theory of wide networks says."""

import dataclasses

import numpy as np
import pytest

from experiments import coordinate_check
from jaxlab import report

SMALL = coordinate_check.Config(widths=(16, 64), coordinate_steps=3, steps=2, points=2, seeds=2)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("coordinate_check") / "out"
    coordinate_check.run(coordinate_check.prepare(dataclasses.replace(SMALL, out=out)))
    return report.load(out)


def test_the_standard_parametrization_moves_wide_layers_further(results):
    """Adam moves each of n weights into a unit by as much and in agreement: the sum grows."""
    values = {number["name"]: number["value"] for number in results["numbers"]}
    for layer in ("second hidden layer", "logits"):
        assert values[f"standard, {layer}"] > values[f"mup, {layer}"] + 0.15
    assert len(values) == 2 * (len(coordinate_check.LAYERS) + 2)


def test_slopes_are_those_of_a_power_law():
    widths = (2, 4, 8)
    powers = np.array([[0.5, -1.0], [0.0, 2.0]])
    coordinates = 3.0 * np.array(widths)[:, None, None] ** powers
    np.testing.assert_allclose(coordinate_check.slopes(coordinates, widths), powers, atol=1e-12)


def test_drift_and_regret_of_known_losses():
    # Two widths, three rates, one seed: the best rate goes one up; with the old one half a nat is lost.
    losses = np.array([[[1.0], [2.0], [3.0]], [[1.5], [1.0], [np.inf]]])
    assert coordinate_check.drift(losses).tolist() == [1.0]
    assert coordinate_check.regret(losses).tolist() == [0.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": (64,)}, "widths = .*: accepted are at least two"),
        ({"widths": (64, 32)}, "widths = .*: accepted are at least two"),
        ({"optimizer": "adan"}, "optimizer = 'adan': unknown"),
        ({"points": 1}, "points = 1"),
        ({"points": 2000}, "points = 2000: accepted is .* at most 99"),
        ({"widths": (64, 10**12)}, "widths = 1000000000000: accepted is .* at most 65536"),
        ({"seeds": 1}, "seeds = 1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        coordinate_check.prepare(dataclasses.replace(SMALL, out=tmp_path / "out", **change))
    assert not (tmp_path / "out").exists()
