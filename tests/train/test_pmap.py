"""pmap over eight devices, and shard_map, take the step that jit takes on one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

import jaxlab
from jaxlab.train.pmap import AXIS, pmap_train_step, replicate, split, unreplicate

STEPS = 2
WAYS = ("pmap", "shard_map that checks", pytest.param("shard_map", marks=pytest.mark.nightly))


class Regression:
    """A loss with everything that an optimizer may ask for, and a model state; without noise."""

    def residuals(self, params, batch, key):
        return jnp.ravel(jnp.tanh(batch["x"] @ params["w"]) @ params["v"] - batch["y"])

    def sampled(self, params, batch, key):
        return self.residuals(params, batch, key) ** 3

    def __call__(self, params, model_state, batch, key):
        found = self.residuals(params, batch, key)
        seen = {
            "mean": 0.9 * model_state["mean"] + 0.1 * jnp.mean(batch["x"], axis=0),
            "count": model_state["count"] + 1,
        }
        return jnp.mean(found**2), ({"far": jnp.sum(found > 100), "size": jnp.mean(abs(found))}, seen)


def observe(h):
    """Gradient descent that remembers what the step's closures return, and their derivatives."""

    def look(grads, params, extra):
        there = jax.tree.map(lambda p: p + 0.1, params)
        of_line = lambda t: extra["value_fn"](jax.tree.map(lambda p, g: p - t * g, params, grads))  # noqa: E731
        forward, backward = (of(extra["residual_fn"])(there) for of in (jax.jacfwd, jax.jacrev))

        def squared(jacobian):
            matrix = jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(jacobian)], 1)
            return matrix.T @ matrix

        return {
            "value": extra["value_fn"](there),
            "slope": jax.value_and_grad(of_line)(0.1),
            "grad": extra["grad_fn"](there),
            "hvp": extra["hvp_fn"](there, grads),
            "residuals": jnp.sort(extra["residual_fn"](there)),
            "gauss_newton": [squared(forward), squared(backward)],
            "sampled": extra["sampled_grad_fn"](there, extra["key"]),
            "each": extra["per_example_grad_fn"](there),
            "squares": extra["per_example_grad_fn"](there, jax.tree_util.Partial(jax.tree.map, jnp.square), 2),
            "noise": jax.random.normal(extra["key"], ()),
        }

    def init(params):
        zeros = lambda *shape: jnp.zeros(shape)  # noqa: E731
        size = sum(leaf.size for leaf in jax.tree.leaves(params))
        like = jax.tree.map(jnp.zeros_like, params)
        return {
            "value": zeros(),
            "slope": (zeros(), zeros()),
            **dict.fromkeys(("grad", "hvp", "sampled", "squares"), like),
            "residuals": zeros(32),
            "gauss_newton": [zeros(size, size)] * 2,
            "each": jax.tree.map(lambda leaf: zeros(32, *leaf.shape), params),
            "noise": zeros(),
        }

    def update(grads, state, params=None, **extra):
        return jax.tree.map(lambda g: -h * g, grads), look(grads, params, extra)

    return optax.GradientTransformationExtraArgs(init, update)


def first_state(build=observe):
    keys = jax.random.split(jax.random.key(1))
    params = {"w": jax.random.normal(keys[0], (3, 4)), "v": jax.random.normal(keys[1], (4, 1))}
    model_state = {"mean": jnp.zeros(3), "count": jnp.zeros((), jnp.int32)}
    return jaxlab.train.init_state(params, build, 0.1, key=jax.random.key(0), model_state=model_state, ema_decay=0.5)


def batch_of(number, examples=32):
    rng = np.random.default_rng(number)
    return {"x": rng.normal(size=(examples, 3)), "y": rng.normal(size=(examples, 1))}


def trained(step, state, batches):
    metrics = {}
    for batch in batches:
        state, metrics = step(state, batch)
    return state, metrics


def train(way):
    options = {"has_state": True, "accumulate": 2}
    batches = [batch_of(number) for number in range(STEPS)]
    if way == "jit":
        return trained(jaxlab.train.make_train_step(Regression(), observe, **options), first_state(), batches)
    if way == "pmap":
        step = pmap_train_step(Regression(), observe, **options)
        state, metrics = trained(step, replicate(first_state()), map(split, batches))
        for leaf in jax.tree.leaves(state._replace(key=())):
            assert np.ptp(leaf, axis=0).max() == 0, "devices hold states that differ"
        return unreplicate(state), metrics
    step = jaxlab.train.step_fn(Regression(), observe, axis_name="i", **options)
    mesh = jax.make_mesh((8,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    checks = way == "shard_map that checks"
    mapped = jax.shard_map(step, mesh=mesh, in_specs=(P(), P("i")), out_specs=P(), check_vma=checks)
    return trained(jax.jit(mapped), first_state(), batches)


@pytest.fixture(scope="module")
def on_one_device():
    jax.config.update("jax_enable_x64", True)
    yield train("jit")
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("way", WAYS)
def test_eight_devices_take_the_step_of_one(way, on_one_device):
    wanted, found = on_one_device, train(way)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    names = jaxlab.core.tree.names(wanted)
    for name, one, eight in zip(names, jax.tree.leaves(wanted), jax.tree.leaves(found), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            assert (jax.random.key_data(one) == jax.random.key_data(eight)).all()
        else:
            np.testing.assert_allclose(eight, one, rtol=1e-12, atol=1e-13, err_msg=name)


def noisy(params, batch, key):
    return jnp.mean(params * batch) + jax.random.normal(key, ()), {"rank": jax.lax.axis_index(AXIS)}


def sgd(h):
    return jaxlab.optimizers.sgd(h)


def test_noise_is_drawn_on_each_device_and_averaged():
    state = jaxlab.train.init_state(jnp.ones(()), sgd, 0.1, key=jax.random.key(0))
    _, metrics = pmap_train_step(noisy, sgd)(replicate(state), split(np.zeros(8, np.float32)))
    key = jax.random.fold_in(jax.random.fold_in(state.key, 0), 0)
    draws = [jax.random.normal(jax.random.fold_in(key, device), ()) for device in range(8)]
    np.testing.assert_allclose(metrics["loss"], np.mean(draws), rtol=1e-6)
    assert float(metrics["rank"]) == 3.5


def test_a_batch_that_is_bad_on_one_device_is_skipped_on_all():
    loss = lambda params, batch, key: (jnp.mean((params - batch) ** 2), {})  # noqa: E731
    state = jaxlab.train.init_state(jnp.ones(()), sgd, 0.1, key=jax.random.key(0))
    bad = np.array([np.nan] + [0.0] * 7, np.float32)
    state, metrics = pmap_train_step(loss, sgd)(replicate(state), split(bad))
    assert state.params.tolist() == [1.0] * 8
    assert int(metrics["skipped"]) == 1


def test_a_state_comes_back_from_its_copies():
    state = first_state()
    copies = replicate(state, jax.devices()[:2])
    assert {leaf.shape[0] for leaf in jax.tree.leaves(copies)} == {2}
    for one, back in zip(jax.tree.leaves(state), jax.tree.leaves(unreplicate(copies)), strict=True):
        assert one.dtype == back.dtype
        assert (one == back).all()


def test_what_cannot_be_mapped_is_refused():
    with pytest.raises(ValueError, match=r"batch leaf 'y' of shape \(12, 1\): .* 8 devices divide"):
        split({"x": np.zeros((8, 3)), "y": np.zeros((12, 1))})
    with pytest.raises(TypeError, match=r"axis_name = 3: accepted is the name of an axis"):
        jaxlab.train.step_fn(noisy, sgd, axis_name=3)
    both = functools.partial(jaxlab.train.step_fn, noisy, sgd, layout=jaxlab.sharding.Layout("data=8"))
    with pytest.raises(ValueError, match=r"axis_name = 'i' beside a layout: accepted is one of them"):
        both(axis_name="i")
