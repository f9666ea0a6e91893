"""Regularizers by name."""

import jax.numpy as jnp
import pytest

from jaxlab import regularizers


def test_every_name_is_an_attribute():
    for name in regularizers.names():
        info = regularizers.get(name)
        assert getattr(regularizers, name) is info.factory
        assert info.place in ("before", "after", "around", "last")
        assert info.penalty is None or info.penalty(jnp.ones((2, 2)), 0.5) > 0


def test_typo_suggests_the_nearest():
    with pytest.raises(ValueError, match="regularizer = 'decoupled': unknown, did you mean 'decoupled_decay'"):
        regularizers.get("decoupled")
