"""Every optimizer by name."""

from jaxlab.core import hyper
from jaxlab.optimizers.adabelief import ADABELIEF
from jaxlab.optimizers.adadelta import ADADELTA
from jaxlab.optimizers.adafactor import ADAFACTOR
from jaxlab.optimizers.adagrad import ADAGRAD
from jaxlab.optimizers.adahessian import ADAHESSIAN
from jaxlab.optimizers.adam import ADAM
from jaxlab.optimizers.adamax import ADAMAX
from jaxlab.optimizers.adamw import ADAMW
from jaxlab.optimizers.adan import ADAN
from jaxlab.optimizers.ademamix import ADEMAMIX
from jaxlab.optimizers.adopt import ADOPT
from jaxlab.optimizers.amsgrad import AMSGRAD
from jaxlab.optimizers.dadapt_adam import DADAPT_ADAM
from jaxlab.optimizers.dadapt_sgd import DADAPT_SGD
from jaxlab.optimizers.dog import DOG
from jaxlab.optimizers.gauss_newton import GAUSS_NEWTON
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.lamb import LAMB
from jaxlab.optimizers.laprop import LAPROP
from jaxlab.optimizers.lars import LARS
from jaxlab.optimizers.lbfgs import LBFGS
from jaxlab.optimizers.lion import LION
from jaxlab.optimizers.mars import MARS
from jaxlab.optimizers.momentum import MOMENTUM, NESTEROV
from jaxlab.optimizers.momo import MOMO
from jaxlab.optimizers.momo_adam import MOMO_ADAM
from jaxlab.optimizers.muon import MUON
from jaxlab.optimizers.nadam import NADAM
from jaxlab.optimizers.newton import NEWTON
from jaxlab.optimizers.normuon import NORMUON
from jaxlab.optimizers.prodigy import PRODIGY
from jaxlab.optimizers.psgd_kron import PSGD_KRON
from jaxlab.optimizers.radam import RADAM
from jaxlab.optimizers.rmsprop import RMSPROP
from jaxlab.optimizers.sgd import GRADIENT_DESCENT, SGD
from jaxlab.optimizers.shampoo import SHAMPOO
from jaxlab.optimizers.sign_descent import SIGN_DESCENT
from jaxlab.optimizers.sm3 import SM3
from jaxlab.optimizers.soap import SOAP
from jaxlab.optimizers.sophia import SOPHIA
from jaxlab.optimizers.yogi import YOGI

_OPTIMIZERS = {
    info.name: info
    for info in (
        GRADIENT_DESCENT,
        SGD,
        MOMENTUM,
        NESTEROV,
        ADAGRAD,
        ADADELTA,
        RMSPROP,
        ADAM,
        ADAMAX,
        NADAM,
        AMSGRAD,
        RADAM,
        ADAFACTOR,
        ADAMW,
        LION,
        MUON,
        NORMUON,
        SHAMPOO,
        SOAP,
        PSGD_KRON,
        ADABELIEF,
        YOGI,
        LAPROP,
        ADOPT,
        ADAN,
        ADEMAMIX,
        MARS,
        LAMB,
        LARS,
        SIGN_DESCENT,
        SM3,
        NEWTON,
        GAUSS_NEWTON,
        LBFGS,
        SOPHIA,
        ADAHESSIAN,
        PRODIGY,
        DADAPT_ADAM,
        DADAPT_SGD,
        DOG,
        MOMO,
        MOMO_ADAM,
    )
}


def names() -> tuple[str, ...]:
    """Every registered optimizer.

    >>> "adamw" in names()
    True
    """
    return tuple(_OPTIMIZERS)


def get(name: str) -> OptimizerInfo:
    """What is known of the optimizer of that name.

    Raises:
      ValueError: unknown; the message suggests the nearest.

    >>> get("adamw").state_bytes_per_param
    8.0
    """
    return _OPTIMIZERS[hyper.one_of("optimizer", name, _OPTIMIZERS)]
