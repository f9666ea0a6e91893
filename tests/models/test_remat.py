"""What the backward pass makes again changes no number, and saves memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.models import GPT, pure
from jaxlab.models.remat import REMATS, rematerialized

TOKENS = jax.ShapeDtypeStruct((8, 64), jnp.uint8)


def compiled(remat):
    model = pure(lambda rngs: GPT(16, width=32, layers=6, heads=2, scan=True, remat=remat, rngs=rngs))

    def loss(params, tokens):
        return jnp.mean(jnp.square(model.apply(params, tokens)))

    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.jit(jax.value_and_grad(loss)).lower(shapes, TOKENS).compile(), shapes


def test_the_less_is_kept_the_less_memory_for_the_same_numbers():
    # Of a loop: layer after layer, whose numbers tests of the loop compare, XLA keeps on a CPU what is made twice.
    programs = {remat: compiled(remat) for remat in REMATS}
    shapes = programs["none"][1]
    rng = np.random.RandomState(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.2, leaf.shape).astype(np.float32), shapes)
    tokens = rng.randint(0, 16, TOKENS.shape).astype(np.uint8)
    expected = programs["none"][0](params, tokens)
    for remat in ("dots", "full"):
        found = programs[remat][0](params, tokens)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), found, expected)
    used = {remat: program.memory_analysis().temp_size_in_bytes for remat, (program, _) in programs.items()}
    assert used["full"] < used["dots"] < used["none"]
    assert used["full"] < 0.5 * used["none"]


def test_an_unknown_word_is_named():
    with pytest.raises(ValueError, match="remat = 'some'"):
        rematerialized(jnp.sin, "some")
