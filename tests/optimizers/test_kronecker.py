"""shampoo, soap and psgd_kron follow their papers and their authors' code, and reduce to what theory says."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references.kronecker import MUTANTS, REFERENCES, SETTINGS

from jaxlab import optimizers

STEPS = 24
TOLERANCE = {"float32": 1e-3, "float64": 1e-9}
# Of a matrix with fewer columns than rows the covariance of rows has eigenvalues of zero: any basis of theirs is right,
# and an inverse root is as large as the damping lets it be. In float32 both are of the rounding.
MATRICES = {"float32": ("square",), "float64": ("square", "wide", "tall")}


def _gradients() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    square = rng.standard_normal((STEPS, 4, 4))
    wide = rng.standard_normal((STEPS, 4, 5))
    tall = rng.standard_normal((STEPS, 5, 3)) * np.array([3.0, 1.0, 0.3]) + 0.5
    sequences = {"square": square, "wide": wide, "tall": 1e-2 * tall}
    return {name: g.astype(np.float32) for name, g in sequences.items()}


GRADIENTS = _gradients()
PARAMETERS = {name: np.cos(g[::-1]) for name, g in GRADIENTS.items()}


@functools.cache
def _updates(name: str, which: int, dtype: str) -> dict:
    setting = SETTINGS[name][which]
    sequences = jax.tree.map(lambda x: jnp.asarray(x, dtype), (GRADIENTS, PARAMETERS))
    tx = optimizers.get(name).factory(0.1, **{"weight_decay": 0.0} | setting)

    def step(state, inputs):
        updates, state = tx.update(inputs[0], state, inputs[1])
        return state, updates

    run = jax.jit(lambda s: jax.lax.scan(step, tx.init(jax.tree.map(lambda x: x[0], s[1])), s)[1])
    return jax.tree.map(np.asarray, run(sequences))


def _discrepancy(name: str, reference, which: int, dtype: str) -> float:
    setting, worst = SETTINGS[name][which], 0.0
    numbers = {key: float(np.dtype(dtype).type(value)) for key, value in setting.items() if isinstance(value, float)}
    numbers |= {"ulp": float(np.finfo(dtype).eps)} if name == "psgd_kron" else {}
    states: dict = {matrix: {} for matrix in MATRICES[dtype]}
    for i in range(STEPS):
        for matrix in MATRICES[dtype]:
            g, p = np.float64(GRADIENTS[matrix][i]), np.float64(PARAMETERS[matrix][i])
            rate = float(np.dtype(dtype).type(0.1))
            wanted, states[matrix] = reference(g, p, states[matrix], i + 1, learning_rate=rate, **setting | numbers)
            off = np.linalg.norm(_updates(name, which, dtype)[matrix][i] - wanted)
            worst = max(worst, float(off / max(np.linalg.norm(wanted), 1e-12)))
    return worst


@pytest.fixture
def dtype(request):
    """The dtype of all arithmetic."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", False)


LAST = {name: len(settings) - 1 for name, settings in SETTINGS.items()}
# In float32 the last alone: every number is another than its default there.
CASES = [
    *((name, which, "float64") for name in REFERENCES for which in range(len(SETTINGS[name]))),
    *((name, LAST[name], "float32") for name in REFERENCES),
]


@pytest.mark.parametrize(("name", "which", "dtype"), CASES, indirect=["dtype"])
def test_agrees_with_the_transcription(name, which, dtype):
    assert _discrepancy(name, REFERENCES[name], which, dtype) <= TOLERANCE[dtype]


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in MUTANTS for wrong in MUTANTS[name]])
def test_refuses_the_mutant(name, wrong, x64):
    assert _discrepancy(name, MUTANTS[name][wrong], LAST[name], "float64") > 1e-2
