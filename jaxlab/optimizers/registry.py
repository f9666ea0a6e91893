"""Every optimizer by name: its factory, its source, what is worth searching, what it costs."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from jaxlab.core import hyper
from jaxlab.core.space import LogUniform, OneMinusLog, SearchSpace
from jaxlab.optimizers.adadelta import adadelta
from jaxlab.optimizers.adafactor import adafactor
from jaxlab.optimizers.adagrad import adagrad
from jaxlab.optimizers.adam import adam
from jaxlab.optimizers.adamax import adamax
from jaxlab.optimizers.adamw import adamw
from jaxlab.optimizers.amsgrad import amsgrad
from jaxlab.optimizers.gauss_newton import gauss_newton
from jaxlab.optimizers.lbfgs import lbfgs
from jaxlab.optimizers.line_search import NEEDS
from jaxlab.optimizers.lion import lion
from jaxlab.optimizers.momentum import momentum, nesterov
from jaxlab.optimizers.nadam import nadam
from jaxlab.optimizers.newton import newton
from jaxlab.optimizers.radam import radam
from jaxlab.optimizers.rmsprop import rmsprop
from jaxlab.optimizers.sgd import gradient_descent, sgd

STATIC = frozenset(
    {
        *("nesterov", "centered", "decay_mask", "relative_step", "min_factored", "layer_axes", "state_dtype"),
        *("memory_size", "line_search"),
    }
)
"""Parameters of the factories that are structure, never traced. All others are numbers."""


@dataclasses.dataclass(frozen=True)
class OptimizerInfo:
    """What the lab knows of an optimizer.

    Attributes:
      name: as in ``get(name)``.
      factory: ``factory(learning_rate, ...) -> GradientTransformationExtraArgs``.
      reference: where it was published.
      search_space: hyperparameters worth searching, with the ranges that papers used.
      needs_params: whether ``update`` must be given the parameters.
      needs: extra arguments without which ``update`` refuses, such as ``value_fn``; the training step of
        :func:`~jaxlab.train.make_train_step` passes all that there are.
    """

    name: str
    factory: Callable[..., optax.GradientTransformationExtraArgs]
    reference: str
    search_space: SearchSpace
    needs_params: bool = False
    needs: tuple[str, ...] = ()

    @functools.cached_property
    def hyperparams(self) -> Mapping[str, float | None]:
        """The numbers it takes besides the learning rate, with their defaults (None: off by default)."""
        parameters = inspect.signature(self.factory).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in STATIC | {"learning_rate"}}

    @functools.cached_property
    def static(self) -> tuple[str, ...]:
        """The parameters that are structure: one compiled program for each of their values."""
        return tuple(name for name in inspect.signature(self.factory).parameters if name in STATIC)

    @functools.cached_property
    def state_bytes_per_param(self) -> float:
        """Bytes of float32 state for each parameter of a large matrix at the defaults, counted from ``init``."""
        matrix = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
        state = jax.eval_shape(self.factory(1e-3).init, matrix)
        arrays = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim]
        return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in arrays) / math.prod(matrix.shape)


_SGD_SPACE: SearchSpace = {"learning_rate": LogUniform(2e-2, 5.0)}
_MOMENTUM_SPACE: SearchSpace = {"learning_rate": LogUniform(2e-2, 5.0), "momentum": OneMinusLog(0.7, 0.995)}
_ADAM_SPACE: SearchSpace = {
    "learning_rate": LogUniform(1e-4, 3e-2),
    "b1": OneMinusLog(0.5, 0.98),
    "b2": OneMinusLog(0.9, 0.996),
}
# Lengths that a line search tries first; 1 is the step these methods are made for.
_SECOND_ORDER_SPACE: SearchSpace = {"learning_rate": LogUniform(1e-1, 1.0)}
_DAMPED_SPACE: SearchSpace = {**_SECOND_ORDER_SPACE, "damping": LogUniform(1e-8, 1e-1)}

_OPTIMIZERS = {
    info.name: info
    for info in (
        OptimizerInfo("gradient_descent", gradient_descent, "Cauchy 1847", _SGD_SPACE),
        OptimizerInfo("sgd", sgd, "Robbins and Monro 1951", _SGD_SPACE),
        OptimizerInfo("momentum", momentum, "Polyak 1964", _MOMENTUM_SPACE),
        OptimizerInfo("nesterov", nesterov, "Nesterov 1983; Sutskever et al. 2013", _MOMENTUM_SPACE),
        OptimizerInfo(
            "adagrad",
            adagrad,
            "Duchi, Hazan and Singer 2011, jmlr.org/papers/v12/duchi11a.html",
            {"learning_rate": LogUniform(1e-3, 1.0)},
        ),
        OptimizerInfo(
            "adadelta",
            adadelta,
            "Zeiler 2012, arXiv:1212.5701",
            {"learning_rate": LogUniform(1e-2, 10.0), "b2": OneMinusLog(0.9, 0.99), "eps": LogUniform(1e-8, 1e-2)},
        ),
        OptimizerInfo(
            "rmsprop",
            rmsprop,
            "Tieleman and Hinton 2012, lecture 6e; Graves 2013, arXiv:1308.0850",
            {"learning_rate": LogUniform(1e-4, 3e-2), "b2": OneMinusLog(0.9, 0.999)},
        ),
        OptimizerInfo("adam", adam, "Kingma and Ba 2015, arXiv:1412.6980", _ADAM_SPACE),
        OptimizerInfo("adamax", adamax, "Kingma and Ba 2015, arXiv:1412.6980, algorithm 2", _ADAM_SPACE),
        OptimizerInfo("nadam", nadam, "Dozat 2016, openreview.net OM0jvwB8jIp57ZJjtNEZ", _ADAM_SPACE),
        OptimizerInfo("amsgrad", amsgrad, "Reddi, Kale and Kumar 2018, openreview.net ryQu7f-RZ", _ADAM_SPACE),
        OptimizerInfo("radam", radam, "Liu et al. 2020, arXiv:1908.03265", _ADAM_SPACE),
        OptimizerInfo(
            "adafactor",
            adafactor,
            "Shazeer and Stern 2018, arXiv:1804.04235",
            {"learning_rate": LogUniform(1e-3, 0.3), "b2_power": LogUniform(0.5, 1.0)},
            needs_params=True,
        ),
        OptimizerInfo(
            "adamw",
            adamw,
            "Loshchilov and Hutter 2019, arXiv:1711.05101",
            {**_ADAM_SPACE, "weight_decay": LogUniform(5e-3, 1.0)},
            needs_params=True,
        ),
        OptimizerInfo(
            "lion",
            lion,
            "Chen et al. 2023, arXiv:2302.06675",
            {"learning_rate": LogUniform(1e-5, 3e-3), "weight_decay": LogUniform(5e-2, 10.0)},
            needs_params=True,
        ),
        OptimizerInfo(
            "newton",
            newton,
            "Newton 1685, Raphson 1690; Dauphin et al. 2014, arXiv:1406.2572",
            _DAMPED_SPACE,
            needs_params=True,
            needs=(*NEEDS, "hvp_fn"),
        ),
        OptimizerInfo(
            "gauss_newton",
            gauss_newton,
            "Gauss 1809; Levenberg 1944; Marquardt 1963",
            _DAMPED_SPACE,
            needs_params=True,
            needs=(*NEEDS, "residual_fn"),
        ),
        OptimizerInfo(
            "lbfgs",
            lbfgs,
            "Nocedal 1980; Liu and Nocedal 1989",
            _SECOND_ORDER_SPACE,
            needs_params=True,
            needs=NEEDS,
        ),
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
