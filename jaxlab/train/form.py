"""What a saved state consists of, in words that JSON can hold, and where two states differ.

A state is known by the names, shapes and dtypes of its leaves, and by what its nodes are: the moments of Adam and
of Yogi have equal names and shapes and are other things.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxlab.core import hyper, tree

CONVERSIONS = ("dtypes", "loss_scale", "rounding", "ema", "types")
"""What :meth:`~jaxlab.train.Checkpoints.restore` converts where it is told to."""

PARTS = {"loss_scale": "loss_scale", "ema": "ema", "compensation": "rounding"}
"""Fields of a training state that a policy or an option adds, and the conversion that begins or leaves them."""


class Form(TypedDict):
    """The form of a state.

    ``leaves``: shape and dtype by name. ``types``: what each node is that is a NamedTuple or a dataclass, by name.
    """

    leaves: dict[str, list[Any]]
    types: dict[str, str]


class Difference(NamedTuple):
    """One thing in which a saved state and a wanted one differ.

    Attributes:
      name: of the leaf or node.
      there: what it is in the checkpoint.
      here: what is wanted.
      conversion: what makes one of the other, of :data:`CONVERSIONS`; None where nothing does.
    """

    name: str
    there: str
    here: str
    conversion: str | None

    def __str__(self) -> str:
        return f"{self.name!r} is {self.there} there, {self.here} here"


def named(state: PyTree) -> dict[str, Any]:
    """The leaves of a state by name: arrays, concrete or abstract. Python's numbers become arrays.

    Raises:
      TypeError: a leaf that is no array and no number.
      ValueError: two leaves of one name; an array that was given away to a step.

    >>> sorted(named({"w": jnp.ones(2), "b": 0.5}))
    ['b', 'w']
    """
    names = tree.names(state)
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"two leaves of the state are named {twice[0]!r}: accepted are names that differ")
    return {name: _array(name, leaf) for name, leaf in zip(names, jax.tree.leaves(state), strict=True)}


def _array(name: str, leaf: Any) -> Any:
    if isinstance(leaf, bool | int | float | complex | np.generic):
        leaf = jnp.asarray(leaf)
    kind = getattr(leaf, "dtype", None)
    if kind is None or not any(jnp.issubdtype(kind, one) for one in (np.number, np.bool_, jax.dtypes.prng_key)):
        raise TypeError(f"leaf {name!r} of the state is {leaf!r}: accepted are arrays of numbers, keys, and numbers")
    if isinstance(leaf, jax.Array) and leaf.is_deleted():
        raise ValueError(f"leaf {name!r} of the state was given away: accepted is the state that the step returned")
    return leaf


def form_of(state: PyTree) -> Form:
    """The form of a state, concrete or abstract.

    >>> from jaxlab.train import Ema
    >>> form_of({"ema": Ema(jnp.ones(2), jnp.float32(0.5))})["types"]
    {'ema': 'state.Ema'}
    """
    leaves = {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in named(state).items()}
    types: dict[str, str] = {}
    _add_types(state, (), types)
    return Form(leaves=leaves, types=types)


def _add_types(node: Any, path: tuple[Any, ...], types: dict[str, str]) -> None:
    if hasattr(node, "_fields") or (dataclasses.is_dataclass(node) and not isinstance(node, jax.ShapeDtypeStruct)):
        types[tree.path_name(path)] = _type_name(node)
    below = jax.tree_util.tree_leaves_with_path(node, is_leaf=lambda x: x is not node)
    for key, child in below:
        if child is not node:
            _add_types(child, (*path, *key), types)


def _type_name(node: Any) -> str:
    """The class with the last part of its module, which stays when a package is sorted anew; and what is static."""
    kind = type(node)
    fields = dataclasses.fields(node) if dataclasses.is_dataclass(node) else ()
    values = {field.name: getattr(node, field.name) for field in fields if field.metadata.get("static")}
    plain = [f"{name}={value!r}" for name, value in values.items() if isinstance(value, bool | int | float | str)]
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}" + (f"({', '.join(plain)})" if plain else "")


def differences(there: Mapping[str, Any], here: Form) -> list[Difference]:
    """In what a saved form (one without ``types`` says nothing of them) and a wanted one differ, types first.

    >>> saved = form_of({"params": jnp.ones(3)})
    >>> wanted = form_of({"params": jnp.ones(3, jnp.bfloat16), "ema": jnp.ones(())})
    >>> [(str(found), found.conversion) for found in differences(saved, wanted)][0]
    ("'ema' is nothing there, float32[] here", 'ema')
    """
    found: list[Difference] = []
    blocks: set[str] = set()
    for name, own in sorted(here["types"].items()):
        other = there.get("types", {}).get(name, own)
        if other != own:
            moved = other.partition("(")[1:] == own.partition("(")[1:]
            found.append(Difference(name, other, own, "types" if moved else None))
    for name in sorted(here["leaves"].keys() & there.get("types", {}).keys()):
        blocks.add(name)
        found.append(Difference(name, there["types"][name], _text(here["leaves"][name]), None))
    for name in sorted(there["leaves"].keys() & here["types"].keys()):
        blocks.add(name)
        found.append(Difference(name, _text(there["leaves"][name]), here["types"][name], None))
    for name in sorted(there["leaves"].keys() | here["leaves"].keys()):
        saved, wanted = there["leaves"].get(name), here["leaves"].get(name)
        if saved != wanted and not {name, name.rpartition("/")[0]} & blocks:
            found.append(Difference(name, _text(saved), _text(wanted), _conversion(name, saved, wanted)))
    return found


def _conversion(name: str, saved: list[Any] | None, wanted: list[Any] | None) -> str | None:
    if saved is None or wanted is None:
        return PARTS.get(name.partition("/")[0])
    floating = all(dtype.startswith(("float", "bfloat")) for _, dtype in (saved, wanted))
    return "dtypes" if saved[0] == wanted[0] and floating else None


def _text(leaf: list[Any] | None) -> str:
    return "nothing" if leaf is None else f"{leaf[1]}[{','.join(map(str, leaf[0]))}]"


def check_conversions(convert: str | Iterable[str]) -> tuple[str, ...]:
    """Names of conversions.

    Raises:
      TypeError: no names.
      ValueError: one that does not exist.
    """
    if not isinstance(convert, Iterable) or isinstance(convert, bytes):
        raise TypeError(f"convert = {convert!r}: accepted are names of {', '.join(CONVERSIONS)}")
    chosen = (convert,) if isinstance(convert, str) else tuple(convert)
    return tuple(hyper.one_of("convert", name, CONVERSIONS) for name in chosen)


def refusal(found: list[Difference], conversions: tuple[str, ...]) -> str | None:
    """Why a state is not restored: the first difference that no conversion undoes, or one that is not declared."""
    undeclared = [one for one in found if one.conversion not in conversions]
    if not undeclared:
        return None
    needed = tuple(name for name in CONVERSIONS if name in {one.conversion for one in found})
    hopeless = next((one for one in found if one.conversion is None), None)
    first = undeclared[0]
    if first.conversion == "types":
        renamed = "" if hopeless else f", or, where a class is the same and has another name, convert={needed}"
        return f"is of another run: {first}; accepted is the optimizer that it was saved with{renamed}"
    if hopeless is None:
        return f"was saved under another policy: {first}; accepted with convert={needed}"
    stored = "Blocks(" in hopeless.there + hopeless.here
    return f"is of another run: {hopeless}" + (
        "; accepted is the state_dtype that it was saved with: other formats are not made of it" if stored else ""
    )
