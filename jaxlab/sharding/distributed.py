"""Runs of several processes: how they find each other, and which examples each of them loads."""

import importlib
import os
import re
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, ArrayLike, PyTree

from jaxlab.core import hyper, tree
from jaxlab.sharding import roll_call
from jaxlab.sharding.constrain import logical_spec
from jaxlab.sharding.layout import Layout, check_layout

ENVIRONMENT = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
"""Variables that say what the arguments of :func:`start` do, in their order."""

COLLECTIVES = "jax_cpu_collectives_implementation"


class Processes(NamedTuple):
    """How a run was started; as a text a sentence.

    Attributes:
      found: ``"arguments"``, ``"environment"``, the name of a cluster such as ``"slurm"``, or ``"nothing"``.
      address: of process 0; None where there is one process alone.
      processes: how many there are.
      process_id: which of them this is.
    """

    found: str
    address: str | None
    processes: int
    process_id: int

    def __str__(self) -> str:
        how = {
            "arguments": "as the arguments say",
            "environment": f"as {ENVIRONMENT[0]} says",
            "nothing": "no cluster was found",
        }.get(self.found, f"as the cluster, {self.found}, says")
        if self.address is None:
            return f"One process alone: {how}."
        return f"Process {self.process_id} of {self.processes}, which meet at {self.address}: {how}."


def start(
    address: str | None = None, processes: int | None = None, process_id: int | None = None, *, timeout: int = 300
) -> Processes:
    """Makes this process one of several that compute together; call it before anything else that uses devices.

    Who they are is taken from the arguments, all three of them; else from the variables of :data:`ENVIRONMENT`; else
    from the cluster that ``jax.distributed`` finds (SLURM, Open MPI, Cloud TPU pods, Kubernetes). Where there is none
    of these, or one process in all, nothing is started: a script that begins with ``start()`` runs everywhere.

    Afterwards ``jax.devices()`` are those of all processes, and a :class:`~jaxlab.sharding.Layout` spreads over them.
    Every process runs the same program; :func:`feed` gives each its examples. Processes on CPUs talk by gloo.

    Args:
      address: ``host:port`` of process 0, on a port that is free there, such as ``"10.0.0.1:9876"``.
      processes: how many there are.
      process_id: which of them this is, from 0.
      timeout: whole seconds to wait for the others.

    Returns:
      What was found; ``print`` it.

    Raises:
      ValueError, TypeError: arguments, or variables, that do not fit together; before anything is sent.
      RuntimeError: devices were used before, or the processes were started before.
      TimeoutError: a process did not answer in time; every other one names it.
      OSError: process 0 cannot listen at the address, or this machine does not know itself by name.

    After the start it is JAX that watches: of a process that ends, collectives of the others fail, and one that is
    silent for 100 seconds ends them all.

    >>> print(start("localhost:9876", processes=1, process_id=0))
    One process alone: as the arguments say.
    """
    hyper.integer("timeout", timeout, at_least=1)
    chosen, local_devices = _chosen(address, processes, process_id, timeout)
    if chosen.address is None:
        return chosen
    if jax.distributed.is_initialized():
        raise RuntimeError("the processes were started before: accepted is one start, at the program's beginning")
    if _private("xla_bridge").backends_are_initialized():
        raise RuntimeError(
            "devices were used before the processes were started: accepted is start() at the program's beginning, "
            "before jax.devices() and any array"
        )
    if getattr(jax.config, COLLECTIVES) is None:
        jax.config.update(COLLECTIVES, "gloo")
    if getattr(jax.config, COLLECTIVES) == "gloo":
        _check_own_name()
    roll_call.meet(chosen.address, chosen.processes, chosen.process_id, timeout)
    jax.distributed.initialize(
        chosen.address,
        chosen.processes,
        chosen.process_id,
        local_device_ids=local_devices,
        cluster_detection_method="deactivate",
        initialization_timeout=timeout,
    )
    return chosen


def rows(batch_size: int, layout: Layout) -> np.ndarray:
    """Which examples of a batch, in their order, the devices of this process need: those that :func:`feed` loads.

    For who reads ahead, and then hands :func:`feed` what was read: ``feed(lambda _: read, np.arange(batch_size),
    layout)``.

    Args:
      batch_size: examples of the whole batch.
      layout: of the training step.

    Raises:
      ValueError: a batch that the mesh does not divide.

    >>> rows(16, Layout("data=-1")).tolist() == list(range(16))  # One process needs all.
    True
    """
    check_layout(layout)
    shape = (hyper.integer("batch_size", batch_size, at_least=1),)
    spec = logical_spec(layout.batch[:1], shape, layout.axes, what="the batch")
    parts = NamedSharding(layout.mesh, spec).addressable_devices_indices_map(shape).values()
    return np.unique(np.concatenate([np.arange(batch_size)[part] for part in parts if part is not None]))


def feed(load: Callable[[np.ndarray], PyTree[ArrayLike]], indices: ArrayLike, layout: Layout) -> PyTree[Array]:
    """The batch of a step on the devices of all processes, of which each loads the examples of its own devices.

    Which examples a step sees does not depend on how many processes there are: all compute the same ``indices``.

    Args:
      load: ``numbers -> tree of host arrays`` with those examples along the leading axes, in that order. Where
        several of a process's devices need an example it is loaded once; where devices of several processes do, which
        ``tensor`` and ``sequence`` axes may bring about, once by each.
      indices: the numbers of the whole batch's examples, the same on every process, such as
        :func:`jaxlab.train.data.batch_indices` of the step.
      layout: of the training step.

    Raises:
      ValueError: a batch that the mesh does not divide; arrays that hold other than the examples asked for.

    >>> layout = Layout("data=-1")
    >>> table = np.arange(100.0) ** 2
    >>> batch = feed(lambda numbers: {"x": table[numbers]}, np.arange(8) + 10, layout)
    >>> batch["x"].tolist()[:3], tuple(batch["x"].sharding.spec)
    ([100.0, 121.0, 144.0], ('data',))
    """
    check_layout(layout)
    numbers = np.asarray(indices)
    if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(
            f"indices of shape {numbers.shape} and type {numbers.dtype}: accepted is one axis of whole numbers"
        )
    size = len(numbers)
    positions = rows(size, layout)
    loaded = jax.tree.map(np.asarray, load(numbers[positions]))
    for name, leaf in zip(tree.names(loaded), jax.tree.leaves(loaded), strict=True):
        if leaf.shape[:1] != positions.shape:
            raise ValueError(
                f"load returned {name or 'one array'!r} of shape {leaf.shape} for {len(positions)} examples: accepted "
                "is a leading axis of these examples"
            )

    def whole(leaf: np.ndarray) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)

    def placed(leaf: np.ndarray, place: NamedSharding) -> Array:
        def part(index: Any) -> np.ndarray:
            rows = np.searchsorted(positions, np.arange(size)[index[0]])
            return leaf[rows][:, *index[1:]]

        return jax.make_array_from_callback(whole(leaf).shape, place, part)

    return jax.tree.map(placed, loaded, layout.batch_shardings(jax.tree.map(whole, loaded)))


def _chosen(address: str | None, processes: int | None, process_id: int | None, timeout: int) -> tuple[Processes, Any]:
    """Who the processes are, and which of this machine's devices this one takes (None: all)."""
    given = {"address": address, "processes": processes, "process_id": process_id}
    if any(value is not None for value in given.values()):
        return _checked("arguments", given), None
    values = [os.environ.get(name) for name in ENVIRONMENT]
    if values[1] is not None or values[2] is not None:
        return _checked("environment", dict(zip(ENVIRONMENT, map(_as_number, values), strict=True))), None
    clusters = _private("clusters")
    cluster = _present(clusters)
    if cluster is None and values[0] is None:
        return Processes("nothing", None, 1, 0), None
    if cluster is None:
        return _checked("environment", dict(zip(ENVIRONMENT, values, strict=True))), None
    *found, local_devices = clusters.ClusterEnv.auto_detect_unset_distributed_params(
        values[0], None, None, None, cluster.name, timeout
    )
    return _checked(cluster.name, dict(zip(given, found, strict=True))), local_devices


def _private(name: str) -> Any:
    """A module for which JAX has no public name: which cluster this is, whether devices were used.

    Looked up when it is needed: where JAX moves it, :func:`start` alone fails, and says what it misses.
    """
    return importlib.import_module(f"jax._src.{name}")


def _present(clusters: Any) -> Any:
    """The cluster that this is, where JAX knows it."""
    kinds = [kind for kind in vars(clusters).values() if isinstance(kind, type) and kind is not clusters.ClusterEnv]
    return next((kind for kind in kinds if not kind.opt_in_only_method and kind.is_env_present()), None)


def _check_own_name() -> None:
    """Refuses a machine whose name has no address, for which gloo has numbers only."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        raise OSError(
            error.errno,
            f"this machine is called {name!r}, and that name has no address: accepted, where CPUs talk by gloo, is a "
            f"name that /etc/hosts or the network knows ({error.strerror})",
        ) from error


def _checked(found: str, given: dict[str, Any]) -> Processes:
    (of_address, address), (of_count, processes), (of_number, process_id) = given.items()
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise ValueError(f"{', '.join(missing)} = None: accepted are {', '.join(given)} together, or none of them")
    if (
        not isinstance(address, str)
        or re.fullmatch(r".+:\d+", address) is None
        or int(address.rsplit(":", 1)[1]) > 65535
    ):
        raise ValueError(f"{of_address} = {address!r}: accepted is host:port of process 0, such as '10.0.0.1:9876'")
    hyper.integer(of_count, processes, at_least=1)
    hyper.integer(of_number, process_id, at_least=0, at_most=processes - 1)
    return Processes(found, address if processes > 1 else None, processes, process_id)


def _as_number(text: str | None) -> Any:
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else text
