"""The doctor says what is there, what is missing and what is amiss, and survives what it finds."""

import json
import os
import subprocess
import sys
from importlib import metadata

import jax
import pytest

from jaxlab import doctor
from jaxlab.doctor import __main__ as command
from jaxlab.doctor import installed, probe, show
from jaxlab.doctor.finding import BAD, NOTE, OK, Finding
from jaxlab.doctor.troubles import remedy, troubles

ON_CPU = {"backend": "cpu", "count": 1, "kinds": {"cpu": 1}, "cores": 2}


def run(*arguments, **environment):
    ran = subprocess.run(
        [sys.executable, "-m", "jaxlab.doctor", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    return ran


@pytest.fixture(scope="module")
def found():
    return {(one.part, one.name): one for one in doctor.examine()}


def test_it_finds_what_is_here(found):
    assert doctor.works([*found.values()])
    assert found["versions", "jax"].text == jax.__version__
    assert metadata.version("flax") in found["optional", "lab"].text
    assert found["devices", "cpu"].data["kinds"] == {"cpu": 8}
    assert "N/A" in found["devices", "cpu"].text
    assert found["devices", "memory"].data["host"]["total"] > found["devices", "memory"].data["host"]["free"] > 0


@pytest.mark.parametrize("name", ["training", "mesh", "bfloat16", "precision", "checkpoint"])
def test_every_check_was_really_made(found, name):
    assert found["checks", name].state == OK, found["checks", name]


def test_all_devices_share_the_training(found):
    assert found["checks", "mesh"].data["devices"] == 8
    assert found["checks", "mesh"].data["apart"] < 1e-4
    losses = found["checks", "training"].data["losses"]
    assert losses[-1] < losses[0] / 2


def test_what_is_set_is_told(found):
    assert "device_count=8" in found["troubles", "XLA_FLAGS"].text


def test_for_machines_it_is_json(monkeypatch, capsys):
    """Valid, with every finding, and with the exit code's reason."""
    findings = [Finding("versions", "jax", BAD, "missing", "pip install jax"), Finding("checks", "mesh", OK, "fine")]
    monkeypatch.setattr(command, "examine", lambda timeout: findings)
    assert command.main(["--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "jaxlab.doctor/1"
    assert not told["works"]
    assert [Finding(**one) for one in told["findings"]] == findings
    monkeypatch.setattr(command, "examine", lambda timeout: findings[1:])
    assert command.main(["--json"]) == 0


def test_importing_it_loads_no_jax():
    program = "import sys, jaxlab.doctor; print(*{'jax', 'numpy', 'optax', 'rich'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


def test_a_flag_that_ends_the_process_is_named():
    """XLA ends a process that has a flag it does not know, so no exception can be caught."""
    ran = run("--json", XLA_FLAGS="--xla_no_such_flag=1")
    assert ran.returncode == 1
    (bad,) = (one for one in json.loads(ran.stdout)["findings"] if one["state"] == BAD)
    assert "--xla_no_such_flag=1" in bad["text"]
    assert "XLA_FLAGS" in bad["advice"]


def test_a_jax_that_does_not_import_is_told_in_one_line(tmp_path):
    (tmp_path / "jax.py").write_text("raise RuntimeError('jaxlib version 9.9 is newer than\\nthis jax')")
    ran = run(PYTHONPATH=str(tmp_path))
    assert ran.returncode == 1
    assert "pip install 'jaxlib==" in ran.stdout
    assert "jaxlib version 9.9 is newer" in ran.stdout.splitlines()[-1]


def test_a_device_that_does_not_answer_is_not_waited_for():
    findings = doctor.examine(timeout=0.01)
    (bad,) = (one for one in findings if one.state == BAD)
    assert "did not answer within 0.01 s" in bad.text
    assert "another process" in bad.advice
    with pytest.raises(ValueError, match="timeout = 0"):
        doctor.examine(timeout=0)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, ImportError, KeyError, OSError, AssertionError])
def test_a_check_that_fails_does_not_end_the_others(monkeypatch, capsys, error):
    def fails():
        raise error("two\nlines")

    monkeypatch.setattr(probe, "CHECKS", [("checks", "first", NOTE, fails), ("checks", "mesh", BAD, fails)])
    probe.main()
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    states = {one["name"]: (one["state"], one["text"]) for one in findings if "begins" not in one}
    assert states["first"][0] == NOTE
    assert states["mesh"][0] == BAD
    assert "two" in states["mesh"][1]
    assert "\n" not in states["mesh"][1]


def test_of_every_package_the_floor_is_pyprojects():
    floors = {(need.extra, need.package): need.floor for need in installed.needs()}
    assert [package for extra, package in floors if not extra] == ["jax", "jaxtyping", "numpy", "optax"]
    assert {"flax", "orbax-checkpoint", "grain"} <= {package for extra, package in floors if extra == "lab"}
    assert set(installed.PURPOSES) == {extra for extra, _ in floors} - {"", "tpu"}
    assert floors["", "numpy"] == "2.0"
    assert floors["tpu", "jax"] == floors["", "jax"]


@pytest.mark.parametrize(
    ("version", "state", "said"), [(None, BAD, "missing"), ("0.4.30", BAD, "below 0.7.2"), ("0.7.2", OK, "0.7.2")]
)
def test_a_jax_below_the_promise_is_refused(monkeypatch, version, state, said):
    known = installed.version_of
    monkeypatch.setattr(installed, "version_of", lambda name: version if name == "jax" else known(name))
    (jax_,) = (one for one in installed.versions() if one.name == "jax")
    assert jax_.state == state
    assert said in jax_.text
    assert jax_.advice == ("" if state == OK else "pip install 'jax>=0.7.2'")


def test_what_is_optional_and_missing_is_said_with_the_command(monkeypatch):
    known = installed.version_of
    gone = {"tokenizers": None, "grain": "0.1.0"}
    monkeypatch.setattr(installed, "version_of", lambda name: gone.get(name, known(name)))
    extras = {one.name: one for one in installed.optional()}
    assert extras["text"].state == NOTE
    assert extras["text"].advice.endswith(": pip install 'tokenizers>=0.22.0'")
    assert "grain below 0.2.12" in extras["lab"].text
    assert extras["lab"].advice.endswith(": pip install 'grain>=0.2.12'")
    assert doctor.works([*extras.values()])


def test_what_pip_has_to_get_is_what_is_not_there_at_all(monkeypatch):
    """What is there stays as it is, also where it is old: Colab's packages are Colab's."""
    known = installed.version_of
    gone = {"jaxtyping": None, "grain": None, "optuna": "0.1"}
    monkeypatch.setattr(installed, "version_of", lambda name: gone.get(name, known(name)))
    assert doctor.missing("lab") == ["jaxtyping>=0.3.3", "grain>=0.2.12"]
    with pytest.raises(ValueError, match=r"extra = 'labs': accepted are lab, notebook"):
        doctor.missing("labs")


@pytest.mark.parametrize(
    ("environment", "versions", "devices", "files", "name", "advice"),
    [
        ({"TPU_ACCELERATOR_TYPE": "v5e-8"}, {"jax": "0.7.2"}, ON_CPU, (), "TPU", "pip install 'jax[tpu]==0.7.2'"),
        ({}, {"jax": "0.7.2"}, ON_CPU, ("accel[0-9]*",), "TPU", "pip install 'jax[tpu]==0.7.2'"),
        ({"TPU_NAME": "x"}, {"jax": "0.7.2", "libtpu": "0.1"}, ON_CPU, (), "TPU", "is another process using it?"),
        ({}, {"libtpu": "0.0.40"}, ON_CPU, (), "libtpu", "export JAX_PLATFORMS=cpu, or pip uninstall libtpu"),
        ({}, {"jax": "0.10.2"}, ON_CPU, ("nvidia[0-9]*",), "GPU", "pip install 'jax[cuda12]==0.10.2'"),
        ({"JAX_PLATFORMS": "cuda"}, {}, {}, (), "JAX_PLATFORMS", "unset JAX_PLATFORMS"),
        ({}, {}, ON_CPU, (), "devices", "use_every_core"),
        ({"JAX_ENABLE_X64": "1"}, {}, {}, (), "JAX_ENABLE_X64", ""),
        ({"XLA_FLAGS": "--x"}, {}, {}, (), "XLA_FLAGS", ""),
        ({"OMP_NUM_THREADS": "1"}, {}, {}, (), "OMP_NUM_THREADS", ""),
        ({}, {}, ON_CPU | {"count": 8}, (), "devices", ""),
    ],
)
def test_troubles_are_recognised(environment, versions, devices, files, name, advice):
    findings = troubles(environment, versions.get, devices, lambda pattern: pattern in files)
    advised = [one.advice for one in findings if one.name == name]
    assert advised
    assert any(advice in one for one in advised)
    assert advice or not any(advised)
    assert doctor.works(findings)


@pytest.mark.parametrize(
    ("environment", "versions", "devices"),
    [
        ({}, {}, ON_CPU | {"count": 2}),
        ({}, {"libtpu": "0.0.40"}, {"backend": "tpu", "count": 8}),
        ({"JAX_PLATFORMS": "cpu", "TPU_NAME": "x"}, {"libtpu": "0.0.40"}, ON_CPU | {"count": 2}),
    ],
)
def test_where_all_is_well_nothing_is_advised(environment, versions, devices):
    findings = troubles(environment, versions.get, devices, lambda pattern: False)
    assert not any(one.advice for one in findings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The TPU is already in use by process with pid 7.", "another process has the TPU"),
        ("RESOURCE_EXHAUSTED: 1 GB", "memory"),
        ("something that nobody has seen", ""),
    ],
)
def test_errors_have_remedies(text, said):
    assert said in remedy(text, {}.get)


def test_without_rich_it_is_plain_text(monkeypatch, capsys):
    findings = [Finding("optional", "text", NOTE, "tokenizers missing", "pip install tokenizers")]
    monkeypatch.setattr(show.importlib.util, "find_spec", lambda name: None)
    show.write(findings)
    assert capsys.readouterr().out.splitlines() == [*show.plain(findings)]


def test_commands_are_not_cut(capsys):
    """Where rich breaks what it shows into lines, what is to be copied stays whole."""
    advice = f"pip install {' '.join(f'package{i}' for i in range(30))}"
    show.write([Finding("optional", "lab", NOTE, "much is missing", advice)])
    assert f"  lab: {advice}" in capsys.readouterr().out.splitlines()
