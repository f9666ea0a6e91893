"""Batch normalisation (Ioffe and Szegedy, 2015), whose statistics are leaves of the parameters like all others."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxlab.core import hyper
from jaxlab.models.linear import in_dtype_of

STATISTICS = r"(^|/)(mean|variance)$"
"""The leaves that are statistics, as a regular expression: what rules such as those for freezing take."""


class Statistic(nnx.Param):
    """A leaf that no gradient moves: what a layer has seen, kept among the parameters."""


class BatchNorm(nnx.Module):
    r"""Each channel with the mean and the variance taken out, then scaled and shifted.

    .. math::
        y = \gamma \, \frac{x - \mu}{\sqrt{v + \epsilon}} + \beta

    There are two modes. *Frozen*, as the layer is made: :math:`\mu` and :math:`v` are the statistics among its
    parameters, and examples do not see each other. *Live* (:meth:`~jaxlab.models.PureModel.apply_live`): they are the
    mean and the variance of the batch over all axes but the last, and the statistics follow them,

    .. math::
        \mu \leftarrow m \mu + (1 - m) \operatorname{mean}(x), \qquad v \leftarrow m v + (1 - m) \operatorname{var}(x).

    The variance is the mean of squared distances, here as in Flax and in the paper's training mode; PyTorch lets its
    running variance follow that times n / (n - 1), n being the numbers in a channel.

    In neither mode does a gradient reach the statistics. Weight decay would: freeze them (``frozen=STATISTICS``), or
    decay matrices only. All is computed in float32 (float64 under ``jax_enable_x64``) up to the normalised channels.

    Args:
      channels: of the last axis.
      momentum: :math:`m` in [0, 1].
      eps: :math:`\epsilon`, added to the variance.

    Raises:
      ValueError: a number outside its range.

    Parameters: ``scale`` and ``bias`` [channels]; ``mean`` and ``variance`` [channels], which are :class:`Statistic`.

    Reference: https://arxiv.org/abs/1502.03167, algorithms 1 and 2.

    >>> layer = BatchNorm(1, eps=1e-12)
    >>> layer(jnp.array([[1.0], [3.0]])).tolist()  # Frozen: mean 0 and variance 1, as they are made.
    [[1.0], [3.0]]
    >>> layer.live = True
    >>> layer(jnp.array([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """

    def __init__(self, channels: int, *, momentum: float = 0.99, eps: float = 1e-3) -> None:
        hyper.integer("channels", channels, at_least=1)
        hyper.number("momentum", momentum, "[0, 1]")
        hyper.number("eps", eps, "[0, inf)")
        self.scale = nnx.Param(jnp.ones(channels, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))
        self.mean = Statistic(jnp.zeros(channels, jnp.float32))
        self.variance = Statistic(jnp.ones(channels, jnp.float32))
        self.momentum, self.eps = momentum, eps
        self.live = False

    def __call__(self, x: Float[Array, "*batch channels"]) -> Float[Array, "*batch channels"]:
        """The normalised batch; live, the statistics are replaced, too."""
        full = x.astype(hyper.arithmetic_dtype())
        if self.live:
            axes = tuple(range(x.ndim - 1))
            mean = jnp.mean(full, axes)
            variance = jnp.mean(jnp.square(full - mean), axes)
            self._follow(self.mean, mean)
            self._follow(self.variance, variance)
        else:
            mean, variance = (jax.lax.stop_gradient(s[...]) for s in (self.mean, self.variance))
        scale, bias = self.scale[...], self.bias[...]
        normed = (full - mean) * jax.lax.rsqrt(variance.astype(full.dtype) + self.eps)
        return in_dtype_of(normed, scale, bias) * scale + bias

    def _follow(self, statistic: Statistic, seen: Array) -> None:
        kept = self.momentum * statistic[...].astype(seen.dtype) + (1 - self.momentum) * seen
        statistic[...] = jax.lax.stop_gradient(kept).astype(statistic[...].dtype)
