"""Every optimizer by name."""

from jaxlab.core import hyper
from jaxlab.optimizers.adadelta import ADADELTA
from jaxlab.optimizers.adafactor import ADAFACTOR
from jaxlab.optimizers.adagrad import ADAGRAD
from jaxlab.optimizers.adam import ADAM
from jaxlab.optimizers.adamax import ADAMAX
from jaxlab.optimizers.adamw import ADAMW
from jaxlab.optimizers.amsgrad import AMSGRAD
from jaxlab.optimizers.gauss_newton import GAUSS_NEWTON
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.lbfgs import LBFGS
from jaxlab.optimizers.lion import LION
from jaxlab.optimizers.momentum import MOMENTUM, NESTEROV
from jaxlab.optimizers.nadam import NADAM
from jaxlab.optimizers.newton import NEWTON
from jaxlab.optimizers.radam import RADAM
from jaxlab.optimizers.rmsprop import RMSPROP
from jaxlab.optimizers.sgd import GRADIENT_DESCENT, SGD

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
        NEWTON,
        GAUSS_NEWTON,
        LBFGS,
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
