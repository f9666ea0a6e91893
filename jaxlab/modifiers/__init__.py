"""Modifiers, one a file: each goes around any optax optimizer, ``x(inner, ...)``, and they nest.

``names()`` lists all, ``get(name)`` tells what is known of one.
"""

from jaxlab.modifiers.cautious import cautious
from jaxlab.modifiers.registry import ModifierInfo, get, names

__all__ = [
    "ModifierInfo",
    "cautious",
    "get",
    "names",
]
