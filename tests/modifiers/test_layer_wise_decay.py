"""Rates that fall with depth, as BEiT's code has them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers
from jaxlab.core import tree

RULES = [("embed", 0), (r"blocks/(\d+)", 1), ("", None)]


def _scales(names, ratio, blocks):
    """BEiT's get_num_layer_for_vit and its scales: embeddings 0, block i is i + 1, all else the last."""
    ids = [0 if "embed" in n else int(n.split("/")[1]) + 1 if n.startswith("blocks") else blocks + 1 for n in names]
    return [ratio ** (blocks + 1 - i) for i in ids]


def test_scales_are_beits():
    params = {
        "blocks": {str(i): {"bias": jnp.ones(2), "kernel": jnp.ones((2, 2))} for i in range(11)},
        "head": jnp.ones(2),
        "norm": jnp.ones(2),
        "patch_embed": jnp.ones(3),
    }
    tx = modifiers.layer_wise_decay(optax.sgd(1.0), RULES, 0.65)
    updates, _ = tx.update(params, tx.init(params))
    names = tree.names(updates)
    for leaf, scale in zip(jax.tree.leaves(updates), _scales(names, 0.65, 11), strict=True):
        np.testing.assert_allclose(leaf, -scale, rtol=1e-5)


def test_it_scales_the_finished_step():
    """Before Adam it would be without effect."""
    tx = modifiers.layer_wise_decay(optimizers.adam(1.0), [("low", 0), ("", 3)], 0.5)
    g = {"high": jnp.ones(1), "low": jnp.ones(1)}
    updates, _ = tx.update(g, tx.init(g))
    np.testing.assert_allclose([updates["high"][0], updates["low"][0]], [-1.0, -0.125], rtol=1e-5)


@pytest.mark.parametrize("around", [modifiers.layer_wise_decay, lambda *inner: modifiers.gradual_unfreezing(*inner, 2)])
def test_what_is_frozen_has_no_depth(around):
    """As in a training state: None in its place. Neither needs it a rule, nor is it the top."""
    tx = around(optimizers.adam(1.0), [("low", 0), ("high", 1)])
    params, alone = {"frozen": None, "high": jnp.ones(1), "low": jnp.ones(1)}, {"high": jnp.ones(1), "low": jnp.ones(1)}
    updates, _ = tx.update(params, tx.init(params), params)
    wanted, _ = tx.update(alone, tx.init(alone), alone)
    assert updates == {"frozen": None} | wanted


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"ratio = 1.5"):
        modifiers.layer_wise_decay(optax.sgd(1.0), RULES, 1.5)
    with pytest.raises(TypeError, match=r"depths\['a'\] = 0.5: accepted is a whole number"):
        modifiers.layer_wise_decay(optax.sgd(1.0), [("a", 0.5)])
    with pytest.raises(ValueError, match=r"captures 'x' of leaf 'blocks/x'"):
        modifiers.layer_wise_decay(optax.sgd(1.0), [(r"blocks/(\w+)", 1)]).init({"blocks": {"x": jnp.ones(1)}})
    with pytest.raises(ValueError, match="no rule matches 'w'"):
        modifiers.layer_wise_decay(optax.sgd(1.0), [("a", 1)]).init({"w": jnp.ones(1)})
