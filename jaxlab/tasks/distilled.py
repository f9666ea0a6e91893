"""A student that learns from a teacher's predictions, computed in the student's own step."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from jaxlab.core import hyper
from jaxlab.losses import distillation


class Lesson(NamedTuple):
    """What a student is taught with: arrays all of it, so that one compiled program serves every teacher.

    It goes where a model's state goes, ``init_run(..., model_state=lesson)``: an argument of the step, which hands it
    on as it is. It is neither trained nor a constant of the program.

    Attributes:
      teacher: the teacher's parameters.
      temperature, alpha: of :func:`~jaxlab.losses.distillation`; alpha 0 is the student alone.
    """

    teacher: PyTree[Array]
    temperature: Float[Array, ""]
    alpha: Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class Distilled:
    """The distillation loss of ``student`` on batches of ``x`` with labels ``y``: a ``loss_fn`` with model state.

    The teacher sees the student's very batch, without dropout. It costs a forward pass in every step, and no memory but
    its parameters: nothing of its predictions is stored.

    Attributes:
      student: ``apply(params, x, key)``, logits.
      teacher: ``apply(params, x, key)`` of the teacher's parameters, logits of the same shape; called with
        ``key=None``.

    >>> import jax
    >>> from jaxlab.train import init_run, make_run
    >>> from jaxlab.optimizers import sgd
    >>> linear = lambda params, x, key: x @ params
    >>> run = make_run(Distilled(linear, linear), sgd, batch_size=4, steps=1000, has_state=True)
    >>> teacher = jnp.array([[2.0, 0.0]])
    >>> state = init_run(lambda key: jnp.zeros((1, 2)), sgd, 1.0, key=jax.random.key(0),
    ...                  model_state=lesson(teacher, temperature=1.0, alpha=1.0))
    >>> state, _ = run(state, {"x": jnp.ones((4, 1)), "y": jnp.ones(4, int)})
    >>> (state.params[0, 0] - state.params[0, 1]).round(3).item()
    2.0
    """

    student: Callable[..., Array]
    teacher: Callable[..., Array]

    def __call__(
        self, params: PyTree, lesson: Lesson, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, tuple[dict[str, Array], Lesson]]:
        """``(loss, (metrics, lesson))``; there are no metrics, the student's own loss evaluates it."""
        logits, told = self.student(params, batch["x"], key), self.teacher(lesson.teacher, batch["x"], None)
        loss = distillation(logits, batch["y"], told, temperature=lesson.temperature, alpha=lesson.alpha)
        return loss, ({}, lesson)


def lesson(teacher: PyTree[Array], temperature: hyper.Scalar = 2.0, alpha: hyper.Scalar = 0.5) -> Lesson:
    """The lesson of a teacher with these parameters.

    Raises:
      ValueError, TypeError: a number outside its range, as in :func:`~jaxlab.losses.distillation`.
    """
    numbers: tuple[Any, Any] = (
        hyper.number("temperature", temperature, "(0, inf)"),
        hyper.number("alpha", alpha, "[0, 1]"),
    )
    return Lesson(teacher, *(jnp.asarray(number) for number in numbers))
