"""Where tests run: on the CPU, as eight devices, whatever else the machine has. Set before jax is imported.

And how: nearly all of their time is compilation of programs that run once, so the compiler takes no pains, except
where tests train for long. Processes that tests start inherit it all.
"""

import functools
import gc
import os
from importlib.metadata import version

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
# By default a program is cut into 32 parts, for as many threads to compile: twice the work where programs are small.
os.environ["XLA_FLAGS"] += " --xla_cpu_parallel_codegen_split_count=1"
# Later versions do not have this flag, and one that is unknown ends the process.
os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false" * (int(version("jaxlib").split(".")[1]) < 11)

import jax
import pytest
from jax._src.interpreters import mlir

# Scripts, not modules: the first make frozen data and need packages that tests do not, the others run as processes.
collect_ignore = ["data", "clients"]

TRAINING = {"tasks"}
"""Folders whose programs run so long that their optimization pays."""

# For each program that it lowers jax makes a compiler's context that knows all dialects: of an operation that runs
# outside of programs, a quarter of the time. One context for all programs of a module of tests gives the same code.
mlir.make_ir_context = functools.cache(mlir.make_ir_context)


def pytest_collection_finish():
    """What is imported and collected stays: the garbage collector need not go through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_addoption(parser):
    help_ = "of the laws' trials run one in so many, chosen by name: for versions of jax beside the first"
    parser.addoption("--share", type=int, default=1, help=help_)
    parser.addoption("--turn", type=int, default=0, help="which of these shares: any number, each the next")


def optimize(on: bool) -> None:
    """XLA's own optimization, here and in processes that are started from now on."""
    jax.config.update("jax_disable_most_optimizations", not on)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(not on)


optimize(False)


@pytest.fixture(scope="module", autouse=True)
def optimized(request):
    """Where tests train."""
    mlir.make_ir_context.cache_clear()
    optimize(request.path.parent.name in TRAINING)
    yield
    optimize(False)


@pytest.fixture
def x64():
    """64-bit arithmetic for one test."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def pytest_terminal_summary(terminalreporter):
    """How many pairs of a modifier and an optimizer were trained, and how many left out for which reason."""
    reports = {
        outcome: [r for r in terminalreporter.stats.get(outcome, ()) if "::test_every_pair_trains[" in r.nodeid]
        for outcome in ("passed", "failed", "skipped")
    }
    if any(reports.values()):
        counts = ", ".join(f"{len(found)} {outcome}" for outcome, found in reports.items())
        terminalreporter.write_line(f"modifiers around optimizers: {counts}")
        reasons = [report.longrepr[2] for report in reports["skipped"]]
        for reason in sorted(set(reasons)):
            terminalreporter.write_line(f"  {reasons.count(reason)} {reason}")
