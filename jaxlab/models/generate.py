"""Text that a language model writes, a token at a time."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Int32, Key

from jaxlab.core import hyper
from jaxlab.models.attention import Past
from jaxlab.models.pure import Params, PureModel


def generate(
    model: PureModel,
    params: Params,
    prompt: Int[Array, "batch given"],
    steps: int,
    *,
    temperature: hyper.Scalar = 1.0,
    window: int | None = None,
    key: Key[Array, ""],
) -> Int32[Array, "batch steps"]:
    r"""Tokens that follow a prompt, each drawn from what the model says after those before it.

    .. math:: x_{t+1} \sim \operatorname{softmax}(z_t / \tau)

    Keys and values of the past are kept, so that each token costs the same. A pure function: jit it with ``steps``
    static. Beyond the lengths that the model was trained with it writes on, but seldom well: let ``window`` be that
    length, then every attention sees distances that it knows.

    Args:
      model: of a :class:`~jaxlab.models.gpt.GPT`, or what has its methods ``nothing_past`` and ``following``.
      params: in any floating dtypes; half precision needs half the memory for the past.
      prompt: at least one token for each example.
      steps: how many tokens to write, at least 1; static.
      temperature: :math:`\tau`, at least 0; 0 takes the likeliest token.
      window: how many tokens each layer's attention sees at most, at least 1; None: all that there are.
      key: two runs with one key write the same.

    Raises:
      ValueError: an empty prompt, a temperature below 0, fewer steps than 1, a window below 1.

    Memory: of each layer the keys and values of ``given + steps`` positions for each example.

    >>> from jaxlab.models import GPT, pure
    >>> model = pure(lambda rngs: GPT(256, width=16, layers=2, heads=2, rngs=rngs))
    >>> params = model.init(jax.random.key(0))
    >>> generate(model, params, jnp.array([[104, 105]]), 3, temperature=0.0, key=jax.random.key(1)).shape
    (1, 3)
    """
    steps = hyper.integer("steps", steps, at_least=1)
    window = None if window is None else hyper.integer("window", window, at_least=1)
    temperature = hyper.number("temperature", temperature, "[0, inf)")
    if jnp.ndim(prompt) != 2 or 0 in jnp.shape(prompt):
        raise ValueError(f"prompt has shape {jnp.shape(prompt)}: accepted is (batch, given), at least one token each")
    prompt = jnp.asarray(prompt, jnp.int32)
    batch, given = prompt.shape
    gpt = model.bind(params)
    logits, past = gpt.following(prompt, gpt.nothing_past(batch, given + steps), jnp.int32(0), window)

    def drawn(logits: Array, number: Array) -> Int32[Array, "batch 1"]:
        logits = logits[:, -1].astype(hyper.arithmetic_dtype())
        # Where the temperature is zero the quotient is not used, but must not be NaN either.
        cooled = logits / jnp.where(temperature > 0, temperature, 1)
        some = jax.random.categorical(jax.random.fold_in(key, number), cooled, axis=-1)
        return jnp.where(temperature > 0, some, jnp.argmax(logits, axis=-1))[:, None].astype(jnp.int32)

    def step(carry: tuple[Array, Past], number: Array) -> tuple[tuple[Array, Past], Array]:
        token, past = carry
        logits, past = gpt.following(token, past, given + number - 1, window)
        return (drawn(logits, number), past), token[:, 0]

    first = drawn(logits, jnp.int32(0))
    (last, _), written = jax.lax.scan(step, (first, past), jnp.arange(1, steps))
    return jnp.concatenate([written.T, last], axis=1)
