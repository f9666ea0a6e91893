"""The devices that a population is spread over."""

import os

import jax
import numpy as np

from jaxlab.core import host, hyper


def use_every_core(cores: int | None = None) -> None:
    """One CPU device for each core, so that a population uses them all. Call before JAX's first computation.

    XLA spreads one small program over the cores poorly; one virtual device a core, each with its share of
    the members, is 1.6 times faster on two. It changes nothing on GPU and TPU, nor where the number of CPU
    devices has been chosen already.

    An optimizer that calls LAPACK for several matrices at once, as ``jnp.linalg.qr`` does of members that are
    vectorised, can wait for ever on such devices: its calls wait for threads of the pool that makes them. jaxlab's own
    do not (:mod:`jaxlab.core.linalg` takes one matrix after the other, and others may use it). For those that do the
    environment's ``PJRT_NPROC`` of several times the cores, set before JAX starts, ends that, and makes small programs
    slower by half.

    Args:
      cores: how many; by default those that this process may run on.

    Raises:
      RuntimeError: JAX has computed already.
    """
    number = hyper.integer("cores", host.cores() if cores is None else cores, at_least=1)
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", number)


def member_mesh(members: int) -> jax.sharding.Mesh:
    """A mesh with one axis, ``members``, over as many local devices as have a member to train."""
    devices = jax.local_devices()[:members]
    return jax.sharding.Mesh(np.array(devices), ("members",), axis_types=(jax.sharding.AxisType.Auto,))
