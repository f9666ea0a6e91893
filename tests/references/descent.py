"""An optimizer let loose on a plain function, with all that a training step would tell it."""

import jax
import jax.numpy as jnp
import optax


def extras(value_fn, x, residual_fn=None) -> tuple:
    """The gradient, and the extra arguments of ``update``."""
    value, grad = jax.value_and_grad(value_fn)(x)
    known = {
        "value": value,
        "grad": grad,
        "value_fn": value_fn,
        "hvp_fn": lambda at, vector: jax.jvp(jax.grad(value_fn), (at,), (vector,))[1],
    }
    return grad, known | ({} if residual_fn is None else {"residual_fn": residual_fn})


def descend(tx, value_fn, x, steps: int, residual_fn=None) -> tuple:
    """All points from the start to the end, on a leading axis, and the last state; one compiled program."""
    tx = optax.with_extra_args_support(tx)

    @jax.jit
    def run(x):
        def step(carry, _):
            x, state = carry
            grad, known = extras(value_fn, x, residual_fn)
            updates, state = tx.update(grad, state, x, **known)
            return (optax.apply_updates(x, updates), state), x

        (x, state), before = jax.lax.scan(step, (x, tx.init(x)), length=steps)
        return jax.tree.map(lambda all_, last: jnp.concatenate([all_, last[None]]), before, x), state

    return run(x)


def mean_of_squares(residual_fn):
    """The loss of which these are the residuals."""
    return lambda x: jnp.mean(jnp.square(residual_fn(x)))


def rosenbrock_residuals(x):
    """Rosenbrock's valley in any even or odd dimension, scaled so that the mean square is the usual function."""
    count = 2 * (x.size - 1)
    return jnp.sqrt(count) * jnp.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])


rosenbrock = mean_of_squares(rosenbrock_residuals)
