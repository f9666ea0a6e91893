"""The loss of a regression."""

import dataclasses
from collections.abc import Callable

from jaxtyping import Array, Key, PyTree

from jaxlab.losses import mse


@dataclasses.dataclass(frozen=True)
class Regressor:
    """Squared error, also as metric ``mse``, of ``apply(params, x, key)`` on batches of ``x`` with targets ``y``."""

    apply: Callable[..., Array]

    def __call__(
        self, params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """``(loss, metrics)``."""
        error = mse(self.apply(params, batch["x"], key), batch["y"])
        return error, {"mse": error}
