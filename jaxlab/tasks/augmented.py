"""A loss whose training examples are augmented, on the device, in the step that sees them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from jaxlab.augment import Flow, Mixing
from jaxlab.core import hyper
from jaxlab.losses import classes as classes_of
from jaxlab.train.given import given


@dataclasses.dataclass(frozen=True)
class Augmented:
    """``loss`` on batches of images ``x`` and labels ``y``, augmented where there is a key.

    A ``loss_fn`` with hyperparameters of its own (:mod:`jaxlab.train.given`): the strengths of the flow, by name. So a
    run has them among its hyperparameters, and a population searches over them. Without a key, in an evaluation,
    examples are as they are. Equal for equal losses and flows, so that these share what is compiled.

    Attributes:
      loss: ``(params, batch, key) -> (loss, metrics)``.
      flow: of :func:`jaxlab.augment.compose`. Images are ``[n, height, width, channels]``, or ``[n, height, width]``
        where they have one channel; of bytes, or from 0 to 1: colours beyond that are cut off, so it is the model that
        standardises them, after the flow.
      classes: how many there are; needed where the flow mixes examples and labels are whole numbers. What mixes makes
        probabilities of them, which the loss must take.

    Raises:
      ValueError, TypeError: a ``loss`` or ``flow`` that is none, ``classes`` that are no number of them, one name for a
        strength and a hyperparameter of the loss; at the first call, ``classes`` that are missing.

    >>> from jaxlab import augment
    >>> from jaxlab.losses import cross_entropy
    >>> def loss(params, batch, key):
    ...     return cross_entropy(batch["x"].reshape(len(batch["x"]), -1) @ params, batch["y"]), {}
    >>> noisy = Augmented(loss, augment.compose(augment.brightness(0.5), augment.mixup(0.2)), classes=3)
    >>> noisy.names
    ('brightness', 'mixup')
    >>> still = noisy.given({"learning_rate": 0.1, "brightness": 0.0, "mixup": 0.0})
    >>> batch, params = {"x": jnp.ones((2, 2, 2)), "y": jnp.array([0, 2])}, jnp.eye(4, 3)
    >>> bool(still(params, batch, jax.random.key(0))[0] == noisy(params, batch, None)[0])
    True
    """

    loss: Any
    flow: Flow
    classes: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.loss):
            raise TypeError(f"loss = {self.loss!r}: accepted is (params, batch, key) -> (loss, metrics)")
        if not isinstance(self.flow, Flow):
            raise TypeError(f"flow = {self.flow!r}: accepted is what jaxlab.augment.compose(...) makes")
        if self.classes is not None:
            hyper.integer("classes", self.classes, at_least=1)
        twice = sorted(set(self.flow.strengths) & set(getattr(self.loss, "names", ())))
        if twice:
            raise ValueError(
                f"the loss has hyperparameters {', '.join(twice)}, too: accepted are other names than those"
            )

    def __call__(self, params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None) -> tuple[Array, Any]:
        """``(loss, metrics)``."""
        return self._on_augmented(self.loss)(params, batch, key)

    @property
    def names(self) -> tuple[str, ...]:
        """The flow's operations, and what the loss has itself."""
        return (*self.flow.strengths, *getattr(self.loss, "names", ()))

    def given(self, hyperparams: Any) -> "Augmented":
        """The same at other strengths: those that are named among ``hyperparams``.

        Raises:
          ValueError, TypeError: a strength outside its operation's range.
        """
        found = hyperparams if isinstance(hyperparams, Mapping) else {}
        strengths = {name: found[name] for name in self.flow.strengths if name in found}
        return dataclasses.replace(self, loss=given(self.loss, hyperparams), flow=self.flow.at(strengths))

    @property
    def sampled(self) -> Callable[..., Array]:
        """The loss's own, on augmented examples: see :func:`~jaxlab.tasks.classification.sampled_cross_entropy`.

        Raises:
          AttributeError: the loss has none.
        """
        return self._on_augmented(self.loss.sampled)

    def _on_augmented(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def augmented(params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None) -> Any:
            if key is None:
                return function(params, batch, None)
            flow_key, own_key = jax.random.split(key)
            return function(params, self._augmented(batch, flow_key), own_key)

        return augmented

    def _augmented(self, batch: dict[str, Array], key: Key[Array, ""]) -> dict[str, Array]:
        images, labels = batch["x"], batch["y"]
        flat = jnp.ndim(images) == 3
        images = images[..., None] if flat else images
        if any(isinstance(operation, Mixing) for operation in self.flow.operations):
            images, labels = self.flow.batch(key, images, self._probabilities(labels))
        else:
            images = self.flow.batch(key, images)
        return {**batch, "x": images[..., 0] if flat else images, "y": labels}

    def _probabilities(self, labels: Array) -> Array:
        if jnp.ndim(labels) != 1:
            return labels
        if self.classes is None:
            raise ValueError("classes = None: accepted is how many there are, where a flow mixes labels of one class")
        return classes_of.one_hot(labels, self.classes)
