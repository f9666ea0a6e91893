"""Precision as a fixture."""

import jax
import pytest


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The dtype of all arithmetic, each in turn."""
    jax.config.update("jax_enable_x64", request.param == "float64")
    yield request.param
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def x64():
    """64-bit arithmetic for one test."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
