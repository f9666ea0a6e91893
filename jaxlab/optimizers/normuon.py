"""NorMuon: making Muon more efficient and scalable (Li et al., 2025)."""

from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.layouts import Layouts
from jaxlab.core.matrixwise import Matrix, matrixwise
from jaxlab.core.moments import average
from jaxlab.optimizers import newton_schulz, spaces
from jaxlab.optimizers.fallback import Fallback, with_fallback
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.layerwise import norm
from jaxlab.optimizers.muon import check_iteration, scale_of
from jaxlab.schedules.learning_rate import LearningRate

T = TypeVar("T")

LEAST = 1e-10
"""Added to what is divided by, where all that it measures may be zero; the official code's."""


class NeuronMoments(NamedTuple, Generic[T]):
    """The average of the gradient, and for each output the mean square of what it was to move by."""

    m: T
    v: T


def scale_by_normuon(
    momentum: hyper.Scalar = 0.95,
    b2: hyper.Scalar = 0.95,
    eps: hyper.Scalar = 1e-7,
    *,
    nesterov: bool = True,
    coefficients: newton_schulz.Coefficients = "quintic",
    steps: int = 5,
    scaling: str = "keller",
    compute_dtype: str = "float32",
    layouts: Layouts = (),
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""NorMuon's direction: Muon's, with neurons that move alike.

    .. math::
        M_t &= \mu M_{t-1} + (1 - \mu) G_t, \qquad O_t = \mathrm{NS}(\mu M_t + (1 - \mu) G_t) \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, \mathrm{colmeans}(O_t^2), \qquad N_t = O_t / \sqrt{1 v_t^\top} \\
        D_t &= s\, N_t\, \lVert O_t \rVert_F / \lVert N_t \rVert_F

    A column of Flax's [inputs, outputs] is a neuron. The norm of the whole stays Muon's, and the scale :math:`s`
    by the shape, too: that is the official code. The paper sets the root mean square of :math:`D_t` to 0.2, which
    ``scaling="moonshot"`` does where the iteration converges.

    Args:
      momentum, eps, nesterov, coefficients, steps, scaling, compute_dtype, layouts, state_dtype: as in
        :func:`~jaxlab.optimizers.muon.scale_by_muon`.
      b2: :math:`\beta_2`, in [0, 1); not debiased, for the norm divides the bias out.

    Raises:
      ValueError, TypeError: as :func:`~jaxlab.optimizers.muon.scale_by_muon`.

    State: one value for each parameter, and one for each output.

    Reference: https://arxiv.org/abs/2510.05491, algorithm 1.

    >>> tx = scale_by_normuon()
    >>> g = jnp.array([[1.0, 2.0], [3.0, 5.0], [2.0, -1.0]])
    >>> d = tx.update(g, tx.init(g))[0]
    >>> bool(jnp.allclose(jnp.linalg.norm(d[:, 0]), jnp.linalg.norm(d[:, 1])))
    True
    """
    momentum = hyper.number("momentum", momentum, "[0, 1)")
    hyper.flag("nesterov", nesterov)
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    check_iteration(coefficients, steps, scaling, compute_dtype)

    def slots(shape: jax.ShapeDtypeStruct) -> NeuronMoments[storage.Slot]:
        neurons = jax.ShapeDtypeStruct(shape.shape[1:], shape.dtype)
        return NeuronMoments(
            storage.zeros(shape), storage.Slot(jnp.zeros(neurons.shape, neurons.dtype), signed=False, axes=(1,))
        )

    def update(matrix: Matrix, slots: NeuronMoments[Array]) -> tuple[Array, NeuronMoments[Array]]:
        m = average(slots.m, matrix.g, momentum)
        ahead = average(m, matrix.g, momentum) if nesterov else m
        o = newton_schulz.orthogonalized(ahead, eps, coefficients, steps, compute_dtype)
        v = average(slots.v, jnp.mean(o**2, axis=0), b2)
        n = o / (jnp.sqrt(v) + LEAST)
        direction = n * (norm(o) / (norm(n) + LEAST))
        return scale_of(scaling, *matrix.g.shape) * direction, NeuronMoments(m, v)

    return matrixwise(update, slots=slots, store=state_dtype, rules=layouts)


def normuon(
    learning_rate: LearningRate,
    momentum: hyper.Scalar = 0.95,
    b2: hyper.Scalar = 0.95,
    eps: hyper.Scalar = 1e-7,
    weight_decay: hyper.Scalar = 0.0,
    fallback_learning_rate: LearningRate = 3e-3,
    decay_mask: tree.Mask = None,
    nesterov: bool = True,
    coefficients: newton_schulz.Coefficients = "quintic",
    steps: int = 5,
    scaling: str = "keller",
    compute_dtype: str = "float32",
    fallback: Fallback = "adamw",
    layouts: Layouts = (),
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""NorMuon: :func:`scale_by_normuon` with decoupled decay for matrices, AdamW for everything else.

    Args:
      b2: as in :func:`scale_by_normuon`.
      learning_rate, momentum, eps, weight_decay, fallback_learning_rate, decay_mask, nesterov, coefficients, steps,
        scaling, compute_dtype, fallback, layouts, state_dtype: as in :func:`~jaxlab.optimizers.muon.muon`.

    Raises:
      ValueError, TypeError: as in :func:`~jaxlab.optimizers.muon.muon`.

    >>> tx = normuon(0.5, scaling="none")
    >>> params = jnp.zeros((2, 2))
    >>> updates, _ = tx.update(jnp.array([[3.0, 0.0], [0.0, -0.2]]), tx.init(params), params)
    >>> jnp.sign(jnp.diag(updates)).tolist()
    [-1.0, 1.0]
    """
    direction = scale_by_normuon(
        momentum,
        b2,
        eps,
        nesterov=nesterov,
        coefficients=coefficients,
        steps=steps,
        scaling=scaling,
        compute_dtype=compute_dtype,
        layouts=layouts,
        state_dtype=state_dtype,
    )
    return with_fallback(
        direction,
        learning_rate,
        weight_decay,
        decay_mask,
        fallback=fallback,
        fallback_learning_rate=fallback_learning_rate,
        layouts=layouts,
        state_dtype=state_dtype,
    )


NORMUON = OptimizerInfo("normuon", normuon, "Li et al. 2025, arXiv:2510.05491", spaces.MUON, needs_params=True)
