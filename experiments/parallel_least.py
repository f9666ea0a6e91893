r"""The bytes that a layout cannot but send, whatever the compiler does.

Among n devices an array of B bytes is summed with :math:`2 \tfrac{n-1}{n} B` sent by each, scattered or gathered with
half of that. For each parameter, over the devices that see different examples or positions:

- stage 0: the gradient is summed;
- stages 1 and 2: the gradient is scattered, the parameter gathered;
- stage 3: the parameter is gathered twice, for the forward and for the backward pass, since kept from the one to the
  other all weights would be whole on every device; the gradient is scattered.

Where ZeRO shares among some of these devices only, the shares are summed among the others. Besides, activations:
:class:`~experiments.parallel_models.Subject` counts them.
"""

import math

import jax
import jax.numpy as jnp

from experiments.parallel_models import Subject
from jaxlab.precision import Policy
from jaxlab.sharding import Layout


def least_sent(subject: Subject, layout: Layout, policy: Policy) -> float:
    """Bytes that each device sends in a step, at least.

    Args:
      subject: model and batch.
      layout: over the devices.
      policy: gradients and activations are sent in its ``compute``, updated parameters in its ``param``.
    """
    kept, computed = (jnp.dtype(name or "float32").itemsize for name in (policy.param, policy.compute))
    axes = {name: layout.axes.get(name, 1) for name in ("data", "fsdp", "sequence", "tensor")}
    examples = axes["data"] * axes["fsdp"]
    apart = examples * axes["sequence"]
    params = subject.parameters
    stages = [jax.tree.leaves(layout.shardings(params, stage=stage)) for stage in (4, 3, 1)]
    sent = 0.0
    for leaf, *places in zip(jax.tree.leaves(params), *stages, strict=True):
        used, held, updated = (math.prod(at.shard_shape(leaf.shape)) for at in places)
        among = used // updated
        gradient = scattered(used, among) + 2 * scattered(updated, apart // among)
        sent += computed * (gradient + 2 * (used - held)) + kept * (held - updated)
    sent += computed * 2 * scattered(subject.summed / apart, axes["tensor"])
    return sent + computed * scattered(subject.gathered / (examples * axes["tensor"]), axes["sequence"])


def scattered(size: float, devices: int) -> float:
    """What each device sends of so many numbers in a scatter or a gather.

    >>> scattered(8, 4), scattered(8, 1)
    (6.0, 0.0)
    """
    return size * (devices - 1) / devices
