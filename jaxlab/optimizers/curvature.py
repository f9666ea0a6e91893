"""Estimates of the curvature's diagonal, made every so many steps, as leafwise optimizers use them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, Key, PyTree

from jaxlab.core import hyper, storage, tree
from jaxlab.core.leafwise import Leaf


class Estimates(NamedTuple):
    """How many estimates there were, and the step that made the last one."""

    count: Int32[Array, ""]
    last: Int32[Array, ""]

    def fresh(self, t: Float[Array, ""]) -> Bool[Array, ""]:
        """Whether this step made one."""
        return self.last == t.astype(jnp.int32)


def no_estimates() -> Estimates:
    """Before the first step."""
    return Estimates(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))


def is_due(every: int, t: Float[Array, ""], step: Int32[Array, ""] | None) -> Bool[Array, ""]:
    """Whether this step makes an estimate: the first, and every so many after.

    The run's own clock ``step`` decides where it is given: in a population that is vectorised it is one number for
    all members, and what depends on it alone stays a branch.
    """
    return (t.astype(jnp.int32) - 1 if step is None else jnp.asarray(step)) % every == 0


def counting(every: int) -> Callable[..., Estimates]:
    """The engine's ``combine``: counts the estimates."""

    def combine(shared: Estimates, sums: None, t: Float[Array, ""], step: Any = None) -> Estimates:
        due = is_due(every, t, step)
        return Estimates(shared.count + due.astype(jnp.int32), jnp.where(due, t.astype(jnp.int32), shared.last))

    return combine


def refreshed(every: int, estimate: Callable[[], PyTree], like: PyTree, due: Bool[Array, ""]) -> PyTree:
    """An estimate where one is due, zeros elsewhere, at no cost."""

    def nothing() -> PyTree:
        return jax.tree.map(lambda x: jnp.zeros_like(x, hyper.arithmetic_dtype()), like)

    return estimate() if every == 1 else jax.lax.cond(due, estimate, nothing)


def hutchinson(every: int) -> Callable[..., PyTree]:
    r"""The engine's ``beside``: Hutchinson's estimate of the Hessian's diagonal, :math:`z \odot H z`.

    :math:`z` is random signs, made of the step's key, the leaf's name and the element's place: the same on
    any layout. Bekas et al. (2007), https://doi.org/10.1016/j.apnum.2007.01.003.
    """

    def beside(
        grads: PyTree, params: PyTree, t: Array, hvp_fn: Callable, key: Key[Array, ""], step: Any = None
    ) -> PyTree:
        def estimate() -> PyTree:
            signs = random_signs(grads, params, key)
            products = like_parameters("hvp_fn", hvp_fn(params, signs), params)
            return jax.tree.map(lambda z, h: storage.decode(z) * storage.decode(h), signs, products)

        return refreshed(every, estimate, params, is_due(every, t, step))

    return beside


def gauss_newton_bartlett(every: int) -> Callable[..., PyTree]:
    r"""The engine's ``beside``: the estimate :math:`\hat g \odot \hat g` of the Gauss-Newton matrix's diagonal.

    :math:`\hat g` is ``sampled_grad_fn(params, key)``: the gradient with labels that were drawn from the model's own
    predictions, times the root of their number. Liu et al. (2024), https://arxiv.org/abs/2305.14342, algorithm 2.
    """

    def beside(
        grads: PyTree, params: PyTree, t: Array, sampled_grad_fn: Callable, key: Key[Array, ""], step: Any = None
    ) -> PyTree:
        def estimate() -> PyTree:
            sampled = like_parameters("sampled_grad_fn", sampled_grad_fn(params, key), params)
            return jax.tree.map(lambda g: storage.decode(g) ** 2, sampled)

        return refreshed(every, estimate, params, is_due(every, t, step))

    return beside


def like_parameters(name: str, given: PyTree, params: PyTree) -> PyTree:
    """What a function returned, where it is a tree of the parameters' structure and shapes: others would be broadcast.

    Raises:
      ValueError: it is not.
    """
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(given)]
    wanted = [jnp.shape(leaf) for leaf in jax.tree.leaves(params)]
    if jax.tree.structure(given) != jax.tree.structure(params) or shapes != wanted:
        raise ValueError(f"{name} returned arrays of shapes {shapes}: accepted is a tree like the parameters, {wanted}")
    return given


def random_signs(grads: PyTree, params: PyTree, key: Key[Array, ""]) -> PyTree:
    """A tree like the parameters of 1 and -1; zeros where there is no gradient.

    >>> import jax
    >>> signs = random_signs(jnp.ones(1000), jnp.ones(1000), jax.random.key(0))
    >>> jnp.unique(signs).tolist(), abs(jnp.mean(signs).item()) < 0.1
    ([-1.0, 1.0], True)
    """
    seed = jax.random.bits(key, (), jnp.uint32)
    structure = jax.tree.structure(grads, is_leaf=tree.is_none)

    def one(name: str, g: Array | None, p: Any) -> Any:
        if g is None:
            return jax.tree.map(jnp.zeros_like, p)
        bits = storage.random_bits(jnp.shape(p), storage.seed_of(name, seed))
        return jnp.where(bits >> 31, -1, 1) * jnp.ones_like(p)

    columns = zip(
        tree.names(grads, is_leaf=tree.is_none),
        jax.tree.leaves(grads, is_leaf=tree.is_none),
        structure.flatten_up_to(params),
        strict=True,
    )
    return structure.unflatten([one(*column) for column in columns])


def of(leaf: Leaf) -> Float[Array, "..."]:
    """The estimate for this leaf, of an optimizer that asked for one: zeros where none was due."""
    assert leaf.beside is not None  # there is one wherever there is a gradient
    return leaf.beside
