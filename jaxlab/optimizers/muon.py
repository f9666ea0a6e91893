"""Muon: momentum orthogonalized by Newton-Schulz (Jordan et al., 2024)."""

import math
from typing import Generic, NamedTuple, TypeVar

import jax
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.layouts import Layouts
from jaxlab.core.matrixwise import Matrix, matrixwise
from jaxlab.core.moments import average
from jaxlab.optimizers import newton_schulz, spaces
from jaxlab.optimizers.fallback import Fallback, with_fallback
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.schedules.learning_rate import LearningRate

T = TypeVar("T")

SCALINGS = ("keller", "moonshot", "spectral", "none")
"""How far a matrix moves, by its shape, see :func:`scale_by_muon`."""


class Momentum(NamedTuple, Generic[T]):
    """The average of the gradient."""

    m: T


def scale_by_muon(
    momentum: hyper.Scalar = 0.95,
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
    r"""Muon's direction: the nearest orthogonal matrix to an average, so that all its directions count alike.

    .. math::
        M_t = \mu M_{t-1} + (1 - \mu) G_t, \qquad
        D_t = s\; \mathrm{NS}(\mu M_t + (1 - \mu) G_t)

    with :func:`~jaxlab.optimizers.newton_schulz.orthogonalized` as NS, and a scale by the shape. Here matrices are
    Flax's, [inputs, outputs] with inputs as rows; PyTorch's are the other way round, and so are its formulas.

    ============== =======================================================
    ``scaling``    :math:`s`
    ============== =======================================================
    ``"keller"``   :math:`\sqrt{\max(1, \text{outputs} / \text{inputs})}`
    ``"moonshot"`` :math:`0.2 \sqrt{\max(\text{outputs}, \text{inputs})}`
    ``"spectral"`` :math:`\sqrt{\text{outputs} / \text{inputs}}`
    ``"none"``     1
    ============== =======================================================

    Moonshot's gives updates the size of AdamW's, and so takes AdamW's learning rates and decay. Of a convolution the
    official code takes the scale from height and width of the kernel; here it is the matrix's.

    Args:
      momentum: :math:`\mu`, in [0, 1).
      eps: added to the norm of what is orthogonalized, above 0.
      nesterov: whether the gradient counts a second time, as written; else :math:`M_t` alone is taken (static).
      coefficients, steps, compute_dtype: of the iteration, as in
        :func:`~jaxlab.optimizers.newton_schulz.orthogonalized` (static).
      scaling: one of the names above (static).
      layouts: which axes of a leaf make matrices, see :data:`~jaxlab.core.layouts.Layouts` (static). An attention's
        [width, heads, size] is orthogonalized head by head as ``"rbc"``, whole as ``"rcc"``.
      state_dtype: how the average is stored, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, an unknown name; from ``init``, a leaf that is no matrix or of which
        nobody can tell.
      TypeError: coefficients that are no triples of numbers.

    State: one value for each parameter.

    Reference: https://kellerjordan.github.io/posts/muon/; Moonshot's scale https://arxiv.org/abs/2502.16982, eq. 4.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_muon(coefficients="polar_express", steps=8)
    >>> g = jnp.array([[3.0, 0.0], [0.0, -0.2]])
    >>> tx.update(g, tx.init(g))[0].round(2).tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    """
    momentum = hyper.number("momentum", momentum, "[0, 1)")
    hyper.flag("nesterov", nesterov)
    eps = hyper.number("eps", eps, "(0, inf)")
    check_iteration(coefficients, steps, scaling, compute_dtype)

    def slots(shape: jax.ShapeDtypeStruct) -> Momentum[storage.Slot]:
        return Momentum(storage.zeros(shape))

    def update(matrix: Matrix, slots: Momentum[Array]) -> tuple[Array, Momentum[Array]]:
        m = average(slots.m, matrix.g, momentum)
        ahead = average(m, matrix.g, momentum) if nesterov else m
        direction = newton_schulz.orthogonalized(ahead, eps, coefficients, steps, compute_dtype)
        return scale_of(scaling, *matrix.g.shape) * direction, Momentum(m)

    return matrixwise(update, slots=slots, store=state_dtype, rules=layouts)


def check_iteration(coefficients: newton_schulz.Coefficients, steps: int, scaling: str, compute_dtype: str) -> None:
    """What is wrong with the static arguments shows before any matrix is there.

    Raises:
      ValueError, TypeError: as :func:`scale_by_muon`.
    """
    newton_schulz.polynomials(coefficients, steps)
    hyper.one_of("scaling", scaling, SCALINGS)
    hyper.one_of("compute_dtype", compute_dtype, newton_schulz.COMPUTE_DTYPES)


def scale_of(scaling: str, inputs: int, outputs: int) -> float:
    """The factor by which a matrix with so many rows and columns moves further.

    >>> scale_of("keller", 16, 64), scale_of("keller", 64, 16), scale_of("moonshot", 25, 16)
    (2.0, 1.0, 1.0)
    """
    match scaling:
        case "keller":
            return math.sqrt(max(1.0, outputs / inputs))
        case "moonshot":
            return 0.2 * math.sqrt(max(outputs, inputs))
        case "spectral":
            return math.sqrt(outputs / inputs)
        case _:
            return 1.0


def muon(
    learning_rate: LearningRate,
    momentum: hyper.Scalar = 0.95,
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
    r"""Muon: :func:`scale_by_muon` with decoupled decay for matrices, AdamW for everything else.

    Everything else is biases, scales, embeddings and heads, by their names. A leaf of which neither name nor shape
    tells is an error, which ``layouts`` resolves; :func:`~jaxlab.optimizers.describe.describe` shows where each goes.
    Look at it once: a head without a name, such as Linen's ``Dense_2``, is a matrix like any other, unless
    ``layouts=[("Dense_2", "others")]`` says what it is.

    Args:
      learning_rate: that of the matrices: a number of at least 0, a schedule, or a loss-driven transform.
      momentum, eps, nesterov, coefficients, steps, scaling, compute_dtype, layouts: as in :func:`scale_by_muon`.
      weight_decay: at least 0, times the learning rate of the leaf; the official code's default 0.
      fallback_learning_rate: that of everything else.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.
      fallback: what everything else is trained by (static), see :data:`~jaxlab.optimizers.fallback.Fallback`.
      state_dtype: how state is stored, the fallback's, too (static).

    Raises:
      ValueError, TypeError: as in :func:`scale_by_muon`; an unknown fallback.

    State: one value for each parameter of a matrix, AdamW's two for others.

    Reference: https://kellerjordan.github.io/posts/muon/.

    >>> import jax.numpy as jnp
    >>> from jaxlab.optimizers import describe
    >>> params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}, "embed": jnp.ones((9, 2))}
    >>> describe(muon(2e-2), params).routes
    {'dense/bias': 'others', 'dense/kernel': 'matrices', 'embed': 'others'}
    """
    direction = scale_by_muon(
        momentum,
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


MUON = OptimizerInfo(
    "muon", muon, "Jordan et al. 2024, kellerjordan.github.io/posts/muon", spaces.MUON, needs_params=True
)
