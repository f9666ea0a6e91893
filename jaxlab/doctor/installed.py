"""Which packages are there, which are too old, and which optional ones are missing."""

import platform
import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from jaxlab.doctor.finding import BAD, NOTE, OK, Finding

PURPOSES = {
    "lab": "experiments, models, checkpoints, plots",
    "text": "tokens other than bytes",
    "tensorboard": "curves in TensorBoard",
    "notebook": "running experiments/colab.ipynb without Colab",
    "vision": "ImageNet weights of EfficientNet-Lite0",
    "privacy": "the epsilon that differential privacy has spent",
}
"""What each extra is for. The extra tpu is apart: it is for an environment of its own."""


class Need(NamedTuple):
    """A package that jaxlab needs, or one of its extras does.

    Attributes:
      package: its name.
      floor: the oldest version that jaxlab is tested with.
      extra: whose need it is; empty: jaxlab's own.
    """

    package: str
    floor: str
    extra: str


def needs() -> list[Need]:
    """What jaxlab says it needs: in a checkout its pyproject.toml, else what was installed with it."""
    checkout = Path(__file__).parents[2] / "pyproject.toml"
    if checkout.is_file():
        project = tomllib.loads(checkout.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == "jaxlab":
            extras = project.get("optional-dependencies", {})
            return _parsed([*map(_pair, project["dependencies"]), *((x, line) for x in extras for line in extras[x])])
    return _parsed(map(_pair, metadata.requires("jaxlab") or []))


def _pair(line: str) -> tuple[str, str]:
    found = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
    return (found[1] if found else "", line)


def _parsed(lines: Iterable[tuple[str, str]]) -> list[Need]:
    found: dict[tuple[str, str], Need] = {}
    for extra, line in lines:
        parts = re.match(r"([\w.-]+)(?:\[[\w,-]+\])?\s*>=\s*([\d.]+)", line)
        if parts is None:
            raise ValueError(f"requirement {line!r}: accepted is package>=version")
        # Where Python's version decides between two floors, the first is the lower.
        found.setdefault((extra, parts[1]), Need(parts[1], parts[2], extra))
    return list(found.values())


def version_of(package: str) -> str | None:
    """The installed version, read without importing the package; None: there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def older(version: str, floor: str) -> bool:
    """Is a version below another?

    >>> older("0.7.2", "0.10"), older("0.12.0.dev3", "0.12")
    (True, False)
    """

    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", re.sub(r"[^\d.].*", "", text))]

    return numbers(version) < numbers(floor)


def versions() -> list[Finding]:
    """Python, jaxlab, and what no training works without."""
    found = [
        Finding("versions", "Python", OK, f"{platform.python_version()} on {platform.platform()}"),
        Finding("versions", "jaxlab", OK, _own_version()),
    ]
    own = [need for need in needs() if not need.extra]
    own[1:1] = [Need("jaxlib", own[0].floor, "")]  # behind jax, of whose number it is
    return found + [_required(need) for need in own]


def _own_version() -> str:
    version = version_of("jaxlab")
    return f"{version or 'not installed'}, from {Path(__file__).parents[1]}"


def _required(need: Need) -> Finding:
    version, install = version_of(need.package), f"pip install '{need.package}>={need.floor}'"
    data = {"version": version, "floor": need.floor}
    if version is None:
        return Finding("versions", need.package, BAD, "missing", install, data)
    if older(version, need.floor):
        return Finding(
            "versions", need.package, BAD, f"{version}, below {need.floor}, the oldest tested", install, data
        )
    return Finding("versions", need.package, OK, version, data=data)


def missing(extra: str) -> list[str]:
    """The packages of an extra that are not installed at all, as pip takes them; those that are too old are left.

    Raises:
      ValueError: an unknown extra.

    >>> "jax>=0.7.2" in missing("lab")
    False
    """
    wanted = [need for need in needs() if need.extra in ("", extra)]
    known = sorted({need.extra for need in needs()} - {""})
    if extra not in known:
        raise ValueError(f"extra = {extra!r}: accepted are {', '.join(known)}")
    return [f"{need.package}>={need.floor}" for need in wanted if version_of(need.package) is None]


def optional() -> list[Finding]:
    """The extras: what is there of each, and how to get the rest."""
    found = []
    for extra, purpose in PURPOSES.items():
        wanted = [need for need in needs() if need.extra == extra]
        versions = {need.package: version_of(need.package) for need in wanted}
        lacking = [need for need in wanted if versions[need.package] is None]
        old = [need for need in wanted if (v := versions[need.package]) is not None and older(v, need.floor)]
        said = [f"{package} {version}" for package, version in versions.items() if version is not None]
        said += [f"{need.package} missing" for need in lacking]
        said += [f"{need.package} below {need.floor}" for need in old]
        install = " ".join(f"'{need.package}>={need.floor}'" for need in [*lacking, *old])
        state, advice = (NOTE, f"for {purpose}: pip install {install}") if install else (OK, "")
        found.append(Finding("optional", extra, state, ", ".join(said), advice, {"versions": versions}))
    return found
