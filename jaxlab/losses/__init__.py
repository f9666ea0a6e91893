"""Losses: plain functions, float32 inside whatever comes in, strict about shapes."""

from jaxlab.losses.cross_entropy import cross_entropy
from jaxlab.losses.hinge import hinge
from jaxlab.losses.log_loss import log_loss
from jaxlab.losses.mse import mse
from jaxlab.losses.registry import LossInfo, get, names

__all__ = ["LossInfo", "cross_entropy", "get", "hinge", "log_loss", "mse", "names"]
