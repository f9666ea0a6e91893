"""Data as JSON holds it: what is told to a storage comes back equal, on any machine."""

import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any, name: str) -> Any:
    """Anything JSON-like or array-like as what JSON reads back; numbers that are not finite become None.

    Raises:
      ValueError: something that JSON cannot hold, or a key that is no text; says where.

    >>> plain({"loss": (0.1, float("nan"))}, "result")
    {'loss': [0.1, None]}
    """
    if hasattr(value, "tolist"):  # NumPy's and JAX's arrays and scalars.
        value = value.tolist()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{name} has the key {key!r}: accepted is text")
        return {key: plain(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise ValueError(f"{name} = {value!r}: accepted are numbers, text, None, lists, arrays and mappings of these")


def difference(theirs: Any, ours: Any, where: str = "") -> tuple[str, str, str] | None:
    """The first place where plain data differ, and what is there; None if they are equal.

    >>> difference({"task": {"name": "digits"}}, {"task": {"name": "wine"}})
    ('task.name', "'digits'", "'wine'")
    """
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            path = f"{where}.{key}" if where else key
            if key not in theirs:
                return path, "nothing", _short(ours[key])
            if key not in ours:
                return path, _short(theirs[key]), "nothing"
            differs = difference(theirs[key], ours[key], path)
            if differs:
                return differs
        return None
    return None if theirs == ours else (where, _short(theirs), _short(ours))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
