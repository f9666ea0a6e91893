"""Losses: plain functions, float32 inside whatever comes in, strict about shapes."""

from jaxlab.losses.chunked_cross_entropy import chunked_cross_entropy
from jaxlab.losses.cross_entropy import cross_entropy
from jaxlab.losses.distillation import distillation
from jaxlab.losses.focal import focal, sigmoid_focal
from jaxlab.losses.hinge import hinge
from jaxlab.losses.huber import huber
from jaxlab.losses.kl import kl
from jaxlab.losses.log_cosh import log_cosh
from jaxlab.losses.log_loss import log_loss
from jaxlab.losses.mae import mae
from jaxlab.losses.mse import mse
from jaxlab.losses.msle import msle
from jaxlab.losses.multiclass_hinge import multiclass_hinge
from jaxlab.losses.registry import LossInfo, get, names
from jaxlab.losses.squared_hinge import squared_hinge
from jaxlab.losses.z_loss import z_loss

__all__ = [
    "LossInfo",
    "chunked_cross_entropy",
    "cross_entropy",
    "distillation",
    "focal",
    "get",
    "hinge",
    "huber",
    "kl",
    "log_cosh",
    "log_loss",
    "mae",
    "mse",
    "msle",
    "multiclass_hinge",
    "names",
    "sigmoid_focal",
    "squared_hinge",
    "z_loss",
]
