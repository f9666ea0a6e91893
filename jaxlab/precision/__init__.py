"""Numeric precision of a training step."""

from jaxlab.precision.loss_scale import LossScale, LossScaleState
from jaxlab.precision.loss_scaled import LossScaledState, current_loss_scale, loss_scaled
from jaxlab.precision.phases import Phased, Phases
from jaxlab.precision.policy import Policy, as_policy
from jaxlab.precision.ranges import Range, ranges
from jaxlab.precision.saturate import saturating_cast
from jaxlab.precision.weight_file import load_weights, save_weights
from jaxlab.precision.weight_only import Quantized, dequantize, quantize

__all__ = [
    "LossScale",
    "LossScaleState",
    "LossScaledState",
    "Phased",
    "Phases",
    "Policy",
    "Quantized",
    "Range",
    "as_policy",
    "current_loss_scale",
    "dequantize",
    "load_weights",
    "loss_scaled",
    "quantize",
    "ranges",
    "saturating_cast",
    "save_weights",
]
