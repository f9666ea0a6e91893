"""Adaptive optimizers beside PyTorch packages: where these follow the paper jaxlab equals them, elsewhere it is said.

The numbers were written by tests/data/make_torch_adaptive.py, which names the packages, in float64.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers, regularizers

TRACES = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_adaptive.json").read_text())
RUNS = {f"{run['optimizer'].split('.')[-1]} {i}": run for i, run in enumerate(TRACES["runs"])}

pytestmark = pytest.mark.usefixtures("x64")


def _rate(step):
    return jnp.where(step < TRACES["halved_at"], TRACES["rate"], TRACES["rate"] / 2)


def _discrepancy(
    tx, run: dict, start=TRACES["start"], gradients=TRACES["gradients"], begin=lambda state: state
) -> float:
    """The largest relative error of any parameter after any step."""

    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        return (params + updates, state), params + updates

    start = jnp.asarray(start)
    _, trajectory = jax.jit(lambda g: jax.lax.scan(step, (start, begin(tx.init(start))), g))(jnp.asarray(gradients))
    return float(np.max(np.abs(np.asarray(trajectory) / np.asarray(run["parameters"]) - 1)))


def _numbers(betas, **further):
    return {f"b{i + 1}": b for i, b in enumerate(betas)} | further


SHORT = _numbers([0.8, 0.95])
RATE = TRACES["rate"]

SAID_HERE = {
    "AdaBelief 0": lambda: optimizers.adabelief(_rate),
    "AdaBelief 1": lambda: optimizers.adabelief(_rate, **SHORT, eps=1e-3, weight_decay=0.1),
    "Yogi 2": lambda: optimizers.yogi(_rate, initial_accumulator=0.0),
    "LaProp 4": lambda: optimizers.laprop(RATE),
    "LaProp 5": lambda: optimizers.laprop(RATE, **SHORT, eps=1e-3),
    "Adopt 7": lambda: optimizers.adopt(_rate),
    "Adopt 8": lambda: optimizers.adopt(_rate, **SHORT, eps=0.1, clip_power=None),
    "Adan 10": lambda: optimizers.adan(_rate),
    "Adan 11": lambda: optimizers.adan(_rate, **_numbers([0.9, 0.7, 0.95]), eps=1e-3, weight_decay=0.1),
    # The package's default decay, as the paper's, is a proximal step.
    "Adan 12": lambda: regularizers.proximal_elastic_net(optimizers.adan(_rate), 0.1, l1_ratio=0.0),
    "AdEMAMix 13": lambda: optimizers.ademamix(_rate),
    "AdEMAMix 14": lambda: optimizers.ademamix(
        _rate, **_numbers([0.8, 0.95, 0.99]), alpha=5.0, eps=1e-3, alpha_warmup=8.0, b3_warmup=8.0
    ),
    "Lamb 17": lambda: optimizers.lamb(_rate, weight_decay=0.01),
    "Lamb 18": lambda: optimizers.lamb(_rate, **SHORT, eps=1e-3, weight_decay=0.1),
    # Without decay the package leaves a leaf unscaled, as the authors do what decay spares.
    "Lamb 19": lambda: optimizers.lamb(_rate, **SHORT, eps=1e-3, weight_decay=0.1, decay_mask=[("", False)]),
    "Mars 15": lambda: optimizers.mars(_rate),
    "Lars 20": lambda: optimizers.lars(_rate, momentum=0.9, weight_decay=0.1, trust_coefficient=0.02, eps=1e-3),
    "SignSGD 21": lambda: optimizers.sign_descent(_rate),
    "SignSGD 22": lambda: optimizers.sign_descent(_rate, momentum=0.6),
    "SM3 23": lambda: optimizers.sm3(_rate, momentum=None),
    "SM3 24": lambda: optimizers.sm3(_rate, momentum=0.6),
}
DIFFERS = ("Yogi 3", "LaProp 6", "Adopt 9", "Mars 16")


@pytest.mark.parametrize("run", SAID_HERE)
def test_equals_pytorch(run):
    assert _discrepancy(SAID_HERE[run](), RUNS[run]) < 1e-10


def test_every_trace_is_used():
    assert {*SAID_HERE, *DIFFERS} == set(RUNS)


def test_yogi_s_mean_begins_at_zero():
    """The package begins it at the accumulator's value, too; put there, it goes the same way."""
    tx, accumulator = optimizers.yogi(_rate, **SHORT, eps=1e-2, initial_accumulator=0.1), 0.1
    assert _discrepancy(tx, RUNS["Yogi 3"]) > 1e-3

    def begin(state):
        slots = state[0].slots
        return (state[0]._replace(slots=slots._replace(m=jnp.full_like(slots.m, accumulator))), *state[1:])

    assert _discrepancy(tx, RUNS["Yogi 3"], begin=begin) < 1e-10


def test_laprop_s_rate_is_outside_the_average():
    """The paper's; the package's, as its authors' code, is inside, which shows when it changes."""
    assert _discrepancy(optimizers.laprop(_rate), RUNS["LaProp 6"]) > 1e-3


def test_adopt_decays_at_the_first_step_too():
    tx = optimizers.adopt(_rate, **SHORT, weight_decay=0.1)
    assert _discrepancy(tx, RUNS["Adopt 9"]) > 1e-3
    # From where that decay leads to the start, all is the same.
    assert _discrepancy(tx, RUNS["Adopt 9"], start=np.asarray(TRACES["start"]) / (1 - 0.1 * RATE)) < 1e-10


def test_mars_corrects_the_first_gradient_by_itself():
    """As the code of its authors, where the gradient before the first is zero; the package has the first itself.

    Where the norm is clipped it is all the same.
    """
    tx = optimizers.mars(_rate, **SHORT, eps=1e-3, gamma=0.3, weight_decay=0.1)
    gradients = TRACES["runs"][16]["options"]["gradients"] * np.asarray(TRACES["gradients"])
    assert _discrepancy(tx, RUNS["Mars 16"], gradients=gradients) > 1e-4

    def begin(state):
        slots = state[0].slots._replace(before=jnp.asarray(gradients[0]))
        return (state[0]._replace(slots=slots), *state[1:])

    assert _discrepancy(tx, RUNS["Mars 16"], gradients=gradients, begin=begin) < 1e-10
