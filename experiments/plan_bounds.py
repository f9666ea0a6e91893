"""What no program of a plan can go below: arithmetic on the sizes of a GPT, nothing compiled."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import jax

from experiments.plan_step import Choice, Training, batch_of, state_of
from jaxlab import aot
from jaxlab.core.chips import Chip
from jaxlab.core.cost import bytes_per_device
from jaxlab.models.sizes import GPTShape
from jaxlab.sharding import Layout
from jaxlab.sharding.collectives import SHARE, Collective

HALF = 2
"""Bytes of a number that the model computes with."""
LOGIT = 10
"""Bytes of each logit: as it is made, in float32, and its gradient."""
COPIES = {"kept": 1.7, "gradients": 4.0}
"""How much more than must be kept a program is likely to hold, of activations and of gradients (in float32, too)."""


class Bound(NamedTuple):
    """What no program of a plan can go below, on each chip.

    Attributes:
      memory: bytes: the arguments, and the larger of all gradients and what the backward pass waits for; their sum
        where gradients are summed over micro-batches.
      likely: bytes, as a guess from what compiled steps took: :data:`COPIES` beside, and a micro-batch's logits.
      compute: seconds of matrix products at the chip's peak, those included that the backward pass makes again.
      links: seconds of what must be sent.
      weights: seconds, as a guess: each micro-batch reads the weights forward and backward, and adds to gradients.
    """

    memory: float
    likely: float
    compute: float
    links: float
    weights: float

    @property
    def seconds(self) -> float:
        """Of a step, if everything runs side by side."""
        return max(self.compute, self.links)

    @property
    def guess(self) -> float:
        """Of a step, if nothing does: plans are tried in that order."""
        return self.compute + self.links + self.weights


class Holding(NamedTuple):
    """What each device holds and sends under a mesh and a stage, whatever the rest of a plan.

    Attributes:
      layout: that it is about.
      arguments: bytes of state and batch.
      gradients: bytes of all gradients, each device's share.
      summed: the same while micro-batches are summed.
      used: bytes of the parameters as the model computes with them, whole along the axes of ZeRO.
    """

    layout: Layout
    arguments: float
    gradients: float
    summed: float
    used: float


def holding_of(training: Training, layout: Layout) -> Holding:
    """What it is under a layout."""
    state, batch = state_of(training, layout), batch_of(training, layout)

    def held(stage: int) -> float:
        places = layout.shardings(state.params, stage=stage)
        there = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, "bfloat16", sharding=place), state.params, places
        )
        return bytes_per_device(there)

    return Holding(layout, bytes_per_device((state, batch)), held(1), held(2), held(4))


def bound_of(training: Training, choice: Choice, holding: Holding, chip: Chip) -> Bound:
    """The bound of one plan."""
    axes = {name: holding.layout.axes.get(name, 1) for name in ("data", "fsdp", "tensor")}
    examples = axes["data"] * axes["fsdp"]
    tokens = training.batch * training.context / examples
    devices = examples * axes["tensor"]
    micro, shape = choice.accumulate, training.shape
    kept = kept_per_token(shape, training.context, choice.remat, axes["tensor"]) * tokens / micro
    gradients = holding.summed if micro > 1 else holding.gradients
    alive = gradients + kept if micro > 1 else max(gradients, kept)

    again = again_per_token(shape, training.context, choice.remat) * training.batch * training.context
    products = training.model_flops + again + optimizer_flops(training)
    links = sum(
        sent / aot.rate(Collective(kind, along, 0, 1, sent, True), holding.layout.mesh, chip)
        for kind, along, sent in _sent(training, choice, holding, axes, tokens)
    )
    logits = LOGIT * min(tokens / micro, training.chunk_size or math.inf) * shape.vocabulary / axes["tensor"]
    return Bound(
        memory=holding.arguments + alive,
        likely=holding.arguments + COPIES["kept"] * kept + COPIES["gradients"] * gradients + logits,
        compute=products / devices / chip.peak_flops,
        links=links,
        weights=micro * 4 * holding.used / chip.bandwidth,
    )


def kept_per_token(shape: GPTShape, context: int, remat: str, tensor: int) -> float:
    """Bytes of each token that all blocks keep for the backward pass, at least.

    ``full`` keeps the stream before each block; ``dots`` also what the products with weights make; ``none`` also what
    goes into them, and the weights of attention.
    """
    keys = shape.width * shape.kv_heads / shape.heads
    gates = 2 if shape.activation == "swiglu" else 1
    numbers = float(shape.width)
    if remat != "full":
        numbers += shape.width + (shape.width + 2 * keys + gates * shape.hidden) / tensor
    if remat == "none":
        # The weights of attention are kept in float32.
        numbers += 2 * shape.width + (shape.width + shape.hidden + 2 * shape.heads * context) / tensor
    return HALF * shape.layers * numbers


def again_per_token(shape: GPTShape, context: int, remat: str) -> float:
    """Operations of each token that the backward pass does again: all of a block but its last product, or none.

    ``dots`` makes again the products of attention, which are no products with weights.
    """
    attention = 4 * shape.width * context
    keys = shape.width * shape.kv_heads / shape.heads
    gates = 2 if shape.activation == "swiglu" else 1
    weights = 2 * shape.width * (2 * shape.width + 2 * keys + gates * shape.hidden)
    each = {"none": 0.0, "dots": attention, "full": weights + attention}[remat]
    return shape.layers * each


def optimizer_flops(training: Training) -> float:
    """Operations of Muon's five iterations on all matrices, each counted once; other optimizers': none."""
    if training.optimizer != "muon":
        return 0.0
    shape = training.shape
    keys = round(shape.width * shape.kv_heads / shape.heads)
    up = 2 if shape.activation == "swiglu" else 1
    matrices = [(shape.width, shape.width)] * 2 + [(shape.width, keys)] * 2 + [(shape.width, shape.hidden)] * (up + 1)
    # The products of a matrix with itself, of that with itself, and of the polynomial with the matrix.
    once = [2 * min(m) ** 2 * max(m) + 2 * min(m) ** 3 + 2 * min(m) ** 2 * max(m) for m in matrices]
    return 5.0 * shape.layers * sum(once)


def _sent(
    training: Training, choice: Choice, holding: Holding, axes: dict[str, int], tokens: float
) -> Iterable[tuple[str, tuple[str, ...], float]]:
    """Kind, mesh axes and bytes of what each device must send in a step."""
    among = tuple(name for name in ("data", "fsdp") if axes[name] > 1)
    examples = math.prod(axes[name] for name in among)
    if among:
        # Gradients are summed: all give what others keep, and have all of it in the end, or the parameters that follow.
        each = SHARE["all-gather"](examples) * holding.used
        times = choice.accumulate if choice.zero == 3 else 1
        yield "reduce-scatter", among, each
        yield "all-gather", among, 0.0 if choice.zero == 3 else each
        if choice.zero == 3:
            own = SHARE["all-gather"](axes["fsdp"]) * holding.used
            yield "all-gather", ("fsdp",), 2 * times * own
    if axes["tensor"] > 1:
        # Each of a block's two branches is summed once forward and once backward.
        stream = HALF * tokens * training.shape.width
        yield "all-reduce", ("tensor",), 4 * training.shape.layers * SHARE["all-reduce"](axes["tensor"]) * stream
