"""An NNX module as two pure functions over a plain dict of parameters."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from jaxlab.core import hyper, tree
from jaxlab.models.batch_norm import Statistic
from jaxlab.sharding.rules import Rules

Params = dict[str, Any]
"""Parameters by name: nested plain dicts of arrays."""


@dataclasses.dataclass(frozen=True)
class PureModel:
    """A model without a memory; made by :func:`pure`. Its methods can be jitted, mapped and differentiated.

    Attributes:
      build: ``rngs -> module``.
      graphdef: the module without its arrays.
    """

    build: Callable[[nnx.Rngs], nnx.Module]
    graphdef: nnx.GraphDef[Any]

    def init(self, key: Key[Array, ""]) -> Params:
        """Fresh parameters, the same for the same key: float32, or float64 under ``jax_enable_x64``."""
        _, params = nnx.split(self.build(nnx.Rngs(key)), nnx.Param)
        return tree.cast(nnx.to_pure_dict(params), hyper.arithmetic_dtype())

    def apply(self, params: Params, x: Array, key: Key[Array, ""] | None = None) -> Array:
        """The module's output on a batch.

        Args:
          params: as :meth:`init` makes them, in any floating dtypes. Each layer of jaxlab's computes in that of its own
            parameters.
          x: the batch, examples on the leading axis. Floating inputs are cast to the parameters' dtype, if they all
            have the same; otherwise each layer casts what it gets.
          key: for dropout; without one nothing is dropped.
        """
        return self._output(self.bind(params), params, x, key)

    @staticmethod
    def _output(module: Any, params: Params, x: Array, key: Key[Array, ""] | None) -> Array:
        dtypes = {leaf.dtype for leaf in jax.tree.leaves(params)}
        if jnp.issubdtype(x.dtype, jnp.floating) and len(dtypes) == 1:
            x = x.astype(*dtypes)
        return module(x, key)

    def bind(self, params: Params) -> Any:
        """The module with these parameters, for its other methods."""
        return nnx.merge(self.graphdef, params)

    def apply_live(self, params: Params, x: Array, key: Key[Array, ""] | None = None) -> tuple[Array, Params]:
        """The module's output on a batch that is normalised by its own statistics, and the statistics that follow it.

        Args:
          params, x, key: as for :meth:`apply`.

        Returns:
          The output, and the new statistics, nested as in ``params``: what a step with ``has_state`` takes as the
          model's state.

        >>> from jaxlab.models import BatchNorm
        >>> class Normed(BatchNorm):
        ...     def __call__(self, x, key=None):
        ...         return super().__call__(x)
        >>> model = pure(lambda rngs: Normed(1, momentum=0.5))
        >>> output, statistics = model.apply_live(model.init(jax.random.key(0)), jnp.array([[1.0], [3.0]]))
        >>> output.round(2).tolist(), statistics["mean"].tolist()
        ([[-1.0], [1.0]], [1.0])
        """
        module = self.bind(params)
        module.set_attributes(live=True, raise_if_not_found=False)
        output = self._output(module, params, x, key)
        statistics, _ = nnx.split_state(nnx.state(module, nnx.Param), Statistic, ...)
        return output, nnx.to_pure_dict(statistics)

    def tensor_rules(self) -> Rules:
        """Where tensor parallelism cuts this very model's parameters: rules for :class:`~jaxlab.sharding.Layout`.

        As in Megatron-LM: of two matrices in a row the first is cut by columns and the second by rows, so that devices
        add up once for both. Each rule names parameters that the model has, whatever its depth.

        Raises:
          TypeError: the module has no method ``tensor_rules``.

        Reference: Shoeybi et al., https://arxiv.org/abs/1909.08053, section 3.

        >>> from jaxlab.models import MLP
        >>> model = pure(lambda rngs: MLP((3, 8, 2), rngs=rngs))
        >>> [name for name, axes in model.tensor_rules()]
        ['dense_0/kernel$', 'dense_0/bias$', 'dense_1/kernel$']
        """
        module = nnx.eval_shape(lambda: self.build(nnx.Rngs(0)))
        rules_of: Callable[[], Rules] | None = getattr(module, "tensor_rules", None)
        if rules_of is None:
            raise TypeError(
                f"{type(module).__name__} has no method tensor_rules(self) -> ((regular expression, mesh axes), ...): "
                "give the layout rules of your own"
            )
        return rules_of()


def pure(build: Callable[[nnx.Rngs], nnx.Module]) -> PureModel:
    """The pure functions ``init`` and ``apply`` of a module.

    Args:
      build: makes the module from its random number generators. The module is called as ``module(x, key)``
        and holds no variables but ``nnx.Param``.

    Raises:
      ValueError: from ``nnx.split``, a module that holds other variables.

    >>> from jaxlab.models import MLP
    >>> model = pure(lambda rngs: MLP((3, 8, 2), rngs=rngs))
    >>> params = model.init(jax.random.key(0))
    >>> jax.tree.map(jnp.shape, params)["dense_1"]
    {'bias': (2,), 'kernel': (8, 2)}
    >>> model.apply(params, jnp.ones((5, 3))).shape
    (5, 2)
    """
    graphdef, _ = nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))), nnx.Param)
    return PureModel(build, graphdef)
