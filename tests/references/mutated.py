"""A transcription with one mistake: another text at one place of its source."""

import inspect
import sys
import textwrap
from collections.abc import Callable


def mutated(step: Callable, old: str, new: str, *more: str) -> Callable:
    """The function whose source says ``new`` where that of ``step`` says ``old``, once.

    ``more`` are further pairs of old and new text. A mistake that takes many is better written out.
    """
    source = textwrap.dedent(inspect.getsource(step))
    changes = (old, new, *more)
    for before, after in zip(changes[::2], changes[1::2], strict=True):
        if source.count(before) != 1:
            raise ValueError(
                f"{step.__name__} says {before!r} {source.count(before)} times: accepted is what it says once"
            )
        source = source.replace(before, after)
    scope = dict(vars(sys.modules[step.__module__]))
    exec(source, scope)
    return scope[step.__name__]
