"""What Adafactor has beyond its transcription: layers, layouts, sizes, arguments that are off, extreme gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers, schedules
from jaxlab.optimizers import adafactor


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 5), (2, 3, 4, 5)], ids=str)
def test_a_stack_of_layers_is_its_layers(shape):
    """Clipping and the parameter's scale, too, are each layer's own."""
    rng = np.random.default_rng(0)
    options = {"min_factored": 2, "clip": 0.7, "min_scale": 0.3, "weight_decay": 0.1}
    depth = max(1, len(shape) - 2)
    stacked, alone = adafactor(0.1, **options, layer_axes=depth), adafactor(0.1, **options)
    # Layers of other sizes each: one over all would clip and scale them otherwise.
    sizes = 10.0 ** rng.uniform(-3, 3, shape[:depth]).reshape(shape[:depth] + (1,) * (len(shape) - depth))
    params = jnp.asarray(sizes * rng.standard_normal(shape), jnp.float32)

    def layers(x):
        return {str(index): x[index] for index in np.ndindex(*shape[:depth])}

    state, state_alone = stacked.init(params), alone.init(layers(params))
    whole = adafactor(0.1, **options)
    other = whole.update(params, whole.init(params), params)[0]
    for step in range(3):
        g = jnp.asarray(rng.standard_normal(shape) / sizes, jnp.float32)
        updates, state = jax.jit(stacked.update)(g, state, params)
        wanted, state_alone = jax.jit(alone.update)(layers(g), state_alone, layers(params))
        for name, layer in layers(updates).items():
            np.testing.assert_allclose(layer, wanted[name], rtol=1e-5)
        assert step or float(jnp.max(jnp.abs(updates / other - 1))) > 0.1


def test_state_is_a_sum_of_axes_where_both_are_large():
    params = {
        "big": jnp.ones((128, 200)),
        "thin": jnp.ones((1000, 127)),
        "conv": jnp.ones((3, 3, 128, 128)),
        "b": jnp.ones(500),
    }
    slots = adafactor(0.1).init(params)[0].slots
    shapes = {name: (slots.row[name].shape, slots.col[name].shape, slots.v[name].shape) for name in params}
    assert shapes == {
        "big": ((128,), (200,), ()),
        "thin": ((), (), (1000, 127)),
        "conv": ((3, 3, 128), (3, 3, 128), ()),
        "b": ((), (), (500,)),
    }


def test_what_is_off_does_nothing():
    params, g = jnp.full((2, 2), 3.0), jnp.array([[1.0, 2.0], [3.0, 4.0]])
    tx = optimizers.scale_by_adafactor(clip=None, min_scale=None)
    state = tx.init(params)
    # Neither needs parameters then; the first step is a sign whatever the size.
    first, state = tx.update(g, state)
    np.testing.assert_allclose(first, 1.0, rtol=1e-6)
    second, _ = tx.update(100 * g, state)
    weight = 2**-0.8
    np.testing.assert_allclose(second, 100 / np.sqrt(1 - weight + weight * 1e4), rtol=1e-5)
    with pytest.raises(ValueError, match="needs the parameters"):
        optimizers.scale_by_adafactor().update(g, state)


def test_relative_steps():
    params, g = jnp.ones(3), jnp.ones(3)
    tx = adafactor(0.8, relative_step=True)
    state, rates = tx.init(params), []
    for _ in range(4):
        updates, state = tx.update(g, state, params)
        rates.append(-float(updates[0]))
    np.testing.assert_allclose(rates, [0.8, 2**-0.5, 3**-0.5, 0.5], rtol=1e-6)
    with pytest.raises(ValueError, match="relative_step = True"):
        adafactor(schedules.reduce_on_plateau(0.1), relative_step=True)


def test_one_huge_element_among_zeros():
    """The estimate of the others is below all that float32 holds: no 0 / 0, and nothing overflows."""
    g = jnp.zeros((4, 5)).at[0, 0].set(1e30)
    tx, params = adafactor(0.1, min_factored=2), jnp.ones((4, 5))
    state = tx.init(params)
    for gradient in (g, jnp.ones((4, 5)), jnp.zeros((4, 5))):
        updates, state = tx.update(gradient, state, params)
        assert bool(jnp.all(jnp.isfinite(updates)))
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(state))


def test_bad_arguments():
    for argument in ("b2_power", "eps", "clip", "min_scale", "weight_decay"):
        with pytest.raises(ValueError, match=f"{argument} = -1"):
            adafactor(0.1, **{argument: -1.0})
    with pytest.raises(ValueError, match="min_factored = 0"):
        adafactor(0.1, min_factored=0)
    with pytest.raises(ValueError, match="layer_axes = 2 for leaf 'w'"):
        adafactor(0.1, layer_axes=2).init({"w": jnp.ones(3)})


def test_what_is_not_finite_shows():
    tx, params = optimizers.adafactor(0.1, min_factored=2), jnp.ones((2, 3))
    updates, _ = tx.update(params.at[0, 0].set(jnp.inf), tx.init(params), params)
    assert not np.all(np.isfinite(updates))
