"""The clips against optax's, in half precision, and where nothing is finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from modifiers.trajectory import gradients, start

from jaxlab import modifiers, optimizers


def _once(tx, grads, params=None):
    return jax.jit(tx.update)(grads, tx.init(grads if params is None else params), params)[0]


def _float32(values):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), values)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda inner: modifiers.clip_by_value(inner, 0.5), optax.clip(0.5)),
        (lambda inner: modifiers.clip_by_global_norm(inner, 0.5), optax.clip_by_global_norm(0.5)),
        (lambda inner: modifiers.clip_by_global_norm(inner, 1e3), optax.clip_by_global_norm(1e3)),
        (lambda inner: modifiers.clip_adaptive(inner, 0.1), optax.adaptive_grad_clip(0.1)),
    ],
    ids=["value", "norm", "long norm", "adaptive"],
)
def test_is_optax_before_the_optimizer(ours, theirs):
    # Of three axes optax takes the last two for units; with one input they are the same.
    grads, params = ({k: v for k, v in _float32(x).items() if k != "conv"} for x in (gradients(1), start()))
    grads["conv2d"], params["conv2d"] = (jnp.sin(jnp.arange(48.0) + i).reshape(2, 2, 3, 4) for i in range(2))
    wanted = _once(optax.chain(theirs, optax.sgd(0.1)), grads, params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), _once(ours(optax.sgd(0.1)), grads, params), wanted
    )


def test_rms_is_optax_on_the_direction():
    grads = _float32(gradients(2))
    wanted = _once(optax.chain(optax.clip_by_block_rms(0.3), optax.scale(-0.1)), grads)
    clipped = _once(modifiers.clip_update_rms(optimizers.sgd(0.1), 0.3), grads)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), clipped, wanted)


def test_three_axes_are_a_convolution_where_official_code_has_heads():
    kernel, g = jnp.ones((2, 3, 4)), jnp.arange(1.0, 25).reshape(2, 3, 4)
    units = jnp.sqrt(jnp.sum(jnp.square(g), (0, 1))), jnp.sqrt(jnp.sum(jnp.square(kernel), (0, 1)))
    np.testing.assert_allclose(
        _once(modifiers.clip_adaptive(optax.sgd(1.0), 0.1), g, kernel), -g * 0.1 * units[1] / units[0], rtol=1e-6
    )


def test_half_precision_gradients_of_300_are_not_clipped_to_zero():
    """The square of 300 is inf in float16."""
    g = {"a": jnp.full(4, 300.0, jnp.float16)}
    updates = _once(modifiers.clip_by_global_norm(optax.sgd(1.0), 1.0), g)
    assert updates["a"].dtype == jnp.float16
    np.testing.assert_allclose(updates["a"], -0.5)
    updates = _once(modifiers.clip_adaptive(optax.sgd(1.0), 0.5), g, {"a": jnp.ones(4, jnp.float16)})
    np.testing.assert_allclose(updates["a"], -0.5)


def test_what_is_within_the_bound_passes_to_the_bit():
    g = jnp.array([0.1, 0.3, -0.7])
    for clip in (modifiers.clip_by_value, modifiers.clip_by_global_norm):
        np.testing.assert_array_equal(_once(clip(optax.sgd(1.0), 1.0), g), -g)
    np.testing.assert_array_equal(_once(modifiers.clip_update_rms(optimizers.sgd(1.0), 1.0), g), -g)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_so_for_whoever_skips_it(bad):
    g = {"a": jnp.array([1.0, bad]), "b": jnp.ones(2)}
    tx = modifiers.skip_nonfinite(modifiers.clip_by_global_norm(optax.sgd(1.0), 1.0))
    updates, state = tx.update(g, tx.init(g))
    assert int(state.skipped) == 1
    assert not any(np.any(u) for u in updates.values())
    assert not np.isfinite(_once(modifiers.clip_by_global_norm(optax.sgd(1.0), 1.0), g)["a"][1])
    by_value = _once(modifiers.clip_by_value(optax.sgd(1.0), 0.5), g)["a"]
    np.testing.assert_array_equal(by_value, [-0.5, -0.5 if bad == np.inf else np.nan])


def test_a_norm_beyond_float32_gives_zero():
    g = jnp.full(4, 1e20)
    np.testing.assert_array_equal(_once(modifiers.clip_by_global_norm(optax.sgd(1.0), 1.0), g), jnp.zeros(4))


@pytest.mark.parametrize(
    "clip",
    [
        lambda axes: modifiers.clip_adaptive(optax.sgd(1.0), 0.1, layer_axes=axes),
        lambda axes: modifiers.clip_update_rms(optimizers.sgd(1.0), 0.2, layer_axes=axes),
    ],
    ids=["adaptive", "rms"],
)
def test_layers_of_a_stack_are_clipped_each_for_itself(clip):
    params, g = jnp.stack([jnp.ones((2, 3)), jnp.full((2, 3), 5.0)]), jnp.stack([jnp.eye(2, 3), 9 * jnp.ones((2, 3))])
    alone = [_once(clip(0), g[i], params[i]) for i in range(2)]
    np.testing.assert_allclose(_once(clip(1), g, params), jnp.stack(alone), rtol=1e-6)


def test_a_rate_of_zero_moves_nothing():
    assert not np.any(_once(modifiers.clip_update_rms(optimizers.sgd(0.0), 1.0), jnp.ones(3)))


def test_bounds_are_checked():
    with pytest.raises(ValueError, match=r"max_norm = 0: accepted is a number in \(0, inf\]"):
        modifiers.clip_by_global_norm(optax.sgd(1.0), 0)
    with pytest.raises(ValueError, match="keeps no learning rate"):
        modifiers.clip_update_rms(optax.sgd(1.0)).init(jnp.ones(2))
