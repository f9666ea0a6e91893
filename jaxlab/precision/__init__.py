"""Numeric precision of a training step."""

from jaxlab.precision.loss_scale import LossScale, LossScaleState
from jaxlab.precision.policy import Policy, as_policy

__all__ = ["LossScale", "LossScaleState", "Policy", "as_policy"]
