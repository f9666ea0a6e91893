"""The loss of a language model: by hand, in chunks, in half precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from jaxlab.core import tree
from jaxlab.models import GPT, LanguageLoss, pure

MODEL = pure(lambda rngs: GPT(11, width=8, layers=1, heads=2, rngs=rngs))
PARAMS = jax.jit(MODEL.init)(jax.random.key(0))
PARAMS["head"]["kernel"] *= 50  # So that the logits are far from equal.
TOKENS = np.random.RandomState(0).randint(0, 11, (3, 8))
BATCH = {"x": TOKENS[:, :-1].astype(np.uint8), "y": TOKENS[:, 1:].astype(np.uint8)}


def evaluated(chunk_size, params=PARAMS):
    loss = LanguageLoss(MODEL, z_loss=0.01, chunk_size=chunk_size)
    return jax.jit(jax.value_and_grad(loss, has_aux=True))(params, BATCH, None)


@pytest.fixture(scope="module")
def whole():
    return evaluated(None)


def test_by_hand(whole):
    (loss, metrics), _ = whole
    logits = np.float64(jax.jit(MODEL.apply)(PARAMS, BATCH["x"]))
    normaliser = logsumexp(logits, axis=-1)
    entropy = np.mean(normaliser - np.take_along_axis(logits, TOKENS[:, 1:, None], -1)[..., 0])
    np.testing.assert_allclose(metrics["bits_per_token"], entropy / np.log(2), rtol=1e-6)
    np.testing.assert_allclose(loss, entropy + 0.01 * np.mean(normaliser**2), rtol=1e-6)


@pytest.mark.parametrize("chunk_size", [4, 1000])  # 21 tokens, and a last chunk that is not full
def test_in_chunks_it_is_the_same(chunk_size, whole):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), evaluated(chunk_size), whole)


def test_half_precision_rounds_no_logits_and_chunks_agree(whole):
    half = tree.cast(PARAMS, jnp.bfloat16)
    (loss, metrics), slopes = evaluated(None, half)
    (chunked, _), _ = evaluated(4, half)
    assert loss.dtype == metrics["bits_per_token"].dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(slopes)} == {jnp.dtype(jnp.bfloat16)}
    np.testing.assert_allclose(chunked, loss, rtol=1e-5)
    np.testing.assert_allclose(loss, whole[0][0], rtol=0.02)


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_evaluation_is_the_loss_token_by_token(chunk_size, dtype):
    params, loss = tree.cast(PARAMS, dtype), LanguageLoss(MODEL, chunk_size=chunk_size)
    weight = (np.arange(21).reshape(3, 7) % 2).astype(np.float32)
    weighed, (_, metrics) = jax.jit(lambda p: (loss.nats(p, {**BATCH, "weight": weight}), loss(p, BATCH)))(params)
    each = jax.jit(loss.nats)(params, BATCH)
    assert each.dtype == jnp.float32
    np.testing.assert_allclose(np.mean(each) / np.log(2), metrics["bits_per_token"], rtol=1e-5)
    np.testing.assert_allclose(weighed, weight * each, rtol=1e-5)


def test_noise_follows_the_key():
    noisy = LanguageLoss(pure(lambda rngs: GPT(11, width=8, layers=1, heads=2, dropout=0.5, rngs=rngs)))
    run = jax.jit(lambda key: noisy(PARAMS, BATCH, key)[0])
    assert run(jax.random.key(1)) == run(jax.random.key(1)) != run(jax.random.key(2))


def test_bad_numbers_are_named():
    with pytest.raises(ValueError, match=r"z_loss = -1.0: accepted is a number in \[0, inf\)"):
        LanguageLoss(MODEL, z_loss=-1.0)
    with pytest.raises(ValueError, match="chunk_size = 0"):
        LanguageLoss(MODEL, chunk_size=0)
