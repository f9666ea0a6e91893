"""Hyperparameters of the loss: strengths of augmentation and the like, traced beside those of the optimizer.

A loss that has some is a ``loss_fn`` as any other, at their defaults, and has besides

- ``names``, a tuple: which of the run's hyperparameters are its own;
- ``given(hyperparams) -> loss_fn``: the loss at these. It takes from the mapping what is its own, checks it where the
  numbers are concrete, and leaves the rest.

The compiled step calls ``given`` with the run's traced hyperparameters: one program serves all strengths, and a
population searches over them as over a learning rate. Its members are evaluated by the loss at theirs, without a key.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import optax

Build = Callable[[Any], optax.GradientTransformation]


@dataclasses.dataclass(frozen=True)
class Beside:
    """See :func:`beside`. Equal for equal parts, so that equal recipes share what is compiled."""

    build: Build
    loss: Any

    def __call__(self, hyperparams: Mapping[str, Any]) -> optax.GradientTransformation:
        """The optimizer; what is the loss's is checked and left out."""
        given(self.loss, hyperparams)
        return self.build({name: number for name, number in hyperparams.items() if name not in self.loss.names})


def beside(build: Build, loss: Any) -> Beside:
    """A ``build`` for hyperparameters some of which are the loss's own.

    Args:
      build: of the others: ``hyperparams -> GradientTransformation``.
      loss: a ``loss_fn`` with hyperparameters of its own: it has ``names`` and ``given``.

    Raises:
      TypeError: a loss that has none.

    >>> import jax, jax.numpy as jnp
    >>> from jaxlab.optimizers import Recipe
    >>> from jaxlab.train import init_state, make_train_step
    >>> class Pulled:  # towards the batch, and towards zero
    ...     names = ("pull",)
    ...     def __call__(self, params, batch, key, pull=0.0):
    ...         return jnp.mean((params - batch) ** 2) + pull * params**2, {}
    ...     def given(self, hyperparams):
    ...         return lambda *inputs: self(*inputs, pull=hyperparams["pull"])
    >>> build = beside(Recipe("sgd").build, Pulled())
    >>> numbers = {"learning_rate": 0.25, "pull": 1.0}
    >>> state = init_state(jnp.float32(1.0), build, numbers, key=jax.random.key(0))
    >>> state, metrics = make_train_step(Pulled(), build)(state, jnp.array([3.0]))
    >>> float(metrics["loss"]), float(state.params)
    (5.0, 1.5)
    """
    if not callable(getattr(loss, "given", None)) or not isinstance(getattr(loss, "names", None), tuple):
        raise TypeError(
            f"loss = {loss!r}: accepted is one with hyperparameters of its own, a tuple names and a method "
            "given(hyperparams) -> loss_fn"
        )
    return Beside(build, loss)


def given(loss_fn: Any, hyperparams: Any) -> Any:
    """The loss at a run's hyperparameters: itself, where it has none of its own."""
    at = getattr(loss_fn, "given", None)
    return loss_fn if at is None else at(hyperparams)
