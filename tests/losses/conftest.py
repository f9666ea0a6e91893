"""Precision as a fixture."""

import jax
import pytest


@pytest.fixture
def x64():
    """64-bit arithmetic for one test."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
