"""The nearest orthogonal matrix, by products of matrices alone."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxlab.core import hyper

Triple = tuple[float, float, float]
"""The numbers a, b and c of one step, :math:`p(x) = a x + b x^3 + c x^5`."""

Coefficients = str | tuple[Triple, ...]
"""``"quintic"``, ``"polar_express"``, or the triples of the steps; one triple alone is that of all steps."""

QUINTIC: Triple = (3.4445, -4.7750, 2.0315)
"""Keller Jordan's: as steep at zero as can be; singular values end between 0.7 and 1.2, not at 1."""

SAFETY = 1.01
"""By how much Polar Express keeps its distance from 1, before the first step and in all steps but the last kind."""


def _safe(a: float, b: float, c: float) -> Triple:
    return a / SAFETY, b / SAFETY**3, c / SAFETY**5


POLAR_EXPRESS: tuple[Triple, ...] = (
    _safe(8.28721201814563, -23.595886519098837, 17.300387312530933),
    _safe(4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    _safe(3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    _safe(3.3184196573706015, -2.488488024314874, 0.51004894012372),
    _safe(2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    _safe(1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    _safe(1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)
"""Amsel et al.'s, algorithm 1: each the best for what the ones before leave, the last one for ever."""

COMPUTE_DTYPES = ("float32", "bfloat16")


def polynomials(coefficients: Coefficients, steps: int) -> tuple[Triple, ...]:
    """The triples of all steps, checked.

    Raises:
      ValueError: an unknown name; triples for fewer steps than there are; fewer steps than one, or more than 100.
      TypeError: what is neither a name nor triples of numbers.

    >>> polynomials(((3.0, -3.0, 1.0),), 2)
    ((3.0, -3.0, 1.0), (3.0, -3.0, 1.0))
    """
    hyper.integer("steps", steps, at_least=1, at_most=100)
    if isinstance(coefficients, str):
        if hyper.one_of("coefficients", coefficients, ("quintic", "polar_express")) == "quintic":
            return (QUINTIC,) * steps
        return (POLAR_EXPRESS + POLAR_EXPRESS[-1:] * steps)[:steps]
    accepted = "accepted are 'quintic', 'polar_express', or triples of numbers, one for each step or one for all"
    if not isinstance(coefficients, list | tuple) or not all(_is_triple(triple) for triple in coefficients):
        raise TypeError(f"coefficients = {coefficients!r}: {accepted}")
    if len(coefficients) != 1 and len(coefficients) < steps:
        raise ValueError(f"coefficients = {coefficients!r} for steps = {steps}: {accepted}")
    a, b, c = zip(*coefficients, strict=True)
    triples = tuple(zip(map(float, a), map(float, b), map(float, c), strict=True))
    return triples * steps if len(triples) == 1 else triples[:steps]


def _is_triple(triple: object) -> bool:
    return (
        isinstance(triple, list | tuple)
        and len(triple) == 3
        and all(isinstance(x, int | float) and not isinstance(x, bool) for x in triple)
    )


def orthogonalized(
    x: Float[Array, "rows columns"],
    eps: hyper.Scalar,
    coefficients: Coefficients = "quintic",
    steps: int = 5,
    compute_dtype: str = "float32",
) -> Float[Array, "rows columns"]:
    r"""A matrix with its singular values moved towards 1 and its singular vectors kept, by Newton and Schulz's steps.

    .. math::
        X_0 = X / (\lVert X \rVert_F + \epsilon), \qquad X_{k+1} = (a_k I + b_k A + c_k A^2) X_k, \quad A = X_k X_k^\top

    With :math:`X = U \Sigma V^\top` the limit is :math:`U V^\top`, of all matrices with singular values of at most
    1 the one that goes furthest along :math:`X`. The smaller of the two Gram matrices is used.

    Args:
      x: a matrix; zeros stay zeros.
      eps: added to the norm, above 0.
      coefficients: of the steps, see :data:`Coefficients`. Polar Express first divides by 1.01, too.
      steps: how many (static).
      compute_dtype: ``"float32"``, or ``"bfloat16"`` for the products of matrices; halves their cost, or better,
        where the hardware has it.

    Raises:
      ValueError, TypeError: as :func:`polynomials`; an unknown ``compute_dtype``.

    References: https://kellerjordan.github.io/posts/muon/, https://arxiv.org/abs/2505.16932.

    >>> orthogonalized(jnp.diag(jnp.array([3.0, -0.2])), 1e-7, "polar_express", 8).round(2).tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    """
    triples = polynomials(coefficients, steps)
    hyper.one_of("compute_dtype", compute_dtype, COMPUTE_DTYPES)
    # In units of the largest element: the squares of what is huge are beyond float32.
    unit = jnp.maximum(jnp.max(jnp.abs(x), initial=0.0), eps)
    scaled = x / unit
    safety = SAFETY if coefficients == "polar_express" else 1.0
    scaled = scaled / (safety * jnp.sqrt(jnp.sum(scaled**2)) + eps / unit)

    # In float32 all of float32: accelerators would round its products to fewer bits by themselves.
    half = compute_dtype == "bfloat16"
    y = scaled.astype(jnp.bfloat16) if half else scaled
    tall = x.shape[0] > x.shape[1]
    identity = jnp.eye(min(x.shape), dtype=y.dtype)

    def times(left: Array, right: Array, along: tuple[int, int] = (1, 0)) -> Array:
        axes = (((along[0],), (along[1],)), ((), ()))
        return jax.lax.dot_general(left, right, axes, precision=None if half else jax.lax.Precision.HIGHEST)

    for a, b, c in triples:
        gram = times(y, y, (0, 0) if tall else (1, 1))
        polynomial = a * identity + b * gram + c * times(gram, gram)
        y = times(y, polynomial) if tall else times(polynomial, y)
    return y.astype(x.dtype)
