"""AdamW's step through jaxlab's engine, beside optax, PyTorch's fused one and the bandwidth of memory.

Run: python benchmarks/optimizer_step.py [--rounds 40] [--json FILE]
PyTorch takes part where it is installed, with as many threads as cores.

Two models: eight large matrices, where memory is the limit, and 600 small ones, where the program's overhead
is. The floor moves as many bytes as a float32 AdamW must (reads parameter, gradient and two moments, writes
all but the gradient: 28 bytes a parameter) in one array, and computes next to nothing. Optax takes part twice:
its ratio to itself is what the machine's noise alone makes.
"""

import importlib.util
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxlab
from benchmarks.side_by_side import Contestant, arguments, race, save, show, summary

MODELS = {"8 of 1024 x 1024": [(1024, 1024)] * 8, "600 of 32 x 32": [(32, 32)] * 600}
BYTES = 28
SETTINGS: dict[str, Any] = {"b1": 0.9, "b2": 0.95, "eps": 1e-8, "weight_decay": 0.1}


def with_transform(tx: optax.GradientTransformation, shapes: list[tuple[int, ...]]) -> Contestant:
    """One jitted step on donated parameters and state."""

    def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params = leaves(shapes, 0)
    held = [params, tx.init(params)]
    grads, jitted = leaves(shapes, 1), jax.jit(step, donate_argnums=(0, 1))

    def work() -> None:
        held[:] = jax.block_until_ready(jitted(*held, grads))

    return work


def floor(shapes: list[tuple[int, ...]]) -> Contestant:
    """Reads and writes, in one array, as many bytes as the optimizer must."""
    parameters = sum(math.prod(shape) for shape in shapes)
    held = [jnp.zeros(parameters * BYTES // 8)]
    jitted = jax.jit(lambda x: x + 1, donate_argnums=0)

    def work() -> None:
        held[:] = [jax.block_until_ready(jitted(*held))]

    return work


def with_torch(shapes: list[tuple[int, ...]]) -> Contestant:
    """PyTorch's fused AdamW."""
    import torch  # noqa: PLC0415 - optional

    params = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    for p in params:
        p.grad = torch.randn(p.shape)
    optimizer = torch.optim.AdamW(params, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True)
    return optimizer.step


def leaves(shapes: list[tuple[int, ...]], seed: int) -> dict[str, Any]:
    """Random leaves of these shapes."""
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return {f"leaf_{i}": jax.random.normal(key, shape) for i, (key, shape) in enumerate(zip(keys, shapes, strict=True))}


def main() -> None:
    """Runs both models and prints a table each."""
    chosen = arguments(__doc__, rounds=40)
    content = {}
    for model, shapes in MODELS.items():
        builders = {
            "optax": partial(with_transform, optax.adamw(1e-3, **SETTINGS), shapes),
            "jaxlab": partial(with_transform, jaxlab.optimizers.adamw(1e-3, **SETTINGS), shapes),
            "optax again": partial(with_transform, optax.adamw(1e-3, **SETTINGS), shapes),
        }
        if importlib.util.find_spec("torch"):
            builders["torch fused"] = partial(with_torch, shapes)
        builders["memory floor"] = partial(floor, shapes)
        figures = summary(race(builders, chosen.rounds, repeats=5), "optax")
        show(f"AdamW step, {model}", figures, "optax")
        content[model] = figures
    save(chosen.json, {"benchmark": "optimizer_step", "settings": SETTINGS, "figures": content})


if __name__ == "__main__":
    main()
