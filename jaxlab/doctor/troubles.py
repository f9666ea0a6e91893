"""Common troubles, recognised by the environment, by what is installed, and by what an error says."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxlab.doctor.finding import NOTE, Finding

TPU_SIGNS = ("COLAB_TPU_ADDR", "COLAB_TPU_1VM", "TPU_NAME", "TPU_ACCELERATOR_TYPE", "TPU_CHIPS_PER_HOST_BOUNDS")
TPU_SIGNS += ("TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES")
"""Variables that machines with a TPU have."""
TPU_FILES, GPU_FILES = ("accel[0-9]*",), ("nvidia[0-9]*", "dxg")
"""Patterns of files in /dev."""

VARIABLES = {
    "JAX_PLATFORMS": "jax looks for these devices alone",
    "JAX_PLATFORM_NAME": "jax prefers these devices",
    "JAX_ENABLE_X64": "arithmetic is in 64 bits: slow on GPUs, emulated on TPUs, twice the memory",
    "JAX_DISABLE_JIT": "nothing is compiled: every step runs operation by operation",
    "JAX_DEBUG_NANS": "every operation is checked, and the first NaN ends the run",
    "JAX_DEFAULT_MATMUL_PRECISION": "products are computed in this precision",
    "XLA_FLAGS": "changes what is compiled",
    "LIBTPU_INIT_ARGS": "changes what is compiled for a TPU",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "changes how a GPU's memory is taken",
    "XLA_PYTHON_CLIENT_MEM_FRACTION": "changes how much of a GPU's memory is taken",
    "PJRT_NPROC": "the threads of XLA on a CPU",
    "OMP_NUM_THREADS": "the threads of NumPy and scikit-learn",
}
"""Variables that change what a run does: their meaning, after their value."""

REMEDIES = (
    (r"already in use|libtpu_lockfile", "another process has the TPU: end it, or run the doctor before it starts"),
    (r"Unknown flags? in XLA_FLAGS", "take out of XLA_FLAGS what this version of jaxlib does not know"),
    (r"jaxlib version \S+ is newer than|jaxlib is version", "they belong together: pip install 'jaxlib=={jax}'"),
    (r"RESOURCE_EXHAUSTED|[Oo]ut of memory", "something else fills the memory of the device: end it"),
    (r"did not answer within", "a driver waits: is the device taken by another process? --timeout gives it longer"),
    (r"No module named '(\w+)'", "pip install the module that is missing"),
)
"""What an error says, and what to do."""


def remedy(text: str, version_of: Callable[[str], str | None]) -> str:
    """What to do about an error, where that is known; empty where it is not.

    >>> remedy("jaxlib is version 0.7.0, but this version of jax requires version >= 0.7.2.", {"jax": "0.7.2"}.get)
    "they belong together: pip install 'jaxlib==0.7.2'"
    """
    advice = next((advice for pattern, advice in REMEDIES if re.search(pattern, text)), "")
    return advice.format(jax=version_of("jax"))


def troubles(
    environment: Mapping[str, str],
    version_of: Callable[[str], str | None],
    devices: Mapping[str, Any],
    exists: Callable[[str], bool] = lambda pattern: any(Path("/dev").glob(pattern)),
) -> list[Finding]:
    """What often goes wrong and shows here.

    Args:
      environment: ``os.environ``.
      version_of: a package's version, or None.
      devices: the data of the probe's finding of that name; empty: it has none.
      exists: whether there is a device file of this pattern.
    """
    set_ = {name: environment[name] for name in VARIABLES if environment.get(name)}
    found = [Finding("troubles", name, NOTE, f"{value}: {VARIABLES[name]}") for name, value in set_.items()]
    if not devices and "JAX_PLATFORMS" in set_:
        found.append(Finding("troubles", "JAX_PLATFORMS", NOTE, "jax found no such device", "unset JAX_PLATFORMS"))
    return [*found, *_idle_accelerators(environment, version_of, devices, exists), *_cores(environment, devices)]


def _idle_accelerators(
    environment: Mapping[str, str],
    version_of: Callable[[str], str | None],
    devices: Mapping[str, Any],
    exists: Callable[[str], bool],
) -> list[Finding]:
    """Devices that are there and are not used, and libtpu where there is no TPU."""
    jax, libtpu, on_cpu = version_of("jax"), version_of("libtpu"), devices.get("backend") == "cpu"
    chosen = bool(environment.get("JAX_PLATFORMS"))
    signs = [name for name in TPU_SIGNS if environment.get(name)] + list(filter(exists, TPU_FILES))
    found = []
    if signs and on_cpu and not chosen:
        how = f"pip install 'jax[tpu]=={jax}'" if libtpu is None else "is another process using it?"
        found.append(Finding("troubles", "TPU", NOTE, f"there is one ({signs[0]}), and jax runs on the CPU", how))
    if libtpu is not None and not signs and not chosen and devices.get("backend") != "tpu":
        text = f"libtpu {libtpu} is installed and there is no TPU: every start of jax looks for one"
        found.append(Finding("troubles", "libtpu", NOTE, text, "export JAX_PLATFORMS=cpu, or pip uninstall libtpu"))
    if on_cpu and not chosen and any(map(exists, GPU_FILES)):
        text = "there is an NVIDIA GPU, and jax runs on the CPU"
        found.append(Finding("troubles", "GPU", NOTE, text, f"pip install 'jax[cuda12]=={jax}'"))
    return found


def _cores(environment: Mapping[str, str], devices: Mapping[str, Any]) -> list[Finding]:
    """Cores that a population of runs would leave idle, and devices that share one."""
    if devices.get("backend") != "cpu":
        return []
    cores, count, machine = devices["cores"], devices["count"], os.cpu_count() or 1
    found = []
    if cores < machine:
        found.append(Finding("troubles", "cores", NOTE, f"this process may run on {cores} of the machine's {machine}"))
    if count == 1 < cores:
        text = f"one device for {cores} cores: one large program uses them, many small ones do not"
        advice = "populations: jaxlab.sweep.use_every_core() before jax's first computation; experiments do so"
        found.append(Finding("troubles", "devices", NOTE, text, advice))
    if count > cores:
        text = f"{count} devices on {cores} cores: right for trying layouts, slower for training"
        found.append(Finding("troubles", "devices", NOTE, text))
    return found
