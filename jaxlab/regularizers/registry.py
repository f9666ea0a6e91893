"""Every regularizer by name."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping

import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper
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

PLACES = ("before", "after", "around", "last")
"""Where a regularizer stands to the optimizer."""

_NO_NUMBERS = frozenset({"inner", "axis", "seed", "mask"})


@dataclasses.dataclass(frozen=True)
class RegularizerInfo:
    """What a recipe needs to know of a regularizer.

    Attributes:
      factory: ``factory(strength, ...)`` makes the transform; ``factory(inner, strength, ...)`` where it
        goes around an optimizer. All take ``mask``.
      place: where it goes: ``"before"`` the optimizer; ``"after"`` its direction and before the learning
        rate; ``"around"`` the whole optimizer; ``"last"`` in the chain, where the update is final.
      penalty: ``penalty(params, strength, ...)``, what it adds to the loss; None where it has no such form.
      needs_params: whether ``update`` must be given the parameters.
    """

    factory: Callable[..., optax.GradientTransformationExtraArgs]
    place: str
    penalty: Callable[..., Float[Array, ""]] | None = None
    needs_params: bool = True

    def __post_init__(self) -> None:
        hyper.one_of("place", self.place, PLACES)

    @functools.cached_property
    def hyperparams(self) -> Mapping[str, float | None]:
        """The numbers it takes, which may be traced, with their defaults; None for those that must be given."""
        parameters = inspect.signature(self.factory).parameters.values()
        numbers = [p for p in parameters if p.name not in _NO_NUMBERS]
        return {p.name: None if p.default is p.empty else p.default for p in numbers}


_REGULARIZERS = {
    "l1": RegularizerInfo(l1, "before", l1_penalty),
    "l2": RegularizerInfo(l2, "before", l2_penalty),
    "elastic_net": RegularizerInfo(elastic_net, "before", elastic_net_penalty),
    "orthogonality": RegularizerInfo(orthogonality, "before", orthogonality_penalty),
    "gradient_noise": RegularizerInfo(gradient_noise, "before", needs_params=False),
    "decoupled_decay": RegularizerInfo(decoupled_decay, "after"),
    "proximal_l1": RegularizerInfo(proximal_l1, "around", l1_penalty),
    "proximal_elastic_net": RegularizerInfo(proximal_elastic_net, "around", elastic_net_penalty),
    "proximal_group_lasso": RegularizerInfo(proximal_group_lasso, "around", group_lasso_penalty),
    "max_norm": RegularizerInfo(max_norm, "last"),
    "box": RegularizerInfo(box, "last"),
}


def names() -> tuple[str, ...]:
    """The names of all regularizers.

    >>> names()[:3]
    ('l1', 'l2', 'elastic_net')
    """
    return tuple(_REGULARIZERS)


def get(name: str) -> RegularizerInfo:
    """What is known of one regularizer.

    Raises:
      ValueError: an unknown name; the nearest is suggested.

    >>> get("l1").place
    'before'
    >>> get("decay")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: regularizer = 'decay': unknown, did you mean 'decoupled_decay'? Accepted are: l1, l2, ...
    """
    return _REGULARIZERS[hyper.one_of("regularizer", name, _REGULARIZERS)]
