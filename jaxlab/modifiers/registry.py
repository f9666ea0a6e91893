"""Every modifier by name."""

from jaxlab.core import hyper
from jaxlab.modifiers.cautious import CAUTIOUS
from jaxlab.modifiers.info import ModifierInfo

_MODIFIERS = {info.name: info for info in (CAUTIOUS,)}


def names() -> tuple[str, ...]:
    """Every registered modifier.

    >>> "cautious" in names()
    True
    """
    return tuple(_MODIFIERS)


def get(name: str) -> ModifierInfo:
    """What is known of the modifier of that name.

    Raises:
      ValueError: unknown; the message suggests the nearest.

    >>> get("cautious").reference
    'Liang et al. 2024, arXiv:2411.16085'
    """
    return _MODIFIERS[hyper.one_of("modifier", name, _MODIFIERS)]
