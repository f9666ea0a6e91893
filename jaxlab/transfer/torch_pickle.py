"""What a pickle of tensors describes, found without unpickling it.

A pickle is a program for a small machine with a stack; ``pickle.load`` lets that program import any function and call
it. Here the standard library's ``pickletools`` takes the program apart, which runs nothing, and a machine of our own
follows it. It knows how to build dicts, lists, tuples, numbers and texts, and it knows a few names, by which PyTorch
writes tensors down. Each of those is a function of this file that notes its arguments. There is no instruction that
imports, looks up attributes or sets them, so there is nothing that a hostile file could ask for.
"""

import itertools
import pickletools
import reprlib
from collections.abc import Callable
from typing import IO, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

_FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
DTYPES = {
    **{f"float{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    **{f"int{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{name: np.dtype(getattr(jnp, name)) for name in ("bfloat16", *_FLOAT8)},
    "bool": np.dtype(bool),
    "complex64": np.dtype("complex64"),
    "complex128": np.dtype("complex128"),
}
"""PyTorch's name of a dtype -> NumPy's dtype."""

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2


class Storage(NamedTuple):
    """A row of numbers that stands elsewhere in the file.

    Attributes:
      key: under which it stands there.
      dtype: of its elements; of an untyped storage uint8.
      elements: how many the pickle claims that there are, from the row's start.
      start: first element that is meant.
    """

    key: str
    dtype: np.dtype
    elements: int
    start: int = 0


class Tensor(NamedTuple):
    """A tensor as the file has it: elements of a storage, from ``offset`` on, ``stride`` apart along each axis."""

    storage: Storage
    dtype: np.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class NotTensorsError(ValueError):
    """What stands in a pickle that describes anything but tensors, in words."""


def show(value: Any) -> str:
    """What something in a pickle is, in few letters however large and entangled it is."""
    return _SHORT.repr(value)


class _Name(NamedTuple):
    """A global that a pickle may name: a dtype, or what is noted when it is called."""

    name: str
    call: Callable[..., Any] | None = None
    dtype: np.dtype | None = None


def _whole_numbers(name: str, values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or not all(type(v) is int and 0 <= v < 2**63 for v in values):
        raise NotTensorsError(f"a tensor whose {name} is {show(values)}: accepted are whole numbers from 0 to 2**63")
    return tuple(values)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *state: Any) -> Tensor:
    """``torch._utils._rebuild_tensor`` and ``_v2``: the rest says how gradients flow, and is left out."""
    if not isinstance(storage, Storage):
        raise NotTensorsError(f"a tensor of {show(storage)}: accepted is a storage")
    if len(state) == 3 and state[2]:
        raise NotTensorsError(
            f"a tensor with metadata {show(state[2])}: accepted is one without (torch.resolve_conj, resolve_neg)"
        )
    (first,) = _whole_numbers("offset", (offset,))
    size, stride = _whole_numbers("size", size), _whole_numbers("stride", stride)
    return Tensor(storage, storage.dtype, first, size, stride)


def _tensor_of_dtype(storage: Any, offset: Any, size: Any, stride: Any, *state: Any) -> Tensor:
    """``torch._utils._rebuild_tensor_v3``: an untyped storage, whose dtype comes after the usual state."""
    if len(state) < 3 or not isinstance(state[2], _Name) or state[2].dtype is None:
        raise NotTensorsError(f"a tensor with state {show(state)}: accepted is one that names its dtype")
    return _tensor(storage, offset, size, stride, *state[:2], *state[3:])._replace(dtype=state[2].dtype)


def _parameter(tensor: Any, *state: Any) -> Tensor:
    """``torch._utils._rebuild_parameter``: a tensor that is trained."""
    if not isinstance(tensor, Tensor):
        raise NotTensorsError(f"a parameter of {show(tensor)}: accepted is a tensor")
    return tensor


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    """``collections.OrderedDict``: empty, or of pairs, as Python 2 wrote it."""
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise NotTensorsError(f"collections.OrderedDict called with {show(pairs)}: accepted are pairs")
    return _pairs([*itertools.chain.from_iterable(pairs)])


_NAMES = {
    "collections OrderedDict": _Name("collections.OrderedDict", _ordered_dict),
    "torch Size": _Name("torch.Size", tuple),
    "torch._utils _rebuild_tensor": _Name("torch._utils._rebuild_tensor", _tensor),
    "torch._utils _rebuild_tensor_v2": _Name("torch._utils._rebuild_tensor_v2", _tensor),
    "torch._utils _rebuild_tensor_v3": _Name("torch._utils._rebuild_tensor_v3", _tensor_of_dtype),
    "torch._utils _rebuild_parameter": _Name("torch._utils._rebuild_parameter", _parameter),
    "torch._utils _rebuild_parameter_with_state": _Name("torch._utils._rebuild_parameter_with_state", _parameter),
    "torch.storage UntypedStorage": _Name("torch.storage.UntypedStorage", dtype=np.dtype("uint8")),
    **{f"torch {name}": _Name(f"torch.{name}", dtype=dtype) for name, dtype in DTYPES.items()},
    **{
        f"{module} {name}": _Name(f"{module}.{name}", dtype=DTYPES[dtype])
        for module in ("torch", "torch.cuda")
        for name, dtype in _STORAGES.items()
    },
}


def _storage(saved: Any) -> Storage:
    """What a persistent id means: ("storage", class, key, device, elements), and which part of it in old files."""
    match saved:
        case ("storage", _Name(dtype=np.dtype() as dtype), str(key), str(), int(elements), *view) if elements >= 0:
            match view:
                case [] | [None]:
                    return Storage(key, dtype, elements)
                case [(_, int(start), int(length))] if 0 <= start <= start + length <= elements:
                    return Storage(key, dtype, elements, start)
    raise NotTensorsError(f"the persistent id {show(saved)}, which is no storage of numbers")


def _called(function: Any, arguments: Any) -> Any:
    name = function.name if isinstance(function, _Name) else show(function)
    if not isinstance(function, _Name) or function.call is None or not isinstance(arguments, tuple):
        raise NotTensorsError(f"a call of {name}, which makes no tensor")
    try:
        return function.call(*arguments)
    except NotTensorsError:
        raise
    except (TypeError, ValueError) as error:
        raise NotTensorsError(f"{name} called with {show(arguments)}: {error}") from None


_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}


class Pickled(NamedTuple):
    """What a pickle describes.

    Attributes:
      value: dicts, lists, tuples, numbers and texts, and a :class:`Tensor` for each tensor.
      storages: all that it mentions, by key.
    """

    value: Any
    storages: dict[str, Storage]


def read(file: IO[bytes]) -> Pickled:
    """The next pickle of a file.

    Args:
      file: open for reading, and left behind the pickle's last byte. Asked for more bytes than it has, it must give
        those that it has and not make room for the others: a memory map, ``io.BytesIO``.

    Raises:
      NotTensorsError: the pickle names, calls or holds something else. Nothing of it has been imported or run.
      ValueError: not a pickle, or one that is cut off.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    storages: dict[str, Storage] = {}
    given = 0
    try:
        for opcode, argument, place in pickletools.genops(file):
            name = opcode.name
            if name == "REDUCE":
                # A call copies what it is given, which costs two bytes to name again, however much it is.
                given += sum(len(each) for each in stack[-1] if isinstance(each, dict | list | tuple | str | bytes))
                if given > (place or 0):
                    raise NotTensorsError(f"calls that are given {given} things in the first {place} bytes")
            if not _pushed(name, argument, stack, memo) and not _put_together(name, stack, storages):
                raise NotTensorsError(f"the instruction {name}, which no pickle of tensors needs")
        return Pickled(stack.pop(), storages)
    except (IndexError, KeyError, TypeError) as error:
        # An instruction that finds another thing on the stack than it works on.
        raise ValueError(f"a damaged pickle, {type(error).__name__}: {error}") from None


def _pushed(instruction: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> bool:
    """Follows an instruction that puts one thing on the stack; whether it is one."""
    match instruction:
        case "PROTO" | "FRAME" | "STOP":
            pass
        case "MARK":
            stack.append(_MARK)
        case "PUT" | "BINPUT" | "LONG_BINPUT":
            memo[argument] = stack[-1]
        case "MEMOIZE":
            memo[len(memo)] = stack[-1]
        case "GET" | "BINGET" | "LONG_BINGET":
            stack.append(memo[argument])
        case "GLOBAL":
            stack.append(_named(argument))
        case _ if instruction in _VALUES:
            stack.append(argument)
        case _ if instruction in _CONSTANTS:
            stack.append(_CONSTANTS[instruction])
        case _ if instruction in _EMPTY:
            stack.append(_EMPTY[instruction]())
        case _:
            return False
    return True


def _put_together(instruction: str, stack: list[Any], storages: dict[str, Storage]) -> bool:
    """Follows an instruction that works on what lies on the stack; whether it is one."""
    match instruction:
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            stack.append(tuple([stack.pop() for _ in range(int(instruction[-1]))][::-1]))
        case "TUPLE":
            stack.append(tuple(_since_mark(stack)))
        case "LIST":
            stack.append(_since_mark(stack))
        case "DICT":
            stack.append(_pairs(_since_mark(stack)))
        case "APPEND" | "APPENDS":
            items = _since_mark(stack) if instruction == "APPENDS" else [stack.pop()]
            _top(stack, list).extend(items)
        case "SETITEM" | "SETITEMS":
            items = [stack.pop(), stack.pop()][::-1] if instruction == "SETITEM" else _since_mark(stack)
            _top(stack, dict).update(_pairs(items))
        case "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            stack.append(_named(module + " " + name))  # Which fails for other than texts.
        case "BINPERSID":
            storage = _storage(stack.pop())
            storages.setdefault(storage.key, storage)
            stack.append(storage)
        case "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_called(function, arguments))
        case "BUILD":
            stack.pop()  # The state of an ordered dict: PyTorch notes versions of modules there.
            _top(stack, dict)
        case _:
            return False
    return True


def _named(name: str) -> _Name:
    if name not in _NAMES:
        raise NotTensorsError(f"the global {name.replace(' ', '.')}, which is no tensor")
    return _NAMES[name]


def _top(stack: list[Any], kind: type) -> Any:
    if isinstance(stack[-1], kind):
        return stack[-1]
    raise NotTensorsError(f"something put into {show(stack[-1])}: accepted is a {kind.__name__}")


def _since_mark(stack: list[Any]) -> list[Any]:
    items = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """Keys and values in turn. Other keys than names and numbers could take for ever to hash."""
    keys = items[::2]
    if not all(isinstance(key, str | int) for key in keys):
        raise NotTensorsError(f"a dict with the keys {show(keys)}: accepted are texts and whole numbers")
    return dict(zip(keys, items[1::2], strict=True))
