"""What sees a window of the past sees as much as what has no more past than that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.models import GPT, generate, pure

MODEL = pure(lambda rngs: GPT(11, width=16, layers=1, heads=2, qk_norm=True, rngs=rngs))
TOKENS = np.random.default_rng(0).integers(0, 11, (2, 12))


@pytest.mark.usefixtures("x64")
def test_one_layer_sees_the_last_tokens_as_if_they_were_all():
    # Rotary positions are relative: the same tokens further on are the same to an attention.
    params = MODEL.init(jax.random.key(0))
    gpt, window = MODEL.bind(params), 5
    logits, _ = gpt.following(TOKENS, gpt.nothing_past(2, 12), jnp.int32(0), window)
    for end in (3, 5, 9, 12):
        last = MODEL.apply(params, jnp.asarray(TOKENS[:, max(0, end - window) : end]))
        np.testing.assert_allclose(logits[:, end - 1], last[:, -1], rtol=1e-12, atol=1e-13)


def test_a_window_as_long_as_the_text_is_none():
    params = MODEL.init(jax.random.key(0))
    write = lambda window: generate(MODEL, params, TOKENS, 6, window=window, key=jax.random.key(1))  # noqa: E731
    np.testing.assert_array_equal(write(18), write(None))
    assert (np.asarray(write(2)) != np.asarray(write(None))).any()
    with pytest.raises(ValueError, match="window = 0"):
        write(0)
