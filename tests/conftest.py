"""Where tests run: on the CPU, as eight devices, whatever else the machine has. Set before jax is imported."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import jax
import pytest

# Scripts, not modules: the first make frozen data and need packages that tests do not, the others run as processes.
collect_ignore = ["data", "clients"]


@pytest.fixture
def x64():
    """64-bit arithmetic for one test."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
