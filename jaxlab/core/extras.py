"""Extra arguments of ``update``: handed to the functions that name them."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, PyTree

from jaxlab.core import hyper, storage, tree


def asked_for(function: Callable[..., Any], extra: dict[str, Any], *, needed: bool = False) -> dict[str, Any]:
    """The extra arguments that a function names; where they are needed, those without a default must be there."""
    parameters = list(inspect.signature(function).parameters.values())[3:]
    for parameter in parameters if needed else ():
        if parameter.default is parameter.empty and extra.get(parameter.name) is None:
            raise ValueError(
                f"this optimizer needs {parameter.name}: call tx.update(grads, state, params, {parameter.name}=...); "
                "the step of jaxlab.train.make_train_step passes it"
            )
        if parameter.name.endswith("_fn") and parameter.default is parameter.empty:
            hyper.function(parameter.name, extra[parameter.name])
        if parameter.name == "key" and parameter.default is parameter.empty:
            hyper.random_key("key", extra["key"])
    return {parameter.name: extra[parameter.name] for parameter in parameters if parameter.name in extra}


def second_arrays(
    beside: Callable[..., PyTree] | None, updates: PyTree, params: PyTree | None, t: Array, extra: dict[str, Any]
) -> dict[int, Array]:
    """What ``beside`` computes for each leaf, by the leaf's place; nothing where there is no such function."""
    if beside is None:
        return {}
    second = beside(updates, params, t, **asked_for(beside, extra, needed=True))
    columns = jax.tree.structure(updates, is_leaf=tree.is_none).flatten_up_to(second)
    return {i: storage.decode(x) for i, x in enumerate(columns) if x is not None}
