"""What a user installs: the package alone, typed, licensed, and light."""

import email
import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pytest

import jaxlab

ROOT = pathlib.Path(__file__).parents[1]


def build(target, folder):
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


def test_wheel_holds_the_package_alone(wheel):
    held = {name for name in wheel.namelist() if not name.startswith(f"jaxlab-{jaxlab.__version__}.dist-info/")}
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "jaxlab").rglob("*.py")} | {"jaxlab/py.typed"}
    assert ours <= held
    assert all(name.startswith("jaxlab/") for name in held)
    assert not any("__pycache__" in name for name in held)


def test_wheel_is_light_and_licensed(wheel):
    about = email.message_from_bytes(wheel.read(f"jaxlab-{jaxlab.__version__}.dist-info/METADATA"))
    core = [need for need in about.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert {need.partition(">")[0] for need in core} == {"jax", "jaxtyping", "numpy", "optax"}
    assert about["Requires-Python"] == ">=3.11"
    assert about["License-Expression"] == "Apache-2.0"
    assert "Apache License" in wheel.read(f"jaxlab-{jaxlab.__version__}.dist-info/licenses/LICENSE").decode()


def test_source_archive_holds_what_the_tests_need(tmp_path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        parts = {pathlib.PurePath(name).parts[1] for name in archive.getnames()}
    expected = {"jaxlab", "tests", "experiments", "benchmarks", "pyproject.toml", "README.md", "LICENSE"}
    assert expected <= parts <= expected | {"PKG-INFO", ".gitignore"}


def test_every_public_part_loads_and_says_what_it_is():
    for part in jaxlab.__all__:
        assert getattr(jaxlab, part).__doc__, part
