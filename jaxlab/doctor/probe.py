"""What only jax can tell: devices, their memory, and whether small real programs work on them.

A process of its own, for a flag that XLA does not know, a device that is broken, a driver that waits, or a jax that
cannot be imported, ends or blocks the process that asks. It writes a JSON line when it begins a check and one with what
it found; whoever reads them knows how far it came.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlab import optimizers, train
from jaxlab.core import host
from jaxlab.core.chips import chip_of
from jaxlab.doctor.finding import BAD, NOTE, OK, Finding
from jaxlab.doctor.installed import version_of
from jaxlab.precision import auto
from jaxlab.sharding import Layout

FAILURES = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, MemoryError, OSError)
FAILURES += (RuntimeError, TypeError, ValueError)
"""What a check may end in; jax's errors are among them."""

STEPS = 20


def devices() -> Finding:
    """How many devices of which kind, and what their maker says they can do."""
    found = jax.devices()
    kinds = {kind: sum(device.device_kind == kind for device in found) for kind in {d.device_kind for d in found}}
    chip = chip_of(found[0].device_kind)
    peak = "N/A" if chip is None else f"{chip.name}: {chip.peak_flops / 1e12:.4g} TFLOP/s in bfloat16"
    data: dict[str, Any] = {"backend": jax.default_backend(), "count": len(found), "kinds": kinds}
    data |= {"cores": host.cores(), "chip": None if chip is None else chip._asdict()}
    text = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
    return Finding("devices", jax.default_backend(), OK, f"{text}; {host.cores()} cores; peak {peak}", data=data)


def memory() -> Finding:
    """Of the host and of the fullest device."""
    total, free = host.total_memory(), host.free_memory()
    said = [f"host {_bytes(free)} free of {_bytes(total)}"]
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    known = [
        (each["bytes_limit"] - each["bytes_in_use"], each["bytes_limit"]) for each in stats if "bytes_limit" in each
    ]
    if known:
        said.append(f"each device {_bytes(min(known)[0])} free of {_bytes(min(known)[1])}")
    elif jax.default_backend() == "cpu":
        said.append("devices share it")
    else:
        said.append("devices N/A")
    data = {
        "host": {"total": total, "free": free},
        "devices": [{"total": limit, "free": left} for left, limit in known],
    }
    return Finding("devices", "memory", OK, "; ".join(said), data=data)


def training() -> Finding:
    """A step of jaxlab's is compiled, and it learns, on one device."""
    losses, seconds = _trained(None)
    text = f"a step compiled in {seconds:.2g} s; loss {losses[0]:.3g}, after {STEPS} steps {losses[-1]:.3g}"
    return Finding("checks", "training", _if(losses[-1] < 0.75 * losses[0]), text, data={"losses": losses})


def mesh() -> Finding:
    """The same with parameters, state and batch shared by all devices (FSDP): it gives the same numbers."""
    if jax.device_count() == 1:
        return Finding("checks", "mesh", OK, "one device: nothing to share", data={"devices": 1})
    alone, _ = _trained(None)
    shared, seconds = _trained(Layout("fsdp=-1", min_size=0))
    apart = max(abs(a - b) / abs(a) for a, b in zip(alone, shared, strict=True))
    count = jax.device_count()
    text = f"fsdp={count} compiled in {seconds:.2g} s; losses within {apart:.1g} of one device's"
    return Finding("checks", "mesh", _if(apart < 1e-2), text, data={"devices": count, "apart": apart})


def bfloat16() -> Finding:
    """Products of bfloat16 matrices are right, and how fast they are."""
    multiply = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    a, b = (jax.random.normal(jax.random.key(i), (256, 256), jnp.bfloat16) for i in range(2))
    exact = np.asarray(a, np.float64) @ np.asarray(b, np.float64)
    error = float(np.linalg.norm(np.asarray(multiply(a, b)) - exact) / np.linalg.norm(exact))
    size, times = (1024, 2) if jax.default_backend() == "cpu" else (8192, 20)
    wide = jnp.ones((size, size), jnp.bfloat16)
    multiply(wide, wide).block_until_ready()
    began = time.perf_counter()
    jax.block_until_ready([multiply(wide, wide) for _ in range(times)][-1])
    flops = 2 * size**3 * times / (time.perf_counter() - began)
    chip = chip_of(jax.devices()[0].device_kind)
    share = None if chip is None else flops / chip.peak_flops
    of_peak = "share of the peak N/A" if share is None else f"{share:.0%} of the peak"
    text = f"products right to {error:.1g}; {flops / 1e12:.3g} TFLOP/s at {size}, {of_peak}"
    return Finding("checks", "bfloat16", _if(error < 1e-2), text, data={"error": error, "flops": flops, "share": share})


def policy() -> Finding:
    """What the policy "auto" is here."""
    dtype, why = auto.choose(jax.devices()[0])
    return Finding("checks", "precision", OK, f'the policy "auto" computes in {dtype}: {why}', data={"auto": dtype})


def checkpoint() -> Finding:
    """A checkpoint comes back as it was."""
    if version_of("orbax-checkpoint") is None:
        return Finding("checks", "checkpoint", NOTE, "not tried: orbax-checkpoint is missing")
    state = {"w": jnp.arange(8.0), "key": jax.random.key(0)}
    with tempfile.TemporaryDirectory() as folder, train.Checkpoints(folder) as checkpoints:
        checkpoints.save(1, state)
        same = bool(jnp.all(checkpoints.restore(state)["w"] == state["w"]))
    return Finding("checks", "checkpoint", OK if same else NOTE, "saved and restored" if same else "came back changed")


CHECKS: tuple[tuple[str, str, str, Callable[[], Finding]], ...] = (
    ("devices", "devices", BAD, devices),
    ("devices", "memory", NOTE, memory),
    ("checks", "training", BAD, training),
    ("checks", "mesh", BAD, mesh),
    ("checks", "bfloat16", NOTE, bfloat16),
    ("checks", "precision", NOTE, policy),
    ("checks", "checkpoint", NOTE, checkpoint),
)
"""Part, name, what it is if it fails, and the check. Without devices there is nothing more to look at."""


def main() -> None:
    """Looks at one thing after the other, whatever fails."""
    for part, name, otherwise, check in CHECKS:
        _say({"begins": [part, name]})
        try:
            finding = check()
        except FAILURES as error:
            finding = Finding(part, name, otherwise, one_line(f"{type(error).__name__}: {error}"))
        _say(finding._asdict())
        if check is devices and finding.state == BAD:
            return


def one_line(text: str) -> str:
    """An error on one line, cut where it grows long."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:297]}..."


def _trained(layout: Any) -> tuple[list[float], float]:
    """The losses of a small network under AdamW, and the seconds until the first step was done."""
    rows = 8 * jax.device_count()
    keys = jax.random.split(jax.random.key(0), 3)
    params = {"up": jax.random.normal(keys[0], (16, rows)) / 4, "down": jax.random.normal(keys[1], (rows, 1)) / 8}
    x = jax.random.normal(keys[2], (rows, 16))
    batch = {"x": x, "y": jnp.sum(x, axis=1, keepdims=True)}

    def loss(params: Any, batch: Any, key: Any) -> tuple[Any, dict[str, Any]]:
        return jnp.mean((jax.nn.relu(batch["x"] @ params["up"]) @ params["down"] - batch["y"]) ** 2), {}

    build = optimizers.Recipe("adamw").build
    state = train.init_state(params, build, {"learning_rate": 0.05}, key=keys[2], layout=layout)
    step = train.make_train_step(loss, build, layout=layout)
    began, losses, seconds = time.perf_counter(), [], 0.0
    # The same numbers on one device and on all are asked for, and accelerators round products by default.
    with jax.default_matmul_precision("highest"):
        for _ in range(STEPS):
            state, metrics = step(state, batch)
            losses.append(float(metrics["loss"]))
            seconds = seconds or time.perf_counter() - began
    return losses, seconds


def _if(right: bool) -> str:
    return OK if right else BAD


def _bytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:.3g} GiB"


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
