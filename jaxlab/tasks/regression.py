"""The loss of a regression."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from jaxlab.core import hyper
from jaxlab.losses import mse


@dataclasses.dataclass(frozen=True)
class Regressor:
    """Squared error, also as metric ``mse``, of ``apply(params, x, key)`` on batches of ``x`` with targets ``y``.

    Attributes:
      apply: the model.
      loss: what is minimised, ``loss(predictions, targets)``; any that ``jaxlab.losses`` has for numbers. The
        metric stays the squared error, so that runs with other losses can be compared.

    >>> from jaxlab.losses import log_loss
    >>> regressor = Regressor(lambda params, x, key: params * x)
    >>> batch = {"x": jnp.array([1.0, 2.0]), "y": jnp.array([1.0, 4.0])}
    >>> regressor(jnp.array(1.0), batch, None)[0].item(), regressor.residuals(jnp.array(1.0), batch, None).tolist()
    (2.0, [0.0, -2.0])
    >>> hasattr(dataclasses.replace(regressor, loss=log_loss), "residuals")
    False
    """

    apply: Callable[..., Array]
    loss: Callable[..., Array] = mse

    def __call__(
        self, params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """``(loss, metrics)``."""
        predictions = self.apply(params, batch["x"], key)
        return self.loss(predictions, batch["y"]), {"mse": mse(predictions, batch["y"])}

    @property
    def residuals(self) -> Callable[[PyTree, dict[str, Array], Key[Array, ""] | None], Float[Array, "n ..."]]:
        """``(params, batch, key) -> array`` whose mean square is the loss, for Gauss-Newton.

        Raises:
          AttributeError: the loss is another than the squared error.
        """
        if self.loss is not mse:
            raise AttributeError(f"loss = {self.loss!r} is no mean of squares: residuals are those of mse")
        return self._residuals

    def _residuals(self, params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None) -> Float[Array, "n ..."]:
        predictions = self.apply(params, batch["x"], key)
        return jnp.subtract(*(jnp.asarray(side, hyper.arithmetic_dtype()) for side in (predictions, batch["y"])))
