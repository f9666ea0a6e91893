"""The members of a population, checked before anything is compiled."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxlab.core import hyper
from jaxlab.train.state import Build


def members_of(hyperparams: Mapping[str, Any], keys: Array, build: Build) -> tuple[int, dict[str, np.ndarray]]:
    """The number of members and their hyperparameters, checked on the host point by point.

    Args:
      hyperparams, keys, build: as for :func:`~jaxlab.sweep.population.run_population`.

    Raises:
      TypeError, ValueError: axes that do not agree, whatever ``build`` refuses.
    """
    typed = isinstance(keys, jax.Array) and jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    if not typed or keys.ndim != 1 or not keys.size:
        raise TypeError(f"keys = {keys!r}: accepted are typed keys with one axis, jax.random.split(key, members)")
    members = keys.shape[0]
    points = {}
    for name, value in hyperparams.items():
        if np.ndim(value) and np.shape(value) != (members,):
            raise ValueError(
                f"hyperparameter {name} has shape {np.shape(value)}: "
                f"accepted is one number, or ({members},) as keys has"
            )
        points[name] = np.broadcast_to(np.asarray(value), (members,))
    # Many members are seeds of few points.
    distinct = {
        tuple(values[index : index + 1].tobytes() for values in points.values()): index
        for index in reversed(range(members))
    }
    for index in sorted(distinct.values()):
        build(hyper.member(points, index))
    return members, jax.tree.map(np.asarray, hyper.canonical(points))
