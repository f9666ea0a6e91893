"""Regularizers: transforms that add a penalty's gradient, or a decay, to the update."""

from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.regularizers.l1 import l1, l1_penalty
from jaxlab.regularizers.l2 import l2, l2_penalty
from jaxlab.regularizers.registry import RegularizerInfo, get, names

__all__ = [
    "RegularizerInfo",
    "decoupled_decay",
    "get",
    "l1",
    "l1_penalty",
    "l2",
    "l2_penalty",
    "names",
]
