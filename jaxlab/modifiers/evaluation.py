"""The parameters to evaluate a run with: the averages that an optimizer's state holds, where it holds any."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import storage, tree
from jaxlab.core.leafwise import LeafwiseState, rebuild


@runtime_checkable
class Averages(Protocol):
    """The slots of a modifier that averages parameters. Slots are a NamedTuple, and that may have a method."""

    def evaluated(self, p: Float[Array, "..."], shared: Any) -> Float[Array, "..."]:
        """What to evaluate in place of one leaf, in full precision.

        Args:
          p: the parameter.
          shared: the global scalars of the same state.
        """
        ...


def averages(opt_state: optax.OptState) -> tuple[LeafwiseState, ...]:
    """The parts of an optimizer's state that :func:`evaluation_params` reads: it takes them in place of the whole.

    Empty where nothing averages. What is compiled for it then has no argument but the parameters.
    """
    return tuple(node for node in jax.tree.leaves(opt_state, is_leaf=_averages) if _averages(node))


def evaluation_params(opt_state: optax.OptState, params: PyTree[Array]) -> PyTree[Array]:
    """The parameters to evaluate: averages where the optimizer keeps some, else those given.

    Averages are those of :func:`~jaxlab.modifiers.ema`, :func:`~jaxlab.modifiers.swa`,
    :func:`~jaxlab.modifiers.lookahead` and :func:`~jaxlab.modifiers.schedule_free`, at any depth of chains,
    partitions, masks and wrappers. A leaf that several average is the outermost's; one that none averages, as in
    a part of a partition, is the parameter.

    Args:
      opt_state: the state of any optax optimizer, or what :func:`averages` took from it.
      params: the parameters that the run trains.

    Returns:
      A tree like ``params``, in its dtypes; ``params`` itself where nothing averages.

    Raises:
      ValueError: averages of leaves that the parameters do not have, or of other shapes.

    >>> import jaxlab
    >>> tx = jaxlab.modifiers.ema(optax.sgd(1.0), decay=0.5, debias=False)
    >>> params = jnp.array([4.0])
    >>> _, state = tx.update(jnp.array([2.0]), tx.init(params), params)
    >>> evaluation_params(state, params - 2.0).tolist()
    [3.0]
    """
    found = {name: kept for state in averages(opt_state) for name, kept in _leaves(state)}
    if not found:
        return params
    if unknown := sorted(found.keys() - set(tree.names(params))):
        raise ValueError(f"params lack {unknown}, of which opt_state keeps averages: accepted are its own parameters")

    def one(path: Any, p: Any) -> Any:
        if (kept := found.get(tree.path_name(path))) is None:
            return p
        slots, shared = kept
        average = slots.evaluated(storage.decode(p), shared)
        if average.shape != jnp.shape(p):
            raise ValueError(
                f"params: leaf {tree.path_name(path)!r} has shape {jnp.shape(p)}, its average in opt_state "
                f"{average.shape}: accepted are equal shapes"
            )
        return jnp.asarray(average, jnp.result_type(p))

    return jax.tree_util.tree_map_with_path(one, params)


def _averages(node: Any) -> bool:
    return isinstance(node, LeafwiseState) and isinstance(node.slots, Averages)


def _leaves(state: LeafwiseState) -> Iterator[tuple[str, tuple[Averages, Any]]]:
    """Each leaf's name, its own slots, and the scalars of all."""
    columns = [jax.tree.leaves(field, is_leaf=_blocks) for field in state.slots]
    for name, *values in zip(tree.names(state.slots[0], is_leaf=_blocks), *columns, strict=True):
        yield name, (rebuild(state.slots, [storage.decode(value) for value in values]), state.shared)


def _blocks(node: Any) -> bool:
    return isinstance(node, storage.Blocks)
