"""Which dtype parameters, computation and results have: one dial for a whole training step."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import PyTree

from jaxlab.core import hyper, tree
from jaxlab.precision.loss_scale import LossScale

DTYPES = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class Policy:
    """The dtypes of a training step; None leaves a thing as it comes.

    Optimizer arithmetic and the application of updates are float32 whatever the policy says.

    Attributes:
      param: how parameters are kept between steps.
      compute: what the model sees, parameters and floating inputs alike.
      output: the loss and the metrics.
      loss_scale: how the loss is scaled while gradients are computed, or None. Everything that an optimizer sees is
        unscaled.

    Raises:
      ValueError: a dtype other than float32, bfloat16, float16.

    >>> Policy(compute="bfloat16")
    Policy(param=None, compute='bfloat16', output=None, loss_scale=None)
    """

    param: str | None = None
    compute: str | None = None
    output: str | None = None
    loss_scale: LossScale | None = None

    def __post_init__(self) -> None:
        for name in ("param", "compute", "output"):
            dtype = getattr(self, name)
            if dtype is not None:
                hyper.one_of(f"policy.{name}", dtype, DTYPES)

    def cast_params(self, params: PyTree) -> PyTree:
        """Parameters as they are kept."""
        return _cast(params, self.param)

    def cast_compute(self, values: PyTree) -> PyTree:
        """Parameters or a batch as the model sees them. Integers and keys stay."""
        return _cast(values, self.compute)

    def cast_output(self, results: PyTree) -> PyTree:
        """Loss and metrics as they are returned."""
        return _cast(results, self.output)


def as_policy(policy: Policy | str | None) -> Policy:
    """A policy from its short form: None (as it comes) or the name of the compute dtype.

    ``"bfloat16"`` means float32 parameters, bfloat16 compute, float32 results: the usual mixed precision.
    ``"float16"`` likewise, with a loss scale, for gradients below 6e-8 vanish in it.

    Raises:
      ValueError: an unknown name.

    >>> as_policy("bfloat16").param
    'float32'
    """
    if policy is None:
        return Policy()
    if isinstance(policy, Policy):
        return policy
    compute = hyper.one_of("policy", policy, DTYPES)
    scale = LossScale() if compute == "float16" else None
    return Policy(param="float32", compute=compute, output="float32", loss_scale=scale)


def _cast(values: PyTree, dtype: str | None) -> PyTree:
    return values if dtype is None else tree.cast(values, jnp.dtype(dtype))
