"""Where PyTorch follows the paper jaxlab equals it; where it does not, the difference stands here.

The numbers were written by tests/data/make_torch_optimizers.py with torch 2.13.0 in float64.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers, regularizers
from jaxlab.core.chain import chain

TRACES = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_optimizers.json").read_text())
RUNS = {f"{run['optimizer']} {run['options']} {run['shape']}".removesuffix(" vector"): run for run in TRACES["runs"]}

pytestmark = pytest.mark.usefixtures("x64")


def _rate(step):
    return jnp.where(step < TRACES["halved_at"], TRACES["rate"], TRACES["rate"] / 2)


def _trajectory(tx, inputs=TRACES) -> np.ndarray:
    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        return (params + updates, state), params + updates

    start = jnp.asarray(inputs["start"])
    _, trajectory = jax.jit(lambda g: jax.lax.scan(step, (start, tx.init(start)), g))(jnp.asarray(inputs["gradients"]))
    return np.asarray(trajectory)


def _discrepancy(tx, run: dict) -> float:
    inputs = TRACES["kernel"] if run["shape"] == "kernel" else TRACES
    return float(np.max(np.abs(_trajectory(tx, inputs) / np.asarray(run["parameters"]) - 1)))


# How PyTorch's run is said in jaxlab: the weight decay of its SGD and Adam is an L2 penalty before them, and its
# RMSprop averages over ten times as many steps as Hinton's lecture does by default (alpha 0.99 against 0.9).
SAID_HERE = {
    "SGD {}": lambda: optimizers.sgd(_rate),
    "SGD {'momentum': 0.9}": lambda: optimizers.sgd(_rate, momentum=0.9),
    "SGD {'momentum': 0.9, 'nesterov': True}": lambda: optimizers.sgd(_rate, momentum=0.9, nesterov=True),
    "SGD {'momentum': 0.9, 'weight_decay': 0.1}": lambda: chain(
        regularizers.l2(0.1), optimizers.sgd(_rate, momentum=0.9)
    ),
    "Adagrad {}": lambda: optimizers.adagrad(_rate),
    "Adagrad {'eps': 0.001, 'initial_accumulator_value': 0.1}": lambda: optimizers.adagrad(
        _rate, eps=1e-3, initial_accumulator=0.1
    ),
    "RMSprop {}": lambda: optimizers.rmsprop(_rate, b2=0.99),
    "RMSprop {'alpha': 0.9, 'eps': 0.001}": lambda: optimizers.rmsprop(_rate, eps=1e-3),
    "Adam {}": lambda: optimizers.adam(_rate),
    "Adam {'betas': [0.8, 0.95], 'eps': 0.001}": lambda: optimizers.adam(_rate, b1=0.8, b2=0.95, eps=1e-3),
    "Adam {'weight_decay': 0.1}": lambda: chain(regularizers.l2(0.1), optimizers.adam(_rate)),
    "AdamW {}": lambda: optimizers.adamw(_rate),
    "AdamW {'betas': [0.8, 0.95], 'eps': 0.001, 'weight_decay': 0.1}": lambda: optimizers.adamw(
        _rate, b1=0.8, b2=0.95, eps=1e-3, weight_decay=0.1
    ),
    "Adadelta {}": lambda: optimizers.adadelta(_rate),
    "Adadelta {'rho': 0.95, 'eps': 0.001}": lambda: optimizers.adadelta(_rate, b2=0.95, eps=1e-3),
    "RMSprop {'momentum': 0.9}": lambda: optimizers.rmsprop(_rate, b2=0.99, momentum=0.9),
    "RMSprop {'centered': True}": lambda: optimizers.rmsprop(_rate, b2=0.99, centered=True),
    "RMSprop {'alpha': 0.9, 'eps': 0.001, 'centered': True, 'momentum': 0.5}": lambda: optimizers.rmsprop(
        _rate, eps=1e-3, centered=True, momentum=0.5
    ),
    "NAdam {}": lambda: optimizers.nadam(_rate),
    "NAdam {'betas': [0.8, 0.95], 'eps': 0.001, 'momentum_decay': 0.1}": lambda: optimizers.nadam(
        _rate, b1=0.8, b2=0.95, eps=1e-3, momentum_decay=0.1
    ),
    "Adam {'amsgrad': True}": lambda: optimizers.amsgrad(_rate),
    "Adam {'betas': [0.8, 0.95], 'eps': 0.001, 'amsgrad': True}": lambda: optimizers.amsgrad(
        _rate, b1=0.8, b2=0.95, eps=1e-3
    ),
    "Adamax {}": lambda: optimizers.adamax(_rate, eps=1e-8),
    "Adamax {'betas': [0.8, 0.95], 'eps': 0.001}": lambda: optimizers.adamax(_rate, b1=0.8, b2=0.95, eps=1e-3),
    "RAdam {}": lambda: optimizers.radam(_rate),
    "RAdam {'betas': [0.8, 0.95], 'eps': 0.001}": lambda: optimizers.radam(_rate, b1=0.8, b2=0.95, eps=1e-3),
    **{
        f"{run}{shape}": adafactor
        for shape in ("", " kernel")
        for run, adafactor in {
            "Adafactor {}": lambda: _like_pytorch(_rate),
            "Adafactor {'d': 1.5, 'eps': [1e-15, 0.5], 'beta2_decay': -0.6, 'weight_decay': 0.1}": lambda: (
                _like_pytorch(_rate, clip=1.5, min_scale=0.5, b2_power=0.6, weight_decay=0.1)
            ),
            "Adafactor {'lr': 1.0}": lambda: _like_pytorch(lambda step: 10 * _rate(step)),
        }.items()
    },
}


def _like_pytorch(rate, **options):
    return optimizers.adafactor(rate, relative_step=True, min_factored=1, **options)


@pytest.mark.parametrize("run", SAID_HERE)
def test_equals_pytorch(run):
    assert _discrepancy(SAID_HERE[run](), RUNS[run]) < 1e-10


@pytest.mark.parametrize(
    ("ours", "run"),
    [("momentum", "SGD {'momentum': 0.9}"), ("nesterov", "SGD {'momentum': 0.9, 'nesterov': True}")],
)
def test_momentum_by_its_own_name(ours, run):
    assert _discrepancy(optimizers.get(ours).factory(_rate), RUNS[run]) < 1e-10


def test_every_trace_is_used():
    assert set(SAID_HERE) == set(RUNS)


def test_weight_decay_of_adam_is_not_adamw():
    """PyTorch's two ways of decay: coupled (L2, seen by the preconditioner) and decoupled."""
    assert _discrepancy(optimizers.adamw(_rate, weight_decay=0.1), RUNS["Adam {'weight_decay': 0.1}"]) > 1e-2


def test_rmsprop_default_is_the_lecture_not_pytorch():
    assert _discrepancy(optimizers.rmsprop(_rate), RUNS["RMSprop {}"]) > 1e-2


def test_adamax_default_is_the_paper_without_eps():
    """PyTorch's 1e-8 beside gradients of 1e-4."""
    assert 1e-6 < _discrepancy(optimizers.adamax(_rate), RUNS["Adamax {}"]) < 1e-3


def test_adafactor_default_rate_is_not_relative():
    """The rate is what was asked for; PyTorch bounds it by the inverse root of the step."""
    ours = optimizers.adafactor(lambda step: 10 * _rate(step), min_factored=1)
    assert _discrepancy(ours, RUNS["Adafactor {'lr': 1.0} kernel"]) > 1e-2


def test_adafactor_default_factors_no_small_matrix():
    assert _discrepancy(optimizers.adafactor(_rate, relative_step=True), RUNS["Adafactor {} kernel"]) > 1e-3
