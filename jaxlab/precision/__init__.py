"""Numeric precision of a training step."""

from jaxlab.precision.loss_scale import LossScale, LossScaleState
from jaxlab.precision.loss_scaled import LossScaledState, current_loss_scale, loss_scaled
from jaxlab.precision.policy import Policy, as_policy

__all__ = [
    "LossScale",
    "LossScaleState",
    "LossScaledState",
    "Policy",
    "as_policy",
    "current_loss_scale",
    "loss_scaled",
]
