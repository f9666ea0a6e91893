"""Regularizers: transforms that add a penalty's gradient, noise or a decay, step proximally, or keep constraints."""

from jaxlab.regularizers.box import box
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.regularizers.elastic_net import elastic_net, elastic_net_penalty
from jaxlab.regularizers.gradient_noise import gradient_noise
from jaxlab.regularizers.l1 import l1, l1_penalty
from jaxlab.regularizers.l2 import l2, l2_penalty
from jaxlab.regularizers.max_norm import max_norm
from jaxlab.regularizers.orthogonality import orthogonality, orthogonality_penalty
from jaxlab.regularizers.proximal_elastic_net import proximal_elastic_net
from jaxlab.regularizers.proximal_group_lasso import group_lasso_penalty, proximal_group_lasso
from jaxlab.regularizers.proximal_l1 import proximal_l1
from jaxlab.regularizers.registry import RegularizerInfo, get, names

__all__ = [
    "RegularizerInfo",
    "box",
    "decoupled_decay",
    "elastic_net",
    "elastic_net_penalty",
    "get",
    "gradient_noise",
    "group_lasso_penalty",
    "l1",
    "l1_penalty",
    "l2",
    "l2_penalty",
    "max_norm",
    "names",
    "orthogonality",
    "orthogonality_penalty",
    "proximal_elastic_net",
    "proximal_group_lasso",
    "proximal_l1",
]
