"""Sophia and AdaHessian follow their papers; their estimates are right on average, rare, and the same on any layout."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from references.curvature import MUTANTS, REFERENCES, SETTINGS

from jaxlab import losses, optimizers, tasks, train
from jaxlab.optimizers import curvature
from jaxlab.optimizers.recipe import Recipe
from jaxlab.tasks.check import check_optimizer
from jaxlab.tasks.classification import Classifier

STEPS = 12
TOLERANCE = {"float32": 1e-5, "float64": 1e-11}
SHAPES = {"kernel": (3, 2, 2, 3), "matrix": (3, 4), "scalar": ()}
KEY = jax.random.key(7)


def _sizes(like, dtype=np.float32) -> dict:
    rng = np.random.default_rng(1)
    return {n: np.asarray(np.exp(rng.standard_normal(np.shape(x))), dtype) for n, x in sorted(like.items())}


def _loss(p):
    """Each leaf has curvature of both signs, which depends on the place, and leaves are coupled."""
    sizes = _sizes(p)
    own = sum(jnp.sum(sizes[n] * jnp.cos(p[n])) for n in sorted(p))
    return own + 0.1 * sum(jnp.sum(p[n]) for n in sorted(p)) ** 2


def _sampled_grad(p, key):
    """Another gradient for every key."""
    return jax.grad(lambda p: _loss(jax.tree.map(lambda x: x + jax.random.normal(key, (), x.dtype), p)))(p)


@functools.cache
def _run(name: str, setting: tuple, dtype: str) -> dict:
    """What the real optimizer saw and did at each step, in one scan; numbers are traced."""
    info = optimizers.get(name)
    numbers = {key: jnp.asarray(value, dtype) for key, value in setting if key not in info.static}
    static = {key: value for key, value in setting if key in info.static}

    def hvp_fn(p, vector):
        return jax.jvp(jax.grad(_loss), (p,), (vector,))[1]

    def run(numbers, start, noise):
        tx = info.factory(0.1, **numbers, **static)

        def step(carry, noise):
            (p, state), key = carry, jax.random.fold_in(KEY, carry[1][0].count)
            g = jax.tree.map(jnp.add, jax.grad(_loss)(p), noise)
            updates, state = tx.update(g, state, p, hvp_fn=hvp_fn, sampled_grad_fn=_sampled_grad, key=key)
            if static.get("estimator") == "gnb":
                estimate = jax.tree.map(jnp.square, _sampled_grad(p, key))
            else:
                signs = curvature.random_signs(g, p, key)
                estimate = jax.tree.map(jnp.multiply, signs, hvp_fn(p, signs))
            return (optax.apply_updates(p, updates), state), {"g": g, "p": p, "estimate": estimate, "updates": updates}

        return jax.lax.scan(step, (start, tx.init(start)), noise)[1]

    rng = np.random.default_rng(0)
    start = {n: jnp.asarray(rng.standard_normal(shape), dtype) for n, shape in SHAPES.items()}
    noise = {n: jnp.asarray(0.3 * rng.standard_normal((STEPS, *shape)), dtype) for n, shape in SHAPES.items()}
    return jax.tree.map(np.float64, jax.jit(run)(numbers, start, noise))


def _discrepancy(name: str, reference, setting: dict, dtype: str) -> float:
    """The largest relative error of any step: norm of the difference over norm of the reference."""
    run = _run(name, tuple(setting.items()), dtype)
    given = inspect.signature(reference).parameters
    exact = {key: float(np.dtype(dtype).type(x)) if isinstance(x, float) else x for key, x in setting.items()}
    every = setting.get("refresh", 10 if name == "sophia" else 1)
    rate = float(np.dtype(dtype).type(0.1))
    state, worst = {}, 0.0
    for i in range(STEPS):
        now = jax.tree.map(lambda x, i=i: x[i], run)
        estimate = now["estimate"] if i % every == 0 else None
        numbers = {key: x for key, x in exact.items() if key in given}
        wanted, state = reference(
            now["g"],
            now["p"],
            state,
            i + 1,
            estimate=estimate,
            learning_rate=rate,
            **numbers,
        )
        off = sum(np.sum((now["updates"][n] - wanted[n]) ** 2) for n in wanted)
        worst = max(worst, float(np.sqrt(off / sum(np.sum(x**2) for x in wanted.values()))))
    return worst


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The dtype of all arithmetic, each in turn."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize(("name", "setting"), [(n, s) for n in REFERENCES for s in SETTINGS[n]], ids=str)
def test_agrees_with_the_transcription(name, setting, dtype):
    assert _discrepancy(name, REFERENCES[name], setting, dtype) <= TOLERANCE[dtype]


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in MUTANTS for wrong in MUTANTS[name]], ids=str)
def test_refuses_the_mutant(name, wrong, dtype):
    assert _discrepancy(name, MUTANTS[name][wrong], SETTINGS[name][-1], dtype) > 10 * TOLERANCE[dtype]


@pytest.mark.parametrize("name", REFERENCES)
def test_settings_name_every_number(name):
    numbers = set(optimizers.get(name).hyperparams)
    assert numbers <= set(inspect.signature(REFERENCES[name]).parameters)
    assert numbers <= set(SETTINGS[name][-1])


def test_hutchinsons_estimate_is_the_diagonal_on_average():
    matrix = np.random.default_rng(0).standard_normal((6, 6))
    matrix = jnp.asarray(matrix + matrix.T, "float32")
    x = jnp.zeros(6)

    def one(key):
        return curvature.hutchinson(1)(x, x, jnp.ones(()), lambda x, v: matrix @ v, key)

    found = jax.jit(jax.vmap(one))(jax.random.split(KEY, 4000))
    # The variance of an element is the sum of the squares beside the diagonal.
    error = np.sqrt((np.sum(np.square(matrix), 1) - np.square(np.diag(matrix))) / 4000)
    assert np.all(np.abs(np.mean(found, 0) - np.diag(matrix)) < 4 * error)


def test_signs_have_a_leaf_and_a_step_of_their_own():
    params = {"a": jnp.zeros(400), "b": jnp.zeros(400)}
    first, second = (curvature.random_signs(params, params, key) for key in jax.random.split(KEY))
    for x, y in ((first["a"], first["b"]), (first["a"], second["a"])):
        assert abs(jnp.mean(x * y)) < 0.2
    without = curvature.random_signs({"a": None, "b": params["b"]}, params, KEY)
    assert not jnp.any(without["a"])
    assert jnp.all(jnp.abs(without["b"]) == 1)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name)
def test_the_estimate_is_the_same_on_eight_devices(kind, x64):
    """Of a Hessian that couples the devices, where the signs matter."""

    def step(mesh):
        place = NamedSharding(mesh, P("data"))
        params = {"w": jax.device_put(np.arange(32.0).reshape(8, 4), place)}
        hvp_fn = lambda x, v: {"w": v["w"] * 3 + jnp.sum(v["w"], 0, keepdims=True)}  # noqa: E731
        tx = optimizers.sophia(0.1, gamma=5.0, refresh=2)
        state, updates = tx.init(params), params
        run = jax.jit(lambda state: tx.update(params, state, params, hvp_fn=hvp_fn, key=KEY))
        for _ in range(2):
            updates, state = run(state)
        assert state[0].slots.h["w"].sharding.is_equivalent_to(place, 2)
        return updates["w"]

    meshes = (jax.make_mesh((n,), ("data",), axis_types=(kind,), devices=jax.devices()[:n]) for n in (8, 1))
    np.testing.assert_allclose(*map(step, meshes), rtol=1e-12)


@pytest.mark.parametrize("name", REFERENCES)
def test_steps_between_estimates_do_not_pay_for_them_even_in_a_population(name):
    """A product runs in a branch on the clock, which is one number for all members: no select of both branches."""
    info = optimizers.get(name)

    def members(learning_rate, keys, states, step):
        def one(rate, key, state):
            tx = info.factory(rate, refresh=5)
            hvp_fn = lambda x, v: jnp.tanh(v)  # noqa: E731
            return tx.update(jnp.ones(3), state, jnp.ones(3), hvp_fn=hvp_fn, key=key, step=step)

        return jax.vmap(one)(learning_rate, keys, states)

    states = jax.vmap(lambda rate: info.factory(rate, refresh=5).init(jnp.ones(3)))(jnp.ones(4))
    program = jax.make_jaxpr(members)(jnp.ones(4), jax.random.split(KEY, 4), states, 0).jaxpr
    outside = [eqn.primitive.name for eqn in program.eqns]
    assert "cond" in outside
    assert "tanh" not in outside


class Softmax:
    """Cross entropy of a linear model, with labels drawn from it."""

    classifier = Classifier(lambda params, x, key: x @ params["w"])

    def classify(self, params, batch, key):
        return self.classifier(params, batch, key)

    __call__ = classify

    def sampled(self, params, batch, key):
        return self.classifier.sampled(params, batch, key)


def _batch():
    rng = np.random.default_rng(0)
    return {"x": jnp.asarray(rng.standard_normal((8, 3)), "float32"), "y": jnp.asarray(rng.integers(0, 4, 8))}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_square_of_the_drawn_gradient_is_the_gauss_newton_diagonal_on_average(accumulate):
    batch, params = _batch(), {"w": jnp.asarray(np.random.default_rng(1).standard_normal((3, 4)), "float32")}
    seen = {}

    def spy(hyperparams):
        def update(updates, state, params, *, sampled_grad_fn, key, **rest):
            draws = jax.vmap(lambda key: sampled_grad_fn(params, key))(jax.random.split(key, 4000))
            return updates, jnp.square(draws["w"])

        return optax.GradientTransformationExtraArgs(lambda params: jnp.zeros((4000, 3, 4)), update)

    state = train.init_state(params, spy, {}, key=KEY)
    seen = train.make_train_step(Softmax(), spy, accumulate=accumulate)(state, batch)[0].opt_state
    p = np.asarray(jax.nn.softmax(batch["x"] @ params["w"]), np.float64)
    wanted = np.square(batch["x"]).T @ (p * (1 - p)) / 8
    error = np.std(seen, 0) / np.sqrt(4000)
    assert np.all(np.abs(np.mean(seen, 0) - wanted) < 4.5 * error)


def test_sophia_trains_with_either_estimate():
    batch = _batch()
    for estimator in ("hutchinson", "gnb"):
        build = Recipe("sophia", static={"estimator": estimator, "refresh": 3}).build
        numbers = {"learning_rate": 0.05, "gamma": 0.5, "weight_decay": 0.0}
        state = train.init_state({"w": jnp.zeros((3, 4))}, build, numbers, key=KEY)
        step, values = train.make_train_step(Softmax(), build), []
        for _ in range(30):
            state, metrics = step(state, batch)
            values.append(float(metrics["loss"]))
        assert values[-1] < 0.7 * values[0]


def test_a_loss_that_draws_no_labels_says_so():
    build = Recipe("sophia", static={"estimator": "gnb"}).build
    state = train.init_state({"w": jnp.zeros((3, 4))}, build, {"learning_rate": 0.1}, key=KEY)
    with pytest.raises(ValueError, match=r"loss_fn has no method sampled\(params, batch, key\)"):
        train.make_train_step(Softmax().classify, build)(state, _batch())
    other = Classifier(lambda params, x, key: x, loss=losses.multiclass_hinge)
    assert not hasattr(other, "sampled")
    loss = Softmax()
    loss.sampled = lambda params, batch, key: jnp.sum(params["w"])
    with pytest.raises(ValueError, match="sampled returned one number"):
        train.make_train_step(loss, build)(state, _batch())
    with pytest.raises(ValueError, match="draws no labels"):
        check_optimizer(tasks.get("line"), Recipe("sophia", static={"estimator": "gnb"}))


@pytest.mark.parametrize("needed", ["hvp_fn", "key"])
def test_what_is_missing_is_named(needed):
    known = {"hvp_fn": lambda x, v: v, "key": KEY}
    known.pop(needed)
    for name in REFERENCES:
        tx = optimizers.get(name).factory(0.1)
        with pytest.raises(ValueError, match=f"needs {needed}"):
            tx.update(jnp.ones(2), tx.init(jnp.ones(2)), jnp.ones(2), **known)
