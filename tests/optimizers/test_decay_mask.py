"""Which leaves decay: the difference to the run without decay is exactly the masked parameters' decay."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab import optimizers

PARAMS = {"body": {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.full(3, -1.0)}, "scale": jnp.full((), 3.0)}
GRADS = {"body": {"kernel": jnp.full((2, 3), 0.5), "bias": jnp.full(3, 0.25)}, "scale": jnp.full((), -1.0)}
RATE, DECAY = 0.1, 0.5


def _decayed(name, mask, params=PARAMS) -> dict:
    """What the decay added to each leaf, over the leaf: the rate times the decay where it is on."""
    factory = optimizers.get(name).factory
    with_decay = factory(RATE, weight_decay=DECAY, decay_mask=mask)
    without = factory(RATE, weight_decay=0.0, decay_mask=mask)
    a: Any = with_decay.update(GRADS, with_decay.init(params), PARAMS)[0]
    b: Any = without.update(GRADS, without.init(params), PARAMS)[0]
    return {
        "kernel": float(jnp.mean((b["body"]["kernel"] - a["body"]["kernel"]) / PARAMS["body"]["kernel"])),
        "bias": float(jnp.mean((b["body"]["bias"] - a["body"]["bias"]) / PARAMS["body"]["bias"])),
        "scale": float((b["scale"] - a["scale"]) / PARAMS["scale"]),
    }


MASKS = {
    "all": (None, "kernel bias scale"),
    "matrices": ("matrices", "kernel"),
    "rules": ([("bias|scale", False), (".*", True)], "kernel"),
    "tree": ({"body": {"kernel": False, "bias": True}, "scale": True}, "bias scale"),
    "subtree": ({"body": True, "scale": False}, "kernel bias"),
    "function": (lambda params: {"body": False, "scale": True}, "scale"),
}


@pytest.mark.parametrize("name", ["adamw", "lion"])
@pytest.mark.parametrize("mask", MASKS)
def test_decay_is_where_the_mask_says(name, mask):
    given, decaying = MASKS[mask]
    amounts = _decayed(name, given)
    wanted = {leaf: RATE * DECAY if leaf in decaying.split() else 0.0 for leaf in amounts}
    assert amounts == pytest.approx(wanted, abs=1e-6)


def test_bad_masks():
    for mask, message in (("matrix", "mask = 'matrix'"), ([("body", True)], "scale"), ({"body": True}, "scale")):
        with pytest.raises(ValueError, match=message):
            optimizers.adamw(RATE, decay_mask=mask).init(PARAMS)


def test_mask_made_from_an_nnx_state():
    class Model(nnx.Module):
        def __init__(self):
            self.body = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

    model = Model()
    boxed = nnx.state(model, nnx.Param)
    mask = nnx.to_pure_dict(boxed) | {"body": {"kernel": True, "bias": False}}
    tx = optimizers.adamw(RATE, weight_decay=DECAY, decay_mask=mask)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    before = np.asarray(model.body.kernel[...])
    zero = nnx.state(model, nnx.Param)
    nnx.replace_by_pure_dict(zero, {"body": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}})
    optimizer.update(model, zero)
    np.testing.assert_allclose(model.body.kernel[...], (1 - RATE * DECAY) * before, rtol=1e-6)
