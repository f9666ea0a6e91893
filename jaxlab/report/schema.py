"""Checks plain data against a TypedDict, and says where it does not fit."""

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

_SIMPLE = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}


def problems(value: Any, kind: Any, path: str = "") -> list[str]:
    """Everything in ``value`` that is not of type ``kind``, one line each.

    Args:
      value: what ``json`` reads: objects, lists, texts, numbers, booleans, null.
      kind: a TypedDict, whose ``NotRequired`` keys may be missing; ``list[X]``, ``dict[str, X]``; one of these or
        null; a ``Literal``, a union of simple types, ``str``, ``int``, ``float`` (takes whole numbers too), ``bool``,
        ``None`` or ``Any``.
      path: where ``value`` stands in the whole.

    >>> problems({"mean": [0.9, "0.9"]}, dict[str, list[float]])
    ["mean[1] is '0.9': accepted is a number"]
    """
    if get_origin(kind) in (Union, types.UnionType):
        branches = [branch for branch in get_args(kind) if branch is not types.NoneType]
        if len(branches) == 1 and value is None:
            return []
        if len(branches) == 1 and (is_typeddict(branches[0]) or get_origin(branches[0]) in (list, dict)):
            return problems(value, branches[0], path)
    origin, inner = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        return _object(value, kind, path)
    if origin is list and isinstance(value, list):
        return [line for i, item in enumerate(value) for line in problems(item, inner[0], f"{path}[{i}]")]
    if origin is dict and isinstance(value, dict):
        return [line for key, item in value.items() for line in problems(item, inner[1], _join(path, key))]
    return [] if _fits(value, kind) else [f"{path or 'the whole'} is {_shown(value)}: accepted is {_name(kind)}"]


def _object(value: Any, kind: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path or 'the whole'} is {_shown(value)}: accepted is an object"]
    hints = get_type_hints(kind)
    required = kind.__required_keys__
    missing = [f"{_join(path, key)} is missing" for key in hints if key in required and key not in value]
    unknown = [f"{_join(path, key)} is unknown: accepted are {', '.join(hints)}" for key in value if key not in hints]
    inside = [line for key in hints if key in value for line in problems(value[key], hints[key], _join(path, key))]
    return missing + unknown + inside


def _fits(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in inner
    if origin in (Union, types.UnionType):
        return any(_fits(value, branch) for branch in inner)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind) if isinstance(kind, type) else False


def _name(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(repr(option) for option in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_name(branch) for branch in inner)
    if origin is list:
        return "a list"
    return "an object" if origin is dict else _SIMPLE[kind]


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
