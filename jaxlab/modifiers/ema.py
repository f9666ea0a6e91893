"""Exponential moving averages of the parameters (Polyak and Juditsky, 1992; Morales-Brotons et al., 2024)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper, storage
from jaxlab.core.moments import debias as divided
from jaxlab.modifiers.averaging import averaged
from jaxlab.modifiers.info import ModifierInfo


def ema(
    inner: optax.GradientTransformation,
    decay: hyper.Scalar = 0.999,
    debias: bool = True,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Keeps an exponential moving average of the parameters, to be evaluated in their place.

    .. math::
        a_t = \frac{1 - \beta}{1 - \beta^t} \sum_{i=1}^t \beta^{t-i} \theta_i
        \qquad\text{or, not debiased,}\qquad
        a_t = \beta a_{t-1} + (1 - \beta)\, \theta_t, \quad a_0 = \theta_0

    The training is that of ``inner``, to the bit. :func:`~jaxlab.modifiers.evaluation_params` finds the average.

    Args:
      inner: any optax optimizer; all that changes its steps belongs inside.
      decay: :math:`\beta`, in [0, 1): the average looks back about :math:`1 / (1 - \beta)` steps.
      debias: the initial parameters have no part in the average. PyTorch's ``get_ema_multi_avg_fn`` begins with them.
      state_dtype: how the average is kept, see :data:`~jaxlab.core.storage.StateDtype`. Less than float32 is rounded
        stochastically: the average is a noisy one.

    Raises:
      ValueError: a number outside its range, an unknown ``state_dtype``; from ``update``, parameters that are missing.

    State: the inner one's, one value for each parameter, and one int32.

    Reference: https://arxiv.org/abs/2411.18704, equation 1.

    >>> from jaxlab.modifiers import evaluation_params
    >>> tx, params = ema(optax.sgd(1.0), decay=0.5), jnp.array([4.0])
    >>> _, state = tx.update(jnp.array([1.0]), tx.init(params), params)
    >>> evaluation_params(state, params - 1.0).tolist()
    [3.0]
    """
    decay = hyper.number("decay", decay, "[0, 1)")
    hyper.flag("debias", debias)

    def weight(t: Float[Array, ""]) -> Float[Array, ""]:
        return divided(1 - decay, decay, t) if debias else jnp.asarray(1 - decay)

    return averaged(inner, weight, state_dtype)


EMA = ModifierInfo("ema", ema, "Morales-Brotons et al. 2024, arXiv:2411.18704", needs_params=True)
