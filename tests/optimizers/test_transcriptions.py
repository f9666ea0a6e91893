"""Every optimizer follows its paper: the float64 transcription, step by step, and no mutant of it."""

import functools
import inspect
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import adaptive, orthogonal
from references import mutants as classic

from jaxlab import optimizers

FAMILIES = (classic, adaptive, orthogonal)
"""Modules with the REFERENCES, the SETTINGS to compare them at and the MUTANTS of some optimizers."""

REFERENCES = {name: step for family in FAMILIES for name, step in family.REFERENCES.items()}
SETTINGS = {name: settings for family in FAMILIES for name, settings in family.SETTINGS.items()}
MUTANTS = {name: steps for family in FAMILIES for name, steps in family.MUTANTS.items()}

STEPS = 100
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}

# What sees all parameters at once, or more than their gradient, has no transcription of one array: it is checked,
# mutants and all, in another module, which names it.
WHOLE_TREE = {
    "newton": "test_newton.py",
    "gauss_newton": "test_gauss_newton.py",
    "lbfgs": "test_lbfgs.py",
    "prodigy": "test_parameter_free.py",
    "dadapt_adam": "test_parameter_free.py",
    "dadapt_sgd": "test_parameter_free.py",
    "dog": "test_parameter_free.py",
    "momo": "test_parameter_free.py",
    "momo_adam": "test_parameter_free.py",
    "shampoo": "test_kronecker.py",
    "soap": "test_kronecker.py",
    "psgd_kron": "test_kronecker.py",
    "sophia": "test_curvature.py",
    "adahessian": "test_curvature.py",
}

SHAPES = {"scalar": (), "vector": (7,), "matrix": (3, 4), "kernel": (2, 2, 2, 3)}


def _sequences() -> tuple[dict, dict]:
    """100 gradients and parameters: groups of four shapes, each group another kind of gradient."""
    rng = np.random.default_rng(0)

    def group(scale):
        return {name: scale * rng.standard_normal((STEPS, *shape)) for name, shape in SHAPES.items()}

    def over_steps(values, factors):
        return {name: v * factors.reshape((STEPS,) + (1,) * (v.ndim - 1)) for name, v in values.items()}

    gradients = {f"scale {scale:g}": group(scale) for scale in (1e-6, 1e-3, 1.0, 1e3)}
    gradients["scale wanders"] = over_steps(group(1.0), 10.0 ** rng.uniform(-6, 3, STEPS))
    gradients["biased"] = {name: v + 2.0 for name, v in group(1.0).items()}
    # A third of the elements is always zero, of the others a half at any step.
    sparse = {
        name: v * (rng.random(v.shape) < 0.5) * (rng.random(v.shape[1:]) < 0.67) for name, v in group(1.0).items()
    }
    gradients["zeros among them"] = sparse
    parameters = {kind: group(1.0) for kind in gradients}
    as_float32 = functools.partial(jax.tree.map, lambda x: x.astype(np.float32))
    return as_float32(gradients), as_float32(parameters)


GRADIENTS, PARAMETERS = _sequences()


def _rate(peak, t):
    return peak / (1 + (t - 1) / 8)


@functools.cache
def _updates(name: str, static: tuple, numbers: tuple, dtype: str) -> dict:
    """The real optimizer over all sequences, in one scan, all kinds of gradient at once; numbers are traced."""
    gradients, parameters = (
        {shape: jnp.stack([jnp.asarray(tree[kind][shape], dtype) for kind in tree]) for shape in SHAPES}
        for tree in (GRADIENTS, PARAMETERS)
    )
    traced = {key: jnp.asarray(value, dtype) for key, value in numbers}
    stacked = jax.tree.map(np.asarray, _compiled(name, static, dtype)(traced, gradients, parameters))
    return {kind: {shape: stacked[shape][i] for shape in SHAPES} for i, kind in enumerate(GRADIENTS)}


@functools.cache
def _compiled(name: str, static: tuple, dtype: str):
    def run(numbers, gradients, parameters):
        tx = optimizers.get(name).factory(
            lambda step: _rate(0.1, jnp.asarray(step + 1, dtype)), **dict(static), **numbers
        )

        def step(state, inputs):
            g, p = inputs
            updates, state = tx.update(g, state, p)
            return state, updates

        state = tx.init(jax.tree.map(lambda x: x[0], parameters))
        return jax.lax.scan(step, state, (gradients, parameters))[1]

    return jax.jit(jax.vmap(run, in_axes=(None, 0, 0)))


def _discrepancy(name: str, reference, setting: dict, dtype: str, enough: float = np.inf) -> float:
    """The largest relative error of any step in any group: norm of the difference over norm of the reference.

    Or the first above what is enough.
    """
    info = optimizers.get(name)
    numbers = {key: default for key, default in info.hyperparams.items() if default is not None} | setting
    static = {key: numbers.pop(key) for key in list(numbers) if key in info.static or numbers[key] is None}
    updates = _updates(name, tuple(static.items()), tuple(numbers.items()), dtype)
    # The paper's beta is a real number; the check is of the arithmetic, so it gets the beta that was used.
    exact = {key: float(np.dtype(dtype).type(value)) for key, value in numbers.items()} | static
    worst = 0.0
    for kind in GRADIENTS:
        off, size = np.zeros(STEPS), np.zeros(STEPS)
        for shape in SHAPES:
            wanted = _transcribed(reference, GRADIENTS[kind][shape], PARAMETERS[kind][shape], exact)
            axes = tuple(range(1, wanted.ndim))
            off += np.sum((updates[kind][shape] - wanted) ** 2, axes)
            size += np.sum(wanted**2, axes)
        # Where nothing is to move (ADOPT's first step), nothing may. What is no number shows.
        with np.errstate(divide="ignore"):
            worst = float(np.max([worst, *np.sqrt(off / np.where(off == 0, 1, size))]))
        if worst > enough:
            break
    return worst


def _transcribed(reference, gradients, parameters, numbers: dict) -> np.ndarray:
    """The updates of one array, step by step."""
    state, updates = {}, []
    for i, (g, p) in enumerate(zip(gradients.astype(np.float64), parameters.astype(np.float64), strict=True)):
        update, state = reference(
            np.asarray(g), np.asarray(p), state, i + 1, learning_rate=_rate(0.1, i + 1), **numbers
        )
        updates.append(update)
    return np.array(updates)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The dtype of all arithmetic, each in turn."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", False)


def test_every_optimizer_has_a_transcription_and_mutants():
    assert set(REFERENCES) == set(MUTANTS) == set(SETTINGS)
    assert {*REFERENCES, *WHOLE_TREE} == set(optimizers.names())
    assert not set(REFERENCES) & set(WHOLE_TREE)


@pytest.mark.parametrize("name", WHOLE_TREE)
def test_what_is_not_checked_here_is_checked_in_another_module(name):
    here = pathlib.Path(__file__)
    own = here.with_name(WHOLE_TREE[name]).read_text()
    families = re.findall(r"^from references\.(\w+) import", own, re.MULTILINE)
    named_in = [own, *((here.parents[1] / "references" / f"{family}.py").read_text() for family in families)]
    assert any(re.search(rf"\b{name}\b", text) for text in named_in)
    for test in ("test_agrees_with_the_transcription", "test_refuses_the_mutant"):
        assert f"def {test}(" in own


@pytest.mark.parametrize("name", REFERENCES)
def test_settings_name_every_number(name):
    numbers = set(optimizers.get(name).hyperparams)
    assert numbers <= set(inspect.signature(REFERENCES[name]).parameters)
    assert numbers <= set(SETTINGS[name][-1])


@pytest.mark.parametrize(("name", "setting"), [(name, s) for name in REFERENCES for s in SETTINGS[name]], ids=str)
def test_agrees_with_the_transcription(name, setting, dtype):
    assert _discrepancy(name, REFERENCES[name], setting, dtype) <= TOLERANCE[dtype]


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in MUTANTS for wrong in MUTANTS[name]], ids=str)
def test_refuses_the_mutant(name, wrong, dtype):
    # Ten times the tolerance: no mutant is refused by a hair.
    enough = 10 * TOLERANCE[dtype]
    assert _discrepancy(name, MUTANTS[name][wrong], SETTINGS[name][-1], dtype, enough) > enough
