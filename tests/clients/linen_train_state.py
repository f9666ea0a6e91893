"""A Flax Linen project with its own ``TrainState`` and loop, before and after one line is changed.

Run: python tests/clients/linen_train_state.py
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState
from jaxtyping import Array

import jaxlab


class MLP(nn.Module):
    """One hidden layer."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Shapes: [batch, 4] -> [batch, 1]."""
        return nn.Dense(1)(nn.tanh(nn.Dense(16)(x)))


def train(tx: optax.GradientTransformation, steps: int = 100) -> list[float]:
    """The loss at each step of a fit to a smooth function of four numbers."""
    x = jax.random.normal(jax.random.key(0), (64, 4))
    y = jnp.sin(x).sum(axis=1, keepdims=True)
    model = MLP()
    state = TrainState.create(apply_fn=model.apply, params=model.init(jax.random.key(1), x)["params"], tx=tx)

    @jax.jit
    def step(state: TrainState) -> tuple[TrainState, Array]:
        def loss_fn(params: dict) -> Array:
            return jnp.mean((state.apply_fn({"params": params}, x) - y) ** 2)

        loss, grads = jax.value_and_grad(loss_fn)(state.params)
        return state.apply_gradients(grads=grads), loss

    losses = []
    for _ in range(steps):
        state, loss = step(state)
        losses.append(float(loss))
    return losses


def main() -> None:
    """Trains with both and compares."""
    before = train(tx=optax.adamw(1e-2))
    after = train(tx=jaxlab.optimizers.adamw(1e-2))
    print(f"loss {before[0]:.3f} -> {before[-1]:.4f} with optax, {after[0]:.3f} -> {after[-1]:.4f} with jaxlab")
    assert after[-1] < 0.1 * after[0], after
    assert abs(after[-1] - before[-1]) < 0.05 * before[-1], (before[-1], after[-1])


if __name__ == "__main__":
    main()
