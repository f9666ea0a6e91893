"""Is a task fit to be trained? Asked before anything large is compiled."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from jaxlab.core import hyper, parts, tree
from jaxlab.optimizers import Recipe
from jaxlab.optimizers.dense import DENSE, MAX_PARAMETERS
from jaxlab.tasks.base import Task
from jaxlab.train.data import split_sizes
from jaxlab.train.step import OWN_METRICS


def check(task: Task, key: Key[Array, ""]) -> None:
    """Looks at a task's data, and takes its loss and gradient once, on the first batch of the pool.

    Args:
      task: as :func:`~jaxlab.tasks.registry.as_task` gives it.
      key: for the parameters.

    Raises:
      ValueError: arrays that are empty or whose leading axes differ, a test set unlike the pool, a fraction
        or a count out of range, a loss or metric that is no scalar, a loss or gradient that is not finite at
        the start. The message names the task and what is wrong.
      TypeError: parameters that are no real floating arrays, a loss that returns something else than
        ``(loss, metrics)``.

    >>> import jaxlab
    >>> check(jaxlab.tasks.get("line"), jax.random.key(0))
    """
    where = f"task {task.name!r}"
    pool = _examples(where, "data", task.data)
    _examples(where, "test", task.test)
    _check_alike(where, task.data, task.test)
    hyper.integer(f"{where}: batch_size", task.batch_size, at_least=1)
    hyper.integer(f"{where}: steps", task.steps, at_least=1)
    hyper.number(f"{where}: validation_fraction", task.validation_fraction, "(0, 1)")
    try:
        split_sizes(pool, task.validation_fraction)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None

    init_key, loss_key = jax.random.split(key)
    try:
        params = jax.jit(task.initial)(init_key)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    _check_params(where, params)
    trained = params if task.frozen is None else parts.without(params, task.frozen)
    if not jax.tree.leaves(trained):
        raise ValueError(f"{where}: frozen has every parameter: accepted is what leaves one to train")
    batch = jax.tree.map(lambda leaf: leaf[: task.batch_size], task.data)
    for its_key in (loss_key, None):
        result = jax.eval_shape(task.loss, params, batch, its_key)
        _check_result(where, task.metric, result)

    def loss(trained: PyTree, params: PyTree, batch: PyTree, key: Array) -> Any:
        return task.loss(parts.merged(trained, params), batch, key)

    (value, _), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(trained, params, batch, loss_key)
    if not jnp.isfinite(value):
        raise ValueError(f"{where}: the loss is {value} at the start: accepted is a finite number")
    for name, leaf in zip(tree.names(gradient), jax.tree.leaves(gradient), strict=True):
        if not jnp.all(jnp.isfinite(leaf)):
            raise ValueError(f"{where}: the gradient of parameter {name!r} is not finite at the start")


def check_optimizer(task: Task, recipe: Recipe) -> None:
    """Can a recipe's optimizer take a step on a task? Nothing is compiled.

    Raises:
      ValueError: an optimizer for sums of squares and a loss that is none, one that draws labels and a loss that
        draws none, or one that forms a dense matrix and more parameters than it takes.

    >>> import jaxlab
    >>> check_optimizer(jaxlab.tasks.get("line"), Recipe("newton"))
    """
    where, needs = f"optimizer = {recipe.optimizer!r} on task {task.name!r}", recipe.info.needs
    if "residual_fn" in needs and not hasattr(task.loss, "residuals"):
        raise ValueError(
            f"{where}: the loss has no residuals, accepted is a mean of squares; newton and lbfgs take any"
        )
    if dict(recipe.static).get("estimator") == "gnb" and not hasattr(task.loss, "sampled"):
        raise ValueError(
            f'{where}: the loss draws no labels, as estimator = "gnb" asks; accepted are a cross entropy, and '
            'estimator = "hutchinson"'
        )
    if recipe.optimizer in DENSE:
        params = jax.eval_shape(task.init, jax.random.key(0))
        shapes = jax.tree.leaves(params if task.frozen is None else parts.without(params, task.frozen))
        size = sum(leaf.size for leaf in shapes)
        if size > MAX_PARAMETERS:
            raise ValueError(
                f"{where}: {size} parameters, accepted are at most {MAX_PARAMETERS}; lbfgs takes any number"
            )


def _examples(where: str, part: str, data: PyTree) -> int:
    """How many examples there are; every leaf must have as many."""
    leaves = tree.named(data)
    shapes = {name: np.shape(leaf) for name, leaf in leaves.items()}
    lengths = {shape[:1] for shape in shapes.values()}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(f"{where}: {part} has arrays of shapes {shapes}: accepted is one leading axis, of examples")
    (length,) = lengths.pop()
    if not length:
        raise ValueError(f"{where}: {part} has no examples; its arrays have shapes {shapes}")
    return length


def _check_alike(where: str, data: PyTree, test: PyTree) -> None:
    def form(leaf: Any) -> str:
        return f"{leaf.dtype}{list(leaf.shape[1:])}"

    if jax.tree.structure(data) != jax.tree.structure(test):
        raise ValueError(
            f"{where}: test is {jax.tree.structure(test)}: accepted is what data is, {jax.tree.structure(data)}"
        )
    for name, a, b in zip(tree.names(data), jax.tree.leaves(data), jax.tree.leaves(test), strict=True):
        if form(a) != form(b):
            raise ValueError(
                f"{where}: examples of test/{name} are {form(b)}: accepted is what data/{name} has, {form(a)}"
            )


def _check_params(where: str, params: PyTree) -> None:
    leaves = tree.named(params)
    if not leaves:
        raise ValueError(f"{where}: init returned no parameters")
    for name, leaf in leaves.items():
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise TypeError(f"{where}: parameter {name!r} has dtype {jnp.result_type(leaf)}: accepted is real floating")
        if not jnp.all(jnp.isfinite(leaf)):
            raise ValueError(f"{where}: parameter {name!r} is not finite at the start")


def _check_result(where: str, metric: str, result: Any) -> None:
    pair = isinstance(result, tuple) and len(result) == 2
    if not pair or not isinstance(result[1], Mapping):
        raise TypeError(f"{where}: loss returned {result}: accepted is (loss, metrics), metrics a dict of scalars")
    loss, metrics = result
    if getattr(loss, "shape", None) != () or not jnp.issubdtype(loss.dtype, jnp.floating):
        raise ValueError(f"{where}: loss returned {loss}: accepted is a scalar, real floating")
    for name, value in metrics.items():
        if getattr(value, "shape", None) != ():
            raise ValueError(f"{where}: metric {name!r} is {value}: accepted is a scalar")
        if name in OWN_METRICS:
            raise ValueError(f"{where}: metric {name!r}: that name is the step's own, as are {', '.join(OWN_METRICS)}")
    if metric != "loss":
        hyper.one_of(f"{where}: metric", metric, ("loss", *metrics))
