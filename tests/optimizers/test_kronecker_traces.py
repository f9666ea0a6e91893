"""The official SOAP and PSGD and pytorch_optimizer's Shampoo, as tests/data/make_torch_kronecker.py froze them."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers

TRACES = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_kronecker.json").read_text())
RATE = TRACES["rate"]
DAMPING = 1e-15

pytestmark = pytest.mark.usefixtures("x64")

SAID_HERE = {
    "soap": lambda: optimizers.soap(RATE, weight_decay=0.0),
    "soap max_size": lambda: optimizers.soap(RATE, weight_decay=0.0, max_size=4, refresh=2),
    "soap betas": lambda: optimizers.soap(RATE, b1=0.8, b2=0.9, eps=1e-3, weight_decay=0.0, refresh=3),
    "shampoo": lambda: _shampoo(graft="none", momentum=0.0, b2=None),
    "shampoo sgd": lambda: _shampoo(graft="sgd", momentum=0.9, b2=0.999),
    "shampoo rmsprop": lambda: _shampoo(graft="rmsprop", momentum=0.8, b2=0.9),
    "shampoo nesterov": lambda: _shampoo(graft="rmsprop", momentum=0.8, b2=0.9, nesterov=True),
}


def _shampoo(**options):
    return optimizers.shampoo(RATE, damping=DAMPING, refresh=1, **options)


def _directions(tx, matrix: str) -> np.ndarray:
    def step(state, g):
        direction, state = tx.update(g, state, g)
        return state, direction

    gradients = jnp.asarray(TRACES["matrices"][matrix]["gradients"])
    return np.asarray(jax.jit(lambda gs: jax.lax.scan(step, tx.init(gs[0]), gs)[1])(gradients))


CASES = [(label, matrix) for label, run in TRACES["runs"].items() for matrix in run]


@pytest.mark.parametrize(("label", "matrix"), CASES)
def test_equals_pytorch(label, matrix):
    trajectory = np.asarray(TRACES["matrices"][matrix]["start"]) + np.cumsum(_directions(SAID_HERE[label](), matrix), 0)
    # Inverse roots of this condition are right to eight digits, in either way to compute them.
    atol = 1e-7 if label.startswith("shampoo") else 1e-10
    np.testing.assert_allclose(trajectory, TRACES["runs"][label][matrix], rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("label", "matrix", "one_sided"),
    [("both sides", "square", False), ("both sides", "wide", False), ("one side", "wide", True)],
)
def test_psgd_equals_the_official_quad_without_its_noise(label, matrix, one_sided):
    tx = optimizers.scale_by_psgd_kron(
        b1=0.0, damping=1e-30, clip=1e9, whiten="gradient", refresh=1, one_sided=one_sided
    )
    np.testing.assert_allclose(_directions(tx, matrix), TRACES["psgd"][label][matrix], rtol=0, atol=1e-10)
