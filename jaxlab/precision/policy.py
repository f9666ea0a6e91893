"""Which dtype parameters, computation and results have: one dial for a whole training step."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import PyTree

from jaxlab.core import hyper, tree

DTYPES = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class Policy:
    """The dtypes of a training step; None leaves a thing as it comes.

    Optimizer arithmetic and the application of updates are float32 whatever the policy says.

    Attributes:
      param: how parameters are kept between steps.
      compute: what the model sees, parameters and floating inputs alike.
      output: the loss and the metrics.

    Raises:
      ValueError: a dtype other than float32, bfloat16, float16.

    >>> Policy(compute="bfloat16")
    Policy(param=None, compute='bfloat16', output=None)
    """

    param: str | None = None
    compute: str | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            dtype = getattr(self, field.name)
            if dtype is not None:
                hyper.one_of(f"policy.{field.name}", dtype, DTYPES)

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
    ``"float16"`` is meant likewise, but without a loss scale gradients below 6e-8 vanish in it.

    Raises:
      ValueError: an unknown name.

    >>> as_policy("bfloat16").param
    'float32'
    """
    if policy is None:
        return Policy()
    if isinstance(policy, Policy):
        return policy
    return Policy(param="float32", compute=hyper.one_of("policy", policy, DTYPES), output="float32")


def _cast(values: PyTree, dtype: str | None) -> PyTree:
    return values if dtype is None else tree.cast(values, jnp.dtype(dtype))
