"""Where a result was made."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

_PACKAGES = (
    "jaxlab",
    "jax",
    "jaxlib",
    "optax",
    "flax",
    "numpy",
    "scipy",
    "matplotlib",
    "scikit-learn",
    "orbax-checkpoint",
    "grain",
    "tokenizers",
    "libtpu",
)


def environment() -> dict[str, Any]:
    """Versions, devices, processor and commit, as plain JSON data.

    Returns:
      ``python``, ``system``, ``processor``, ``cores`` (those this process may use), ``backend``, ``devices``
      (kind -> how many), ``x64``, ``packages`` (name -> version), and ``commit`` with ``+changes`` behind
      it where files differ from it; None outside a git checkout.

    >>> sorted(environment())
    ['backend', 'commit', 'cores', 'devices', 'packages', 'processor', 'python', 'system', 'x64']
    """
    kinds = [device.device_kind for device in jax.devices()]
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "backend": jax.default_backend(),
        "devices": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "x64": bool(jax.config.read("jax_enable_x64")),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "commit": _commit(Path(__file__).parent),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit(folder: Path) -> str | None:
    # A wheel inside someone else's checkout is not of that checkout's commit.
    root = _git(folder, "rev-parse", "--show-toplevel")
    if root is None or not (Path(root) / "jaxlab" / "report").is_dir():
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    return f"{commit}+changes" if commit and _git(folder, "status", "--porcelain", "-uno") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
