"""What a wrong learning rate costs.

Two arms may be equal at their best and yet one of them is at its best almost anywhere. The sensitivity is
what is lost on average if the learning rate is not tuned but drawn from around the optimum.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxlab.core import hyper
from jaxlab.verdict.divergence import gains


class Sensitivity(NamedTuple):
    """The mean loss of metric around the optimum, and right of it alone; None where there is no number."""

    two_sided: float | None
    right: float | None


def lr_sensitivity(
    rates: Sequence[float] | Float[np.ndarray, " rates"],
    values: Collection[float | None],
    higher_is_better: bool,
    *,
    floor: float | None = None,
    factor: float = 10.0,
) -> Sensitivity:
    r"""How much worse than the best the metric is, on average over learning rates around the best one.

    .. math::
        S = \frac{1}{\log b - \log a} \int_{\log a}^{\log b}
            \bigl[ \min(\ell(\eta), \ell_0) - \ell^* \bigr] \, d \log \eta

    with :math:`\ell_0` the loss without training, since no rate shall count for worse than not training, and
    :math:`\ell^*` the best. For an accuracy the same with its sign: best minus value, and never below the
    floor. Between rates that were tried the curve is straight on the logarithmic axis, so grids may be
    irregular and two rates are enough.

    The range is :math:`[\eta^* / f, f \eta^*]` around the best rate (two-sided) and :math:`[\eta^*, f \eta^*]`
    (right: the side where training breaks), each clipped to what was tried. Wortsman et al. take one fixed
    range of three decades for all; a window around the optimum compares optimizers whose rates live in
    different decades.

    Args:
      rates: the learning rates tried, above 0, in any order. Where one was tried more than once, its mean counts.
      values: the metric at each; NaN, infinite or None: diverged, which counts as the floor.
      higher_is_better: whether values are to be large (accuracy) or small (loss).
      floor: the metric without training. None: the worst finite value, which makes a diverged rate look no
        worse than the worst that finished, so give a floor where there is one.
      factor: reach of the window on either side, above 1.

    Returns:
      Both in the metric's unit, 0 or more: 0 is an arm that does not care. None where the window has no width (one
      rate, or the best is the largest tried), where no rate is better than the floor, and where rates diverged,
      no floor is given and all that finished gave one value.

    Raises:
      TypeError: a value is no number.
      ValueError: rates that are not above 0, lengths that differ, no rates, a bad factor or floor.

    Reference: Wortsman et al., Small-scale proxies for large-scale transformer training instabilities,
    arXiv:2309.14322 (2023), section 2.

    >>> found = lr_sensitivity([0.01, 0.1, 1.0], [0.5, 0.25, None], higher_is_better=False, floor=2.25)
    >>> found
    Sensitivity(two_sided=0.5625, right=1.0)
    """
    logs, gain = _points(rates, gains(values, higher_is_better))
    hyper.number("factor", factor, "(1, inf)")
    lowest = _floor(gain, floor, higher_is_better)
    if lowest is None:
        return Sensitivity(None, None)
    tried, place = np.unique(logs, return_inverse=True)
    capped = np.fmax(gain, lowest)  # fmax takes the floor where a run diverged.
    curve = np.bincount(place, capped) / np.bincount(place)
    best = int(curve.argmax())
    if floor is not None and curve[best] <= lowest:
        return Sensitivity(None, None)
    low, high = max(tried[best] - np.log(factor), tried[0]), min(tried[best] + np.log(factor), tried[-1])
    return Sensitivity(_mean_loss(tried, curve, low, high), _mean_loss(tried, curve, tried[best], high))


def _points(
    rates: Sequence[float] | Float[np.ndarray, " rates"], gain: Float[np.ndarray, " rates"]
) -> tuple[Float[np.ndarray, " rates"], Float[np.ndarray, " rates"]]:
    x = np.asarray(rates, np.float64)
    if x.shape != gain.shape or x.size == 0:
        raise ValueError(f"rates has shape {x.shape} and values {gain.shape}: accepted is one value for each rate")
    if not (np.isfinite(x) & (x > 0.0)).all():
        raise ValueError(f"rates = {x.tolist()}: accepted are numbers in (0, inf)")
    return np.log(x), gain


def _floor(gain: Float[np.ndarray, " rates"], floor: float | None, higher_is_better: bool) -> float | None:
    """The gain that a diverged run counts as; None where nothing tells."""
    if floor is not None:
        hyper.number("floor", floor)
        return float(floor if higher_is_better else -floor)
    finished = gain[np.isfinite(gain)]
    if not finished.size or (finished.size < gain.size and np.ptp(finished) == 0.0):
        return None
    return float(finished.min())


def _mean_loss(
    x: Float[np.ndarray, " rates"], curve: Float[np.ndarray, " rates"], low: float, high: float
) -> float | None:
    """The mean of best - curve over [low, high]: exact for a curve that is straight between its points."""
    if high <= low:
        return None
    inside = np.concatenate([[low], x[(x > low) & (x < high)], [high]])
    return float(np.trapezoid(curve.max() - np.interp(inside, x, curve), inside) / (high - low))
