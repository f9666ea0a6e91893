"""Every loss against frozen float64 values and gradients of PyTorch's own, or of a few lines in PyTorch."""

import functools
import json
import pathlib

import jax
import numpy as np
import pytest

from jaxlab import losses

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_losses.json").read_text())
CASES = {f"{name}-{n}": (name, case) for name in TORCH if name != "torch" for n, case in enumerate(TORCH[name])}


def smooth_l1(outputs, targets, beta, **options):
    return losses.huber(outputs, targets, beta, **options) / beta


def multi_margin(outputs, targets, **options):
    return losses.multiclass_hinge(outputs, targets, form="weston_watkins", **options) / outputs.shape[-1]


def z_loss(outputs, _, **options):
    return losses.z_loss(outputs, **options)


# PyTorch's names for jaxlab's losses, and what has no targets.
ELSEWHERE = {
    "crammer_singer": functools.partial(losses.multiclass_hinge, form="crammer_singer"),
    "multi_margin": multi_margin,
    "smooth_l1": smooth_l1,
    "z_loss": z_loss,
}


def narrow(numbers):
    """A list as float32, unless it holds whole numbers; anything else as it is."""
    if not isinstance(numbers, list):
        return numbers
    array = np.array(numbers)
    return array.astype(np.float32) if array.dtype == float else array


@pytest.mark.parametrize(("name", "case"), CASES.values(), ids=CASES)
def test_values_and_gradient(name, case):
    loss = ELSEWHERE[name] if name in ELSEWHERE else losses.get(name).function
    outputs, targets = narrow(case["outputs"]), narrow(case["targets"])
    options = {key: narrow(value) for key, value in case["options"].items()}
    for reduction in ("mean", "sum", "none"):
        found = loss(outputs, targets, **options, reduction=reduction)
        np.testing.assert_allclose(found, case[reduction], rtol=1e-6)
    slopes = jax.jit(jax.grad(functools.partial(loss, **options)))(outputs, targets)
    # A gradient is a difference, so what it loses where the two agree is measured by its largest entry.
    np.testing.assert_allclose(slopes, case["gradient"], rtol=1e-6, atol=1e-6 * np.abs(slopes).max())


def test_every_loss_is_here():
    # scikit-learn has the hinge; both forms of the multi-class one are here by their own names.
    assert set(losses.names()) - set(TORCH) == {"hinge", "multiclass_hinge"}
