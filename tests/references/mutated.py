"""A transcription with one mistake: another text at one place of its source."""

import inspect
import sys
import textwrap
from collections.abc import Callable


def mutated(step: Callable, old: str, new: str) -> Callable:
    """The function whose source says ``new`` where that of ``step`` says ``old``, once.

    A mistake that needs more than one line to say is better written out.
    """
    source = textwrap.dedent(inspect.getsource(step))
    if source.count(old) != 1:
        raise ValueError(
            f"{step.__name__} says {old!r} {source.count(old)} times: accepted is a text that it says once"
        )
    scope = dict(vars(sys.modules[step.__module__]))
    exec(source.replace(old, new), scope)
    return scope[step.__name__]
