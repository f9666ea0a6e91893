"""Where tests run: on the CPU, as eight devices, whatever else the machine has. Set before jax is imported."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

# Scripts, not modules: the first make frozen data and need packages that tests do not, the others run as processes.
collect_ignore = ["data", "clients"]
