"""Whether a model that is to be trained has room where it is to be trained, known before anything is allocated."""

from typing import Any

import jax

from experiments.pretrain_programs import Programs
from jaxlab.core.cost import bytes_per_device
from jaxlab.sharding import Layout, make_mesh
from jaxlab.sweep import memory
from jaxlab.train import abstract_state


def check_room(size: str, programs: Programs, hyperparams: dict[str, Any], free: int | None = None) -> None:
    """Refuses a model whose parameters, gradients and optimizer state alone are more than the devices have free.

    A program that asks a CPU for more is killed by the system without a word, and others with it.

    Args:
      size: what the user asked for.
      programs: with the model, its optimizer, precision and layout.
      hyperparams: of the optimizer.
      free: bytes of each device; by default they are asked.

    Raises:
      ValueError: it names the size, and what is free.
    """
    alone = programs.layout is None
    layout = programs.layout or Layout(make_mesh("data=1", devices=jax.local_devices()[:1]))
    parts = {"key": jax.random.key(0), "policy": programs.policy}
    state = abstract_state(programs.model.init, programs.build, hyperparams, layout=layout, **parts)
    # What is not activations: these depend on remat, and what the compiler makes of it.
    needed = bytes_per_device(state) + bytes_per_device(state.params)
    if free is None:
        free = memory.free(layout.mesh.local_devices)
        if free is not None and alone and jax.default_backend() == "cpu":
            free *= len(jax.local_devices())  # One device of the host may use what all of them share.
    if free is not None and needed > free:
        raise ValueError(
            f"size = {size!r}: parameters, gradients and optimizer state take {memory.text(needed)} of each device, "
            f"and {memory.text(free)} are free; accepted are a smaller model, and more devices that share it (--layout "
            "fsdp=-1)"
        )
