"""A Flax NNX project with its own ``nnx.Optimizer`` and loop, before and after one line is changed.

Run: python tests/clients/nnx_optimizer.py
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

import jaxlab


class MLP(nnx.Module):
    """One hidden layer."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(4, 16, rngs=rngs)
        self.out = nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Shapes: [batch, 4] -> [batch, 1]."""
        return self.out(nnx.tanh(self.hidden(x)))


@nnx.jit
def step(model: MLP, optimizer: nnx.Optimizer, x: Array, y: Array) -> Array:
    """One step in place; the loss before it."""

    def loss_fn(model: MLP) -> Array:
        return jnp.mean((model(x) - y) ** 2)

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


def train(tx: optax.GradientTransformation, steps: int = 100) -> list[float]:
    """The loss at each step of a fit to a smooth function of four numbers."""
    x = jax.random.normal(jax.random.key(0), (64, 4))
    y = jnp.sin(x).sum(axis=1, keepdims=True)
    model = MLP(nnx.Rngs(1))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    return [float(step(model, optimizer, x, y)) for _ in range(steps)]


def main() -> None:
    """Trains with both and compares."""
    before = train(tx=optax.adamw(1e-2))
    after = train(tx=jaxlab.optimizers.adamw(1e-2))
    print(f"loss {before[0]:.3f} -> {before[-1]:.4f} with optax, {after[0]:.3f} -> {after[-1]:.4f} with jaxlab")
    assert after[-1] < 0.1 * after[0], after
    assert abs(after[-1] - before[-1]) < 0.05 * before[-1], (before[-1], after[-1])


if __name__ == "__main__":
    main()
