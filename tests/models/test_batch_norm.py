"""Batch normalisation against float64 formulas, and its statistics as leaves that a step carries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab.core import parts, tree
from jaxlab.models import STATISTICS, BatchNorm, Conv, Statistic, pure
from jaxlab.optimizers import sgd
from jaxlab.train import init_state, make_train_step


class Net(nnx.Module):
    """A convolution, its normalisation, and the mean of what comes out."""

    def __init__(self, rngs):
        self.conv = Conv(2, 3, use_bias=False, rngs=rngs)
        self.norm = BatchNorm(3, momentum=0.75)

    def __call__(self, x, key=None):
        return jnp.mean(jax.nn.relu(self.norm(self.conv(x))), (1, 2))


MODEL = pure(Net)
X = np.random.RandomState(0).normal(3.0, 2.0, (4, 5, 6, 3)).astype(np.float32)


def layer(**options):
    one = BatchNorm(3, **options)
    for leaf, values in {"scale": [1, 2, -1], "bias": [0, 1, 2], "mean": [3, -1, 0], "variance": [4, 1, 0.25]}.items():
        getattr(one, leaf)[...] = jnp.array(values, jnp.float32)
    return one


def test_frozen_it_is_the_formula_with_its_statistics():
    expected = (X.astype(np.float64) - [3, -1, 0]) / np.sqrt(np.array([4, 1, 0.25]) + 1e-3) * [1, 2, -1] + [0, 1, 2]
    one = layer()
    np.testing.assert_allclose(one(X), expected, rtol=1e-6, atol=1e-5)
    assert one.mean[...].tolist() == [3, -1, 0]


def test_live_it_is_the_formula_with_the_batchs_and_its_own_follow():
    one = layer(momentum=0.9, eps=1e-5)
    one.live = True
    wide = X.astype(np.float64).reshape(-1, 3)
    expected = (X - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5) * [1, 2, -1] + [0, 1, 2]
    np.testing.assert_allclose(one(X), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one.mean[...], 0.9 * np.array([3, -1, 0]) + 0.1 * wide.mean(0), rtol=1e-5)
    np.testing.assert_allclose(one.variance[...], 0.9 * np.array([4, 1, 0.25]) + 0.1 * wide.var(0), rtol=1e-5)


def test_live_it_is_flaxs_in_value_and_gradient():
    flax = nnx.BatchNorm(3, momentum=0.9, epsilon=1e-3, rngs=nnx.Rngs(0))
    ours = BatchNorm(3, momentum=0.9)
    ours.live = True
    waves = jnp.cos(jnp.arange(X.size)).reshape(X.shape)
    both = [jax.jit(jax.value_and_grad(lambda x, m=m: jnp.sum(nnx.clone(m)(x) * waves))) for m in (ours, flax)]
    (value, slope), (flax_value, flax_slope) = (f(X) for f in both)
    np.testing.assert_allclose(value, flax_value, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(slope, flax_slope, atol=1e-5)
    for one in (ours, flax):
        one(X)
    np.testing.assert_allclose(ours.mean[...], flax.mean[...], rtol=1e-5)
    np.testing.assert_allclose(ours.variance[...], flax.var[...], rtol=1e-4)


def test_an_example_alone_has_no_variance_and_is_no_error():
    one = BatchNorm(2)
    one.live = True
    np.testing.assert_array_equal(one(jnp.array([[5.0, -7.0]])), [[0, 0]])
    np.testing.assert_allclose(one.variance[...], [0.99, 0.99])


def test_half_precision_computes_in_its_parameters_dtype_and_normalises_in_float32():
    graphdef, params = nnx.split(layer(), nnx.Param)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), nnx.to_pure_dict(params))
    one = nnx.merge(graphdef, half)
    # Numbers whose squares, and whose distances in bfloat16, are lost.
    far = jnp.asarray(X) * 0.01 + 1000
    one.live = True
    low = one(far)
    assert low.dtype == one.variance[...].dtype == jnp.bfloat16
    wide = np.asarray(far, np.float64)
    normed = (wide - wide.mean((0, 1, 2))) / np.sqrt(wide.var((0, 1, 2)) + 1e-3)
    np.testing.assert_allclose(low.astype(np.float32), normed * [1, 2, -1] + [0, 1, 2], atol=0.05)


def test_statistics_are_parameters_that_no_gradient_reaches():
    params = MODEL.init(jax.random.key(0))
    names = [name for name, flag in zip(tree.names(params), parts.chosen("s", STATISTICS, params), strict=True) if flag]
    assert names == ["norm/mean", "norm/variance"]
    assert isinstance(Net(nnx.Rngs(0)).norm.mean, Statistic)
    slopes = jax.jit(jax.grad(lambda p: jnp.sum(MODEL.apply(p, X[..., :2]) ** 2)))(params)
    assert not slopes["norm"]["mean"].any()
    assert not slopes["norm"]["variance"].any()
    assert slopes["norm"]["scale"].all()


def test_a_step_carries_live_statistics_as_the_models_state():
    params = MODEL.init(jax.random.key(0))
    _, trained = parts.split(parts.chosen("statistics", STATISTICS, params), params)
    start = {"norm": {name: params["norm"][name] for name in ("mean", "variance")}}

    def loss_fn(trained, statistics, batch, key):
        outputs, statistics = MODEL.apply_live(parts.merged(trained, statistics), batch["x"], key)
        return jnp.mean((outputs - 1.0) ** 2), ({}, statistics)

    build = lambda h: sgd(h["learning_rate"])  # noqa: E731
    state = init_state(trained, build, {"learning_rate": 0.1}, key=jax.random.key(0), model_state=start)
    step = make_train_step(loss_fn, build, has_state=True)
    batch = {"x": jnp.asarray(X[..., :2])}
    seen = np.asarray(MODEL.bind(params).conv(batch["x"]), np.float64).reshape(-1, 3)
    state, _ = step(state, batch)
    np.testing.assert_allclose(state.model_state["norm"]["mean"], 0.25 * seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(state.model_state["norm"]["variance"], 0.75 + 0.25 * seen.var(0), rtol=1e-5)
    moved = np.asarray(state.params["norm"]["bias"])
    assert np.all(moved != 0)
    state, _ = step(state, batch)
    assert np.all(np.abs(state.model_state["norm"]["mean"]) > 0.25 * np.abs(seen.mean(0)))


def test_bad_numbers_are_named():
    with pytest.raises(ValueError, match="momentum = 2"):
        BatchNorm(3, momentum=2.0)
    with pytest.raises(ValueError, match="eps = -1"):
        BatchNorm(3, eps=-1.0)
    with pytest.raises(ValueError, match="channels = 0"):
        BatchNorm(0)
