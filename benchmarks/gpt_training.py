"""Training a GPT: jaxlab's own step beside plain PyTorch with ``torch.compile``, the same model in the same run.

Run: python -m benchmarks.gpt_training [--size 1M] [--vocabulary 256] [--context 256] [--batch-size 16]
[--optimizers adamw muon] [--rounds 12] [--json FILE], and on one GPU: python -m benchmarks.gpt_training --size 124M
--vocabulary 50304 --context 1024 --batch-size 32. Both need PyTorch; it is compiled where a C++ compiler is found, else
eager, which the table says.

Before anything is timed both sides must be the same: from jaxlab's initial weights, in float32 on the CPU, they must
have the same loss, and the same again after each of three steps of the optimizer; and the programs that are timed, the
same first loss up to the rounding of their dtype. What differs all the same: jaxlab's step also measures three norms,
and skips what is not finite; in half precision its logits are float32 all the way, PyTorch's are rounded to bfloat16.
Half precision is float32 parameters and bfloat16 computation on both sides.

A turn is several steps on one batch that lies on the device, and ends when all is computed; loading data is not part.
MFU counts the operations of :meth:`jaxlab.models.sizes.GPTShape.flops_per_token`, and is unknown (N/A) where the peak
of the chip is, as of a CPU.
"""

import argparse
import dataclasses
import os
import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from rich.console import Console

from benchmarks.gpt_sides import Ours, Setting, Theirs
from benchmarks.loops import timed
from benchmarks.side_by_side import Contestant, arguments, race, save, show, summary
from jaxlab.models import shape_of
from jaxlab.train.throughput import utilization

CHECK_BATCH, CHECK_CONTEXT, CHECK_STEPS, CHECK_TOLERANCE = 2, 64, 3, 1e-5
ROUNDED_TOLERANCE = 1e-2
"""Of the first loss where products are not of whole float32."""


def check_same(setting: Setting, optimizer: str) -> dict[str, list[float]]:
    """The losses of both sides before and after each of three steps, in float32 on the CPU.

    Raises:
      AssertionError: they differ, so their times could not be compared.
    """
    context = min(setting.context, CHECK_CONTEXT)
    small = dataclasses.replace(setting, dtype="float32", context=context, batch_size=CHECK_BATCH)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        ours = Ours(small, optimizer)
        params = jax.jit(ours.model.init)(jax.random.key(0))
        theirs = Theirs(small, optimizer, params, "cpu", compiled=False)
        state, losses = ours.state(params), {"jaxlab": [], "PyTorch": []}
        for _ in range(CHECK_STEPS + 1):
            state, metrics = ours.step(state, small.batch)
            losses["jaxlab"].append(float(metrics["loss"]))
            losses["PyTorch"].append(float(theirs.step(*theirs.tokens(small.batch))))
    np.testing.assert_allclose(losses["jaxlab"], losses["PyTorch"], rtol=CHECK_TOLERANCE, err_msg="no race: the losses")
    return losses


def best_threads(setting: Setting, optimizer: str, params: Any) -> int:
    """The number of threads that PyTorch is fastest with, by a short trial: with all, it waits for others' work."""
    work = Theirs(setting, optimizer, params, "cpu", compiled=False).contestant(setting.batch, 1)
    spent = {}
    for threads in (1, os.cpu_count() or 1):
        torch.set_num_threads(threads)
        spent[threads] = min(timed(work) for _ in range(3))
    return min(spent, key=lambda threads: spent[threads])


def measure(setting: Setting, optimizer: str, device: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Both sides checked, then timed."""
    checked = check_same(setting, optimizer)
    compiled = not chosen.eager and any(shutil.which(name) for name in ("c++", "g++", "clang++"))
    batch, ours = setting.batch, Ours(setting, optimizer)
    params = jax.jit(ours.model.init)(jax.random.key(0))
    on_device = jax.tree.map(jnp.asarray, batch)
    compile_seconds = {"jaxlab": ours.compile(params, on_device)}

    threads = best_threads(setting, optimizer, params) if device == "cpu" else torch.get_num_threads()
    torch.set_num_threads(threads)
    name = f"PyTorch, {'compiled' if compiled else 'eager'}" + (f", threads: {threads}" if device == "cpu" else "")
    began = time.perf_counter()
    theirs = Theirs(setting, optimizer, params, device, compiled=compiled)
    first = {"PyTorch": float(theirs.step(*theirs.tokens(batch)))}
    compile_seconds["PyTorch"] = time.perf_counter() - began
    first["jaxlab"] = float(ours.step(ours.state(params), on_device)[1]["loss"])
    tolerance = CHECK_TOLERANCE if (setting.dtype, device) == ("float32", "cpu") else ROUNDED_TOLERANCE
    np.testing.assert_allclose(first["jaxlab"], first["PyTorch"], rtol=tolerance, err_msg="no race: the first loss")
    del theirs

    builders: dict[str, Callable[[], Contestant]] = {
        "jaxlab": lambda: ours.contestant(params, on_device, chosen.steps),
        name: lambda: Theirs(setting, optimizer, params, device, compiled=compiled).contestant(batch, chosen.steps),
    }
    seconds = race(builders, chosen.rounds)
    per_step = {side: [spent / chosen.steps for spent in each] for side, each in seconds.items()}
    figures = summary(per_step, name)
    for side, figure in figures.items():
        rate = setting.batch_size * setting.context / statistics.median(per_step[side])
        useful = rate * setting.shape.flops_per_token(setting.context)
        figure |= {"tokens_per_second": rate, "flops_per_second": useful, "mfu": utilization(useful, jax.devices()[:1])}
    say(f"{optimizer}: a step of {setting.batch_size} x {setting.context} tokens, {setting.dtype}", figures, name)
    return {"peer": name, "figures": figures, "compile_seconds": compile_seconds, "checked_losses": checked}


def say(title: str, figures: dict[str, dict[str, Any]], peer: str) -> None:
    """Prints the table of one optimizer."""
    show(title, figures, peer)
    for side, figure in figures.items():
        share = "N/A" if figure["mfu"] is None else f"{figure['mfu']:.1%}"
        rates = f"{figure['tokens_per_second']:,.0f} tokens/s, {figure['flops_per_second'] / 1e12:.3g} TFLOP/s"
        Console(width=120).print(f"{side}: {rates}, MFU {share}", highlight=False)


def options(parser: argparse.ArgumentParser, on_gpu: bool) -> None:
    """What this benchmark alone is asked."""
    parser.add_argument("--size", default="1M", help="parameters of the model; default 1M")
    parser.add_argument("--vocabulary", type=int, default=256, help="default 256, bytes")
    parser.add_argument("--context", type=int, default=256, help="tokens of a sequence; default 256")
    parser.add_argument("--batch-size", type=int, default=16, help="sequences of a step; default 16")
    parser.add_argument("--activation", default="relu2", help="relu2, gelu or swiglu; default relu2")
    parser.add_argument("--tied", action="store_true", help="the head is the embedding")
    dtype = "bfloat16" if on_gpu else "float32"
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default=dtype, help=f"default here {dtype}")
    parser.add_argument("--scan", action="store_true", help="jaxlab's layers in one loop")
    parser.add_argument("--remat", default="none", help="jaxlab's: none, dots or full; default none")
    parser.add_argument("--chunk-size", type=int, help="jaxlab's logits of so many tokens at a time; default all")
    parser.add_argument("--optimizers", nargs="+", choices=("adamw", "muon"), default=("adamw", "muon"))
    steps = 10 if on_gpu else 1
    parser.add_argument("--steps", type=int, default=steps, help=f"steps of a turn; default here {steps}")
    parser.add_argument("--eager", action="store_true", help="PyTorch without its compiler")


def main() -> None:
    """Checks, races, and prints the tables."""
    # Both sides share the GPU's memory: jax must not take most of it at the start. Read when its backend starts.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    on_gpu = jax.default_backend() == "gpu"
    if on_gpu != torch.cuda.is_available():
        raise SystemExit(
            f"jax computes on {jax.default_backend()}, PyTorch on another device: accepted is the same one"
        )
    if on_gpu:
        torch.set_float32_matmul_precision("high")  # As XLA takes float32 there.
    chosen = arguments(__doc__, 12, partial(options, on_gpu=on_gpu))
    shape = shape_of(chosen.size, chosen.vocabulary, activation=chosen.activation, tied=chosen.tied)
    of_ours = {"scan": chosen.scan, "remat": chosen.remat, "chunk_size": chosen.chunk_size}
    setting = Setting(shape, chosen.context, chosen.batch_size, chosen.dtype, **of_ours)
    Console(width=120).print(f"{shape.parameters / 1e6:.2f}M parameters: {shape}", highlight=False)
    content: dict[str, Any] = {
        "benchmark": "gpt_training",
        "setting": dataclasses.asdict(setting) | {"parameters": shape.parameters},
        "pytorch": torch.__version__,
        "rounds": chosen.rounds,
        "steps_of_a_turn": chosen.steps,
        "races": {},
    }
    for optimizer in chosen.optimizers:
        content["races"][optimizer] = measure(setting, optimizer, "cuda" if on_gpu else "cpu", chosen)
        save(chosen.json, content)


if __name__ == "__main__":
    main()
