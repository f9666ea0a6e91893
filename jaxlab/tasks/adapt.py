"""A user's own object as a task."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from jaxlab.tasks.base import Task
from jaxlab.tasks.split import train_test_split

_REQUIRED = ("init", "loss", "data")
_OPTIONAL = tuple(f.name for f in dataclasses.fields(Task) if f.name not in (*_REQUIRED, "test", "name"))


@dataclasses.dataclass(frozen=True)
class LossWithMetrics:
    """A loss that may return a bare scalar, as one that returns ``(loss, metrics)``.

    Equal for equal losses, so that a task adapted twice is compiled once.
    """

    loss: Any

    def __call__(self, params: PyTree, batch: PyTree, key: Key[Array, ""] | None) -> tuple[Array, Mapping[str, Array]]:
        """The pair, with no metrics where the user gave none."""
        result = self.loss(params, batch, key)
        return result if isinstance(result, tuple) else (result, {})

    @property
    def residuals(self) -> Callable[..., Array]:
        """The loss's own, where it has them; AttributeError where not."""
        return self.loss.residuals

    @property
    def names(self) -> tuple[str, ...]:
        """The loss's own hyperparameters, where it has some; AttributeError where not."""
        return self.loss.names

    @property
    def given(self) -> Callable[..., "LossWithMetrics"]:
        """The loss at these, where it has some; AttributeError where not."""
        given = self.loss.given
        return lambda hyperparams: LossWithMetrics(given(hyperparams))

    @property
    def sampled(self) -> Callable[..., Array]:
        """The loss's own, where it has them; AttributeError where not."""
        return self.loss.sampled


def adapt(obj: Any) -> Task:
    """What a user has, as a :class:`Task`.

    Args:
      obj: one of

        - a task, which is returned as it is;
        - any object (an instance, a module, a namespace) with ``init(key) -> params``,
          ``loss(params, batch, key)`` which returns a scalar or ``(scalar, metrics)`` and is called with
          ``key=None`` to evaluate, and ``data``, a tree of arrays with a leading axis of examples. Where it
          has ``test``, that is the test set; else a fifth of the data becomes it, by
          :func:`~jaxlab.tasks.split.train_test_split`. Other fields of a task are taken where it has them;
          the metric is otherwise the loss. One that names another metric says ``higher_is_better``, too.
        - a function without arguments that returns such an object.

    Raises:
      TypeError: something is missing; the message names it.
      ValueError: data that cannot be split.

    >>> import types
    >>> mine = types.SimpleNamespace(
    ...     init=lambda key: jnp.zeros(()), loss=lambda p, batch, key: jnp.mean((batch - p) ** 2), data=jnp.arange(10.0)
    ... )
    >>> task = adapt(mine)
    >>> task.metric, task.data.shape, task.test.shape
    ('loss', (8,), (2,))
    """
    if isinstance(obj, Task):
        return obj
    name = str(getattr(obj, "name", None) or getattr(obj, "__name__", None) or type(obj).__name__)
    missing = [part for part in _REQUIRED if not hasattr(obj, part)]
    if missing and callable(obj):
        return adapt(obj())
    if missing:
        raise TypeError(
            f"task {name!r} lacks {', '.join(missing)}: accepted is an object with init(key), "
            "loss(params, batch, key) and data, or a function that returns one"
        )
    for part in ("init", "loss"):
        if not callable(getattr(obj, part)):
            raise TypeError(f"task {name!r}: {part} = {getattr(obj, part)!r}: accepted is a function")
    data, test = obj.data, getattr(obj, "test", None)
    if test is None:
        data, test = _split(name, data)
    if getattr(obj, "metric", "loss") != "loss" and not hasattr(obj, "higher_is_better"):
        raise TypeError(f"task {name!r} has metric = {obj.metric!r} and lacks higher_is_better: accepted is a bool")
    options = {option: getattr(obj, option) for option in _OPTIONAL if hasattr(obj, option)}
    return Task(
        name=name,
        init=obj.init,
        loss=LossWithMetrics(obj.loss),
        data=jax.tree.map(jnp.asarray, data),
        test=jax.tree.map(jnp.asarray, test),
        **options,
    )


def _split(name: str, data: PyTree) -> tuple[PyTree, PyTree]:
    try:
        return train_test_split(data)
    except ValueError as error:
        raise ValueError(f"task {name!r}: {error}") from None
