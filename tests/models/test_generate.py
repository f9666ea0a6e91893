"""Generated text: the cache is the whole pass, zero temperature the likeliest token, draws follow the softmax."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxlab.models import GPT, generate, pure

VOCABULARY = 7
MODERN = {"kv_heads": 2, "qk_norm": True, "activation": "relu2"}
TOKENS = np.random.RandomState(0).randint(0, VOCABULARY, (2, 9)).astype(np.int32)


@functools.cache
def small(scan):
    return pure(lambda rngs: GPT(VOCABULARY, width=16, layers=2, heads=4, **MODERN, scan=scan, rngs=rngs))


def params_of(scan):
    rng = np.random.RandomState(1)
    shapes = jax.eval_shape(small(scan).init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.float32(rng.normal(0, 0.5, leaf.shape)), shapes)


@pytest.mark.parametrize("scan", [False, True])
def test_what_follows_a_past_is_what_the_whole_pass_says(scan):
    params = params_of(scan)
    whole = jax.jit(small(scan).apply)(params, TOKENS)
    empty = small(scan).bind(params).nothing_past(2, 12)  # Room for more than there is.
    assert empty.key.shape == empty.value.shape == (2, 2, 12, 2, 4)
    follow = jax.jit(lambda tokens, past, position: small(scan).bind(params).following(tokens, past, position))
    for cuts in ([0, 4, 5, 6, 9], [0, 3, 6, 9]):
        past, found = empty, []
        for start, end in itertools.pairwise(cuts):
            logits, past = follow(TOKENS[:, start:end], past, start)
            found.append(logits)
        np.testing.assert_allclose(np.concatenate(found, axis=1), whole, rtol=1e-4, atol=1e-5)


def test_at_zero_temperature_each_token_is_the_likeliest():
    params, apply = params_of(True), jax.jit(small(True).apply)
    found = jax.jit(lambda prompt: generate(small(True), params, prompt, 6, temperature=0.0, key=jax.random.key(0)))
    written = np.asarray(found(TOKENS[:, :3]))
    assert written.shape == (2, 6)
    assert written.dtype == np.int32
    # Later tokens change no earlier logits, so one pass over all says what followed each.
    logits = np.asarray(apply(params, np.concatenate([TOKENS[:, :3], written], axis=1)))
    np.testing.assert_array_equal(written, logits[:, 2:-1].argmax(-1))


def test_a_window_is_a_prompt_of_that_length():
    # Of one layer: with more, what the window saw has seen further back itself.
    model = pure(lambda rngs: GPT(VOCABULARY, width=16, layers=1, heads=4, **MODERN, scan=True, rngs=rngs))
    params = jax.tree.map(lambda leaf: leaf[:1] if leaf.shape[0] == 2 else leaf, params_of(True))
    gpt = model.bind(params)
    logits, _ = jax.jit(lambda tokens: gpt.following(tokens, gpt.nothing_past(2, 9), 0, 4))(TOKENS)
    whole = jax.jit(model.apply)
    for end in (4, 7, 9):
        np.testing.assert_allclose(
            logits[:, end - 1], whole(params, TOKENS[:, end - 4 : end])[:, -1], rtol=1e-4, atol=1e-5
        )


def test_draws_follow_the_softmax():
    rows, temperature = 4000, 0.7
    params, model = params_of(True), small(True)
    draw = jax.jit(functools.partial(generate, model, steps=2), static_argnames="steps")
    prompt = np.repeat(TOKENS[:1, :3], rows, axis=0)
    written = np.asarray(draw(params, prompt, temperature=temperature, key=jax.random.key(0)))
    assert not np.array_equal(written, draw(params, prompt, temperature=temperature, key=jax.random.key(1)))
    apply = jax.jit(lambda prompts: model.apply(params, prompts)[:, -1] / temperature)

    def probability(prompt, draws):
        """Of so unlikely counts, if the model's softmax made them."""
        expected = len(draws) * np.asarray(jax.nn.softmax(apply(prompt)[0]), np.float64)
        counts = np.bincount(draws, minlength=VOCABULARY)
        some = expected > 5
        counts, expected = ([*x[some], x[~some].sum() + 1e-9] for x in (counts, expected))
        return stats.chisquare(counts, np.array(expected) * sum(counts) / sum(expected)).pvalue

    assert probability(prompt[:1], written[:, 0]) > 1e-3
    common = np.bincount(written[:, 0]).argmax()
    second = written[written[:, 0] == common, 1]
    assert len(second) > 300
    # A prompt of one length more, as the second draw sees it.
    assert probability(np.append(prompt[:1], [[common]], axis=1), second) > 1e-3


def test_bad_arguments_are_named():
    write = functools.partial(generate, small(True), params_of(True), key=jax.random.key(0))
    with pytest.raises(ValueError, match="steps = 0"):
        write(TOKENS, 0)
    with pytest.raises(ValueError, match="window = 0"):
        write(TOKENS, 1, window=0)
    with pytest.raises(ValueError, match=r"temperature = -1.0: accepted is a number in \[0, inf\)"):
        write(TOKENS, 1, temperature=-1.0)
    for prompt in (TOKENS[0], TOKENS[:, :0], jnp.zeros((0, 3), jnp.int32)):
        with pytest.raises(ValueError, match=r"prompt has shape \(.*\): accepted is \(batch, given\)"):
            write(prompt, 1)
