"""The compiled programs of a training run: the step, the evaluation, what is looked at, what is written."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jaxtyping import Array, Float, Int, PyTree

from jaxlab import sharding
from jaxlab.core import hyper, tree
from jaxlab.models.generate import generate
from jaxlab.models.language import LanguageLoss
from jaxlab.models.pure import Params, PureModel
from jaxlab.precision import Policy
from jaxlab.sharding import Layout
from jaxlab.text import Stream
from jaxlab.train import TrainState, make_train_step, params_to_evaluate
from jaxlab.train.state import Build
from jaxlab.train.stopwatch import Stopwatch

GROUPS = (("norm", "norms"), ("attention", "attention"), ("mlp", "mlp"), ("embed", "embedding"), ("head", "head"))
"""To which part of the model a parameter belongs, by its name: the first that is found in it."""


class GroupNorms(NamedTuple):
    """The Euclidean norm of the last step's gradient, part by part of the model."""

    norms: dict[str, Float[Array, ""]]


def by_group(params: PyTree[Array]) -> dict[str, list[Array]]:
    """The leaves of each part of the model."""
    found: dict[str, list[Array]] = {}
    names = tree.names(params)
    for group, leaf in zip(tree.match_rules(GROUPS, names), jax.tree.leaves(params), strict=True):
        found.setdefault(group, []).append(leaf)
    return found


def remembering_norms(build: Build) -> Build:
    """An optimizer that keeps the norms of the gradient in its state: no program of its own computes them."""

    def init(params: PyTree) -> GroupNorms:
        return GroupNorms({group: jnp.zeros((), hyper.arithmetic_dtype()) for group in by_group(params)})

    def update(updates: PyTree, state: Any, params: PyTree | None = None) -> tuple[PyTree, GroupNorms]:
        del state, params
        return updates, GroupNorms({group: tree.global_norm(leaves) for group, leaves in by_group(updates).items()})

    return lambda hyperparams: optax.chain(optax.GradientTransformation(init, update), build(hyperparams))


@dataclasses.dataclass(frozen=True)
class Programs:
    """What a run computes, for its model, its precision and its layout.

    Attributes:
      model, loss, build, policy, accumulate, layout: of the training step.
      clock: keeps the time of compilation.
    """

    model: PureModel
    loss: LanguageLoss
    build: Build
    policy: Policy
    accumulate: int
    layout: Layout | None
    clock: Stopwatch

    def step(self, state: TrainState, batch: PyTree) -> Callable[[TrainState, PyTree], tuple[TrainState, Any]]:
        """The training step, compiled for such a state and such batches."""
        step = make_train_step(
            self.loss, self.build, policy=self.policy, accumulate=self.accumulate, layout=self.layout
        )
        return self.clock.compile(step, state, batch)

    def nats(self, state: TrainState, batch: PyTree) -> Callable[[TrainState, PyTree], Float[Array, " b"]]:
        """The evaluation: the sum over each window of what its tokens cost, weighed."""

        def program(state: TrainState, batch: PyTree) -> Float[Array, " b"]:
            return jnp.sum(self.loss.nats(self._weights(state), batch), axis=1)

        return self._compiled(program, state, batch)

    def look(self, state: TrainState, x: Array) -> Callable[[TrainState, Array], dict[str, Any]]:
        """The root mean square of each part's parameters, and what the stream is like after each layer."""

        def program(state: TrainState, x: Array) -> dict[str, Any]:
            params = params_to_evaluate(state)
            size = {group: sum(leaf.size for leaf in leaves) for group, leaves in by_group(params).items()}
            rms = {group: tree.global_norm(some) / size[group] ** 0.5 for group, some in by_group(params).items()}
            return {"parameter_rms": rms, **self.model.bind(self._weights(state)).activations(x)}

        return self._compiled(program, state, x)

    def write(
        self, state: TrainState, begun: Int[np.ndarray, "n given"], length: int, temperature: float, window: int
    ) -> Callable[[TrainState], Int[Array, "n length"]]:
        """The text that the model writes after some beginnings, seeing a window: for a state always the same."""

        def program(state: TrainState) -> Int[Array, "n length"]:
            key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), 2)
            weights = self._weights(state)
            begin, options = jnp.asarray(begun), {"temperature": temperature, "window": window}
            return generate(self.model, weights, begin, length, **options, key=key)

        # Without a mesh that is set: a few texts are divided by no mesh, and a token alone need not be.
        return self._compiled(program, state, mesh=False)

    def put(self, batch: PyTree) -> PyTree:
        """A batch of which this process has all, where the programs take it."""
        if self.layout is None:
            return batch
        leaves, rows = jax.tree.leaves(batch), lambda numbers: jax.tree.map(lambda leaf: leaf[numbers], batch)
        return sharding.feed(rows, np.arange(len(leaves[0])), self.layout)

    def batches(self, stream: Stream, step: int) -> Generator[PyTree]:
        """Those of a step and all after it, read ahead; each process reads the rows of its own devices."""
        if self.layout is None:
            yield from stream.from_step(step)
            return
        numbers = np.arange(stream.batch_size)
        rows = sharding.rows(stream.batch_size, self.layout)
        for read in stream.from_step(step, rows):
            yield sharding.feed(lambda _, read=read: read, numbers, self.layout)

    def _weights(self, state: TrainState) -> Params:
        """The parameters to evaluate, as the model computes with them."""
        weights = self.policy.cast_weights(params_to_evaluate(state))
        return weights if self.layout is None else self.layout.gather(weights)

    def _compiled(self, program: Callable[..., Any], *arguments: Any, mesh: bool = True) -> Any:
        if self.layout is None:
            return self.clock.compile(jax.jit(program), *arguments)
        jitted = jax.jit(program, out_shardings=self.layout.everywhere)
        with jax.set_mesh(self.layout.mesh) if mesh else contextlib.nullcontext():
            return self.clock.compile(jitted, *arguments)


def layout_of(
    text: str | None, zero: int | None, model: PureModel, *, scanned: str | None, heads: int
) -> Layout | None:
    """The layout of a text such as ``data=2,tensor=2``; None for one device.

    Args:
      text, zero: of :class:`~jaxlab.sharding.Layout`.
      model: whose rules cut it where the mesh has an axis ``tensor``.
      scanned: names of parameters that are stacked over layers.
      heads: how many are the fewest of a layer, which ``tensor`` must divide.

    Raises:
      ValueError: a text that means no mesh of the devices here; a stage without a layout; heads that are not divided.
    """
    if text is None:
        if zero is not None:
            raise ValueError(f"zero = {zero}: accepted beside a layout, such as --layout data=-1")
        return None
    mesh = sharding.make_mesh(text)
    tensor = mesh.shape.get("tensor", 1)
    if heads % tensor:
        raise ValueError(f"layout = {text!r}: accepted of tensor are divisors of {heads}, the heads of keys and values")
    rules = model.tensor_rules() if tensor > 1 else ()
    layout = Layout(mesh, rules, zero=zero, batch=("batch", "sequence"), scanned=scanned)
    layout.shardings(jax.eval_shape(model.init, jax.random.key(0)))
    return layout


def check_batch(layout: Layout | None, batch_size: int, accumulate: int, context: int) -> None:
    """Refuses batches that accumulation or the layout does not divide.

    Raises:
      ValueError: it names the batch size.
    """
    hyper.integer("accumulate", accumulate, at_least=1)
    if batch_size % accumulate:
        raise ValueError(f"accumulate = {accumulate}: accepted are divisors of batch_size = {batch_size}")
    rows = batch_size // accumulate
    if layout is not None:
        parts = "" if accumulate == 1 else f" in {accumulate} parts"
        shape = jax.ShapeDtypeStruct((rows, context), np.int32)
        layout.batch_shardings(shape, what=f"batch_size = {batch_size}{parts}, context = {context}: a batch")


def digest(params: Params) -> str:
    """SHA-256 of all parameters, with their names, types and shapes; the same under any layout."""
    total = hashlib.sha256()
    for name, leaf in zip(tree.names(params), jax.tree.leaves(params), strict=True):
        whole = leaf if leaf.is_fully_addressable else multihost_utils.process_allgather(leaf, tiled=True)
        host = np.asarray(whole)
        total.update(f"{name} {host.dtype} {host.shape}\0".encode() + host.tobytes())
    return total.hexdigest()
