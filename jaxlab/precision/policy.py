"""Which dtype parameters, computation and results have: one dial for a whole training step."""

import dataclasses
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxlab.core import hyper, tree
from jaxlab.precision.auto import choose
from jaxlab.precision.loss_scale import LossScale
from jaxlab.precision.ranges import Range
from jaxlab.precision.saturate import saturating_cast

DTYPES = ("float32", "bfloat16", "float16")

logger = logging.getLogger("jaxlab")


@dataclasses.dataclass(frozen=True)
class Policy:
    """The dtypes of a training step; None leaves a thing as it comes.

    Optimizer arithmetic and the application of updates are float32 whatever the policy says.

    A layer of jaxlab's models computes in the dtype of its own parameters and casts its input to it, so an exception
    holds for the layer that it names and for no other. Layers that promote, such as Flax's own, compute in float32
    from the first float32 layer on.

    Attributes:
      param: how parameters are kept between steps.
      compute: what the model sees, parameters and floating inputs alike.
      output: the loss and the metrics.
      loss_scale: how the loss is scaled while gradients are computed, or None. Everything that an optimizer sees is
        unscaled.
      exceptions: ordered ``(regular expression, dtype)`` rules over the names of parameters: the first that is found
        in a name is this parameter's compute dtype. Inputs follow ``compute``.
      saturate: whether numbers beyond the range of the compute dtype become its largest finite one, where parameters
        and inputs are cast to it (:func:`~jaxlab.precision.saturating_cast`), rather than infinity.
      reason: why these dtypes, where jaxlab chose them. It makes no policy another one.

    Raises:
      ValueError: a dtype other than float32, bfloat16, float16; an exception that is no regular expression or, as
        soon as parameters are cast, matches none of them.
      TypeError: exceptions of another form, a loss scale that is no :class:`LossScale`.

    >>> policy = Policy(param="float32", compute="bfloat16", exceptions=[("norm|head", "float32")])
    >>> params = {"dense/kernel": jnp.ones(2), "norm/scale": jnp.ones(2), "head/kernel": jnp.ones(2)}
    >>> {name: str(leaf.dtype) for name, leaf in policy.cast_weights(params).items()}
    {'dense/kernel': 'bfloat16', 'head/kernel': 'float32', 'norm/scale': 'float32'}
    """

    param: str | None = None
    compute: str | None = None
    output: str | None = None
    loss_scale: LossScale | None = None
    exceptions: Sequence[tuple[str, str]] = ()
    saturate: bool = False
    reason: str = dataclasses.field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in ("param", "compute", "output"):
            dtype = getattr(self, name)
            if dtype is not None:
                hyper.one_of(f"policy.{name}", dtype, DTYPES)
        if self.loss_scale is not None and not isinstance(self.loss_scale, LossScale):
            raise TypeError(
                f"policy.loss_scale = {self.loss_scale!r}: accepted is a jaxlab.precision.LossScale, or None"
            )
        hyper.flag("policy.saturate", self.saturate)
        rules = tree.check_rules("policy.exceptions", self.exceptions, "(regular expression, dtype) rules")
        for pattern, dtype in rules:
            hyper.one_of(f"policy.exceptions: {pattern!r}", dtype, DTYPES)
        object.__setattr__(self, "exceptions", rules)  # A tuple, so that equal policies have one hash.

    def __str__(self) -> str:
        """In words.

        >>> print(Policy(param="float32", compute="float16", exceptions=[("head", "float32")]))
        parameters float32, compute float16 (but float32 for head), results as they come
        """
        rules = ", ".join(f"{dtype} for {pattern}" for pattern, dtype in self.exceptions)
        said = (
            f"parameters {self.param or 'as they come'}",
            f"compute {self.compute or 'as they come'}" + (f" (but {rules})" if rules else ""),
            f"results {self.output or 'as they come'}",
            *(["with a loss scale"] if self.loss_scale else []),
            *(["casts saturate"] if self.saturate else []),
        )
        return ", ".join(said) + (f"; {self.reason}" if self.reason else "")

    def cast_params(self, params: PyTree) -> PyTree:
        """Parameters as they are kept.

        Raises:
          ValueError: an exception that matches none of them.
        """
        self.compute_dtypes(tree.names(params))
        return params if self.param is None else tree.cast(params, jnp.dtype(self.param))

    def cast_weights(self, params: PyTree) -> PyTree:
        """Parameters as the model computes with them.

        Raises:
          ValueError: an exception that matches none of them.
        """
        leaves, treedef = jax.tree.flatten(params)
        dtypes = self.compute_dtypes(tree.names(params)).values()
        return treedef.unflatten([self._cast(leaf, dtype) for leaf, dtype in zip(leaves, dtypes, strict=True)])

    def cast_batch(self, batch: PyTree) -> PyTree:
        """A batch as the model sees it. Integers and keys stay."""
        return jax.tree.map(lambda leaf: self._cast(leaf, self.compute), batch)

    def cast_output(self, results: PyTree) -> PyTree:
        """Loss and metrics as they are returned."""
        return results if self.output is None else tree.cast(results, jnp.dtype(self.output))

    def compute_dtypes(self, names: Sequence[str]) -> dict[str, str | None]:
        """The compute dtype of each parameter by name.

        Raises:
          ValueError: an exception that matches none of them.
        """
        for pattern, _ in self.exceptions:
            if not any(re.search(pattern, name) for name in names):
                raise ValueError(
                    f"policy.exceptions: {pattern!r} matches no parameter; the parameters are {', '.join(names)}"
                )
        rules: list[tuple[str, str | None]] = [*self.exceptions, ("", self.compute)]
        return dict(zip(names, tree.match_rules(rules, names), strict=True))

    def raised(self, found: Mapping[str, Range], headroom: float = 1.0) -> "Policy":
        """This policy with float32 for each parameter beside which activations leave the range of its compute dtype.

        The state of a run fits the raised policy as it fitted this one.

        Args:
          found: what :func:`~jaxlab.precision.ranges` found.
          headroom: how many times larger than found activations are still to fit: other batches have other ranges.

        Raises:
          TypeError: ``found`` is something else.
          ValueError: an exception of this policy that matches none of the names found; a headroom below 1.

        >>> from jaxlab.precision import Range
        >>> Policy(compute="float16").raised({"a": Range(3.0, 1e5, 0.0), "b": Range(3.0, 4.0, 0.0)}).exceptions
        (('^a$', 'float32'),)
        """
        hyper.number("headroom", headroom, "[1, inf)")
        if not isinstance(found, Mapping) or not all(isinstance(of, Range) for of in found.values()):
            raise TypeError(f"found = {found!r}: accepted is what jaxlab.precision.ranges returns")
        beyond = [
            (f"^{re.escape(name)}$", "float32")
            for name, dtype in self.compute_dtypes(list(found)).items()
            # Written so that NaN, too, is beyond.
            if dtype is not None
            and dtype != "float32"
            and not found[name].largest * headroom <= float(jnp.finfo(dtype).max)
        ]
        return dataclasses.replace(self, exceptions=(*beyond, *self.exceptions))

    def _cast(self, leaf: Any, dtype: str | None) -> Any:
        if dtype is None or not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            return leaf
        if self.saturate:
            return saturating_cast(jnp.asarray(leaf), jnp.dtype(dtype))
        return jnp.asarray(leaf, jnp.dtype(dtype))


def as_policy(policy: Policy | str | None) -> Policy:
    """A policy from its short form: None (as it comes), the name of the compute dtype, or ``"auto"``.

    ``"bfloat16"`` means float32 parameters, bfloat16 compute, float32 results: the usual mixed precision.
    ``"float16"`` likewise, with a loss scale, for gradients below 6e-8 vanish in it. ``"auto"`` is the one of these
    that suits the first of ``jax.devices()`` (:func:`~jaxlab.precision.auto.choose`); its ``reason`` says why, and the
    logger ``"jaxlab"`` is told at level INFO.

    Raises:
      ValueError: an unknown name.
      TypeError: something else.

    >>> as_policy("bfloat16").param
    'float32'
    """
    if policy is None:
        return Policy()
    if isinstance(policy, Policy):
        return policy
    if not isinstance(policy, str):
        raise TypeError(
            f"policy = {policy!r}: accepted here are None, a Policy and the names auto, {', '.join(DTYPES)}"
        )
    compute, reason = hyper.one_of("policy", policy, ("auto", *DTYPES)), ""
    if compute == "auto":
        compute, reason = choose(jax.devices()[0])
    scale = LossScale() if compute == "float16" else None
    chosen = Policy(param="float32", compute=compute, output="float32", loss_scale=scale, reason=reason)
    if reason:
        logger.info("policy auto: %s", chosen)
    return chosen
