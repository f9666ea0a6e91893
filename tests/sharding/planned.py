"""Training steps compiled for eight devices, there or not, and the bytes that each layout must send at least."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxlab.core import tree
from jaxlab.models import GPT, MLP, PureModel, pure
from jaxlab.optimizers import Recipe
from jaxlab.sharding import Layout
from jaxlab.train import TrainState, abstract_state, make_train_step

# A mesh of eight devices and a stage of ZeRO; into how many parts parameters, gradients and moments are cut.
LAYOUTS = {
    "data": ("data=8", 0, 1, 1, 1),
    "zero-1": ("data=8", 1, 1, 8, 8),
    "zero-2": ("data=8", 2, 1, 8, 8),
    "zero-3": ("fsdp=8", 3, 8, 8, 8),
    "tensor": ("tensor=8", 0, 8, 8, 8),
    "data-tensor": ("data=4,tensor=2", 0, 2, 2, 2),
    "mixed": ("data=2,fsdp=2,tensor=2", 3, 4, 8, 8),
}
HYPERPARAMS = {"learning_rate": 1e-3}
BUILD = Recipe("adamw").build


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model, its loss and its batch.

    Attributes:
      summed: arrays of as many numbers as the residual stream of the whole batch has, which tensor parallelism sums in
        a step: one for each pair of matrices and direction, but for the cotangent of the model's input.
      stream: how many these are.
    """

    model: PureModel
    error: Callable[[jax.Array, Any], jax.Array]
    batch: Any
    summed: int
    stream: int

    def loss(self, params: Any, batch: Any, key: jax.Array) -> Any:
        return self.error(self.model.apply(params, batch["x"]), batch["y"]), {}

    def layout(self, mesh: Any, zero: int) -> Layout:
        rules = self.model.tensor_rules() if "tensor" in mesh.shape else ()
        return Layout(mesh, rules, zero=zero)

    def state(self, layout: Layout, **options: Any) -> TrainState:
        return abstract_state(self.model.init, BUILD, HYPERPARAMS, key=jax.random.key(0), layout=layout, **options)

    def compiled(self, layout: Layout, policy: str | None = None, **options: Any) -> jax.stages.Compiled:
        step = make_train_step(self.loss, BUILD, layout=layout, policy=policy, **options)
        return step.lower(self.state(layout, policy=policy), layout.abstract_batch(self.batch)).compile()


def mlp(width: int, hidden: int, examples: int) -> Subject:
    model = pure(lambda rngs: MLP((width, hidden, width, hidden, width), rngs=rngs))
    x = jax.ShapeDtypeStruct((examples, width), jnp.float32)
    return Subject(model, lambda y, z: jnp.mean((y - z) ** 2), {"x": x, "y": x}, 3, examples * width)


def gpt(width: int, heads: int, examples: int, length: int) -> Subject:
    model = pure(lambda rngs: GPT(width, width=width, layers=1, heads=heads, rngs=rngs))
    x = jax.ShapeDtypeStruct((examples, length), jnp.int32)
    return Subject(model, _surprise, {"x": x, "y": x}, 6, examples * length * width)


def _surprise(logits: jax.Array, words: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits.astype(jnp.float32)), words[..., None], -1))


def least_sent(subject: Subject, layout: Layout, compute: int) -> float:
    """The bytes that each device sends in a step at least, numbers of ``compute`` bytes computed with, 4 kept.

    Stage 0 sums gradients. Stages 1 and 2 scatter them and gather new parameters. Stage 3 scatters them, and gathers
    parameters twice along ``fsdp``; along ``data`` what a device has new of its share is gathered.
    """
    sizes = {name: layout.axes.get(name, 1) for name in ("data", "fsdp", "tensor")}
    examples = sizes["data"] * sizes["fsdp"]
    params = jax.eval_shape(subject.model.init, jax.random.key(0))
    kept, shared, whole = (jax.tree.leaves(layout.shardings(params, stage=stage)) for stage in (3, 1, 4))
    total = 0.0
    for leaf, *places in zip(jax.tree.leaves(params), kept, shared, whole, strict=True):
        held, share, used = (math.prod(place.shard_shape(leaf.shape)) for place in places)
        total += compute * moved(used, examples)  # The gradient is summed: all give what others keep,
        if share == used:
            total += compute * moved(used, examples)  # and have all of it in the end.
        total += 4 * moved(held, held // share)
        total += 2 * compute * moved(used, used // held)
    return total + compute * 2 * moved(subject.summed * subject.stream / examples, sizes["tensor"])


def moved(size: float, devices: int) -> float:
    """What each device sends of so many numbers to scatter or to gather them."""
    return size * (devices - 1) / devices


def kernels(params: Any) -> dict[str, Any]:
    """Parameters that layouts cut: scales and biases are small."""
    return {name: leaf for name, leaf in zip(tree.names(params), jax.tree.leaves(params), strict=True) if leaf.ndim > 1}
