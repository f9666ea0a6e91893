"""DP-SGD: the sum that is released, the noise on it, and the epsilon of the accountant."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from scipy import optimize, stats

from jaxlab import optimizers
from jaxlab.core.chain import chain
from jaxlab.modifiers import epsilon, groups, private
from jaxlab.regularizers import l2
from jaxlab.train import init_state, make_train_step

RNG = np.random.default_rng(0)
EXAMPLES = {"a": RNG.standard_normal((8, 3)) * 3, "b": RNG.standard_normal((8, 2, 2))}
PARAMS = {"a": jnp.zeros(3), "b": jnp.zeros((2, 2))}
KEY = jax.random.key(0)


def given(**changes):
    gradients = jax.tree.map(lambda leaf: jnp.asarray(leaf, "float32"), EXAMPLES)
    return {"per_example_grad_fn": lambda params: gradients, "key": KEY} | changes


def released(tx, params=PARAMS, **extra):
    """The gradient that the inner optimizer saw: its step at a rate of one, turned."""
    updates, _ = tx.update(params, tx.init(params), params, **extra)
    return jax.tree.map(lambda u: -np.asarray(u, np.float64), updates)


def clipped(clip_norm, mistake=""):
    norms = np.sqrt(sum((leaf**2).reshape(8, -1).sum(1) for leaf in EXAMPLES.values()))
    if mistake == "clips the mean":
        means = {name: leaf.mean(0) for name, leaf in EXAMPLES.items()}
        whole = np.sqrt(sum((leaf**2).sum() for leaf in means.values()))
        return {name: leaf * min(1, clip_norm / whole) for name, leaf in means.items()}

    def factors(leaf):
        own = np.linalg.norm(leaf.reshape(8, -1), axis=1) if mistake == "a norm for each leaf" else norms
        factor = clip_norm / own if mistake == "lengthens, too" else np.minimum(1, clip_norm / own)
        return factor.reshape(8, *[1] * (leaf.ndim - 1))

    return {name: (leaf * factors(leaf)).mean(0) for name, leaf in EXAMPLES.items()}


def test_every_example_is_clipped_alone():
    found = released(private(optimizers.sgd(1.0), clip_norm=4.0, noise_multiplier=0.0), **given())
    wanted = clipped(4.0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), found, wanted)
    for mistake in ("clips the mean", "a norm for each leaf", "lengthens, too"):
        assert not np.allclose(found["a"], clipped(4.0, mistake)["a"], rtol=1e-3)


def test_the_noise_has_the_papers_deviation():
    params = {"a": jnp.zeros(40_000), "b": jnp.zeros(40_000)}
    grads = {"a": jnp.zeros((8, 40_000)), "b": jnp.zeros((8, 40_000))}
    tx = private(optimizers.sgd(1.0), clip_norm=2.0, noise_multiplier=1.5)
    noise = released(tx, params, **given(per_example_grad_fn=lambda p: grads))
    for leaf in noise.values():
        assert abs(leaf.std() / (1.5 * 2.0 / 8) - 1) < 0.02
        assert stats.kstest(leaf / leaf.std(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise["a"], noise["b"])[0, 1]) < 0.02


def test_no_step_key_or_leaf_has_the_noise_of_another():
    params, tx = jnp.zeros(4), private(optimizers.sgd(1.0))
    state, rows = tx.init(params), []
    for key in (KEY, KEY, jax.random.key(1)):
        updates, state = tx.update(
            params, state, params, **given(per_example_grad_fn=lambda p: jnp.zeros((8, 4)), key=key)
        )
        rows.append(np.asarray(updates))
    again = tx.update(params, tx.init(params), params, **given(per_example_grad_fn=lambda p: jnp.zeros((8, 4))))[0]
    np.testing.assert_array_equal(again, rows[0])
    assert len({row.tobytes() for row in rows}) == 3


def test_the_noise_is_the_same_on_eight_devices():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    tx, params, grads = private(optimizers.sgd(1.0)), jnp.zeros(16), jnp.zeros((8, 16))

    @jax.jit
    def step(params, grads):
        return tx.update(params, tx.init(params), params, per_example_grad_fn=lambda p: grads, key=KEY)[0]

    split = step(
        jax.device_put(params, NamedSharding(mesh, P("data"))), jax.device_put(grads, NamedSharding(mesh, P("data")))
    )
    np.testing.assert_array_equal(split, step(params, grads))


def test_examples_that_are_not_finite_count_as_zero_and_frozen_leaves_not_at_all():
    grads = {"a": jnp.array([[3.0], [jnp.inf], [jnp.nan], [1e30]]), "b": jnp.full((4, 1), 1e3)}
    params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    tx = groups({"own": optimizers.sgd(1.0), "frozen": None}, [("b", "frozen"), ("", "own")])
    found = released(private(tx, 4.0, 0.0), params, per_example_grad_fn=lambda p: grads, key=KEY)
    assert found["a"].tolist() == [0.75]


class Model:
    """A loss whose gradient of one example does not depend on others."""

    @staticmethod
    def loss(params, batch, key):
        return jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2), {}


def one_step(microbatch, accumulate=1):
    batch = {"x": jnp.asarray(EXAMPLES["a"], "float32"), "y": jnp.ones(8)}
    build = lambda h: private(chain(l2(1e-2), optimizers.sgd(h)), 1.0, 0.5, microbatch)  # noqa: E731
    state = init_state({"w": jnp.ones(3)}, build, 0.1, key=KEY)
    return make_train_step(Model.loss, build, accumulate=accumulate)(state, batch)[0].params["w"]


def test_microbatches_of_the_training_step_change_nothing_but_memory():
    whole = one_step(None)
    for options in ((2,), (8,), (4, 2)):
        np.testing.assert_allclose(one_step(*options), whole, rtol=1e-5)
    with pytest.raises(ValueError, match="microbatch = 3: accepted is a divisor of the batch size, 8"):
        one_step(3)


@pytest.mark.parametrize("missing", ["params", "per_example_grad_fn", "key"])
def test_what_is_missing_is_named(missing):
    tx = private(optimizers.sgd(0.1))
    with pytest.raises(ValueError, match=missing):
        tx.update(PARAMS, tx.init(PARAMS), **({"params": PARAMS} | given() | {missing: None}))


def gaussian_epsilon(sigma, delta):
    """Of one Gaussian mechanism, exactly (Balle and Wang, 2018, theorem 8)."""

    def spent(e):
        a, b = 1 / (2 * sigma) - e * sigma, -1 / (2 * sigma) - e * sigma
        return stats.norm.cdf(a) - np.exp(e) * stats.norm.cdf(b) - delta

    return optimize.brentq(spent, 0, 50)


@pytest.mark.parametrize(("sigma", "steps", "delta"), [(4.0, 100, 1e-5), (20.0, 400, 1e-6)])
def test_epsilon_without_sampling_is_that_of_one_gaussian(sigma, steps, delta):
    """Gaussians compose to one of deviation sigma over the root of their number."""
    exact = gaussian_epsilon(sigma / np.sqrt(steps), delta)
    assert exact <= epsilon(sigma, 1.0, steps, delta) <= exact * 1.001


def sampled_epsilon(sigma, rate, delta):
    """Of one sampled step: the divergences of the two densities, by quadrature; the larger of both directions."""
    x = np.linspace(-12 * sigma, 12 * sigma + 1, 400_001)
    without = stats.norm.pdf(x, 0, sigma)
    there = (1 - rate) * without + rate * stats.norm.pdf(x, 1, sigma)

    def spent(p, q):
        return optimize.brentq(lambda e: np.sum(np.maximum(p - np.exp(e) * q, 0)) * (x[1] - x[0]) - delta, 0, 50)

    return max(spent(there, without), spent(without, there))


def test_epsilon_of_a_sampled_step_is_that_of_its_two_densities():
    exact = sampled_epsilon(0.6, 0.1, 1e-5)
    assert exact * 0.9999 <= epsilon(0.6, 0.1, 1, 1e-5) <= exact * 1.001
    assert exact < 0.9 * gaussian_epsilon(0.6, 1e-5)


def test_epsilon_falls_with_noise_and_grows_with_steps():
    assert epsilon(2.0, 0.01, 100, 1e-5) < epsilon(1.0, 0.01, 100, 1e-5) < epsilon(1.0, 0.01, 400, 1e-5)


def test_epsilon_says_how_to_get_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(ImportError, match=r'pip install "jaxlab\[privacy\]"'):
        epsilon(1.0, 0.01, 100, 1e-5)


@pytest.mark.parametrize(
    ("name", "value"), [("noise_multiplier", 0.0), ("sample_rate", 1.5), ("steps", 0), ("delta", 1.0)]
)
def test_epsilon_refuses(name, value):
    numbers = {"noise_multiplier": 1.0, "sample_rate": 0.1, "steps": 10, "delta": 1e-5}
    with pytest.raises(ValueError, match=name):
        epsilon(**(numbers | {name: value}))
