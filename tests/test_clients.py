"""Flax projects that change their optimizer's line and nothing else go on training."""

import pathlib
import subprocess
import sys

import pytest

CLIENTS = sorted((pathlib.Path(__file__).parent / "clients").glob("*.py"))


@pytest.mark.parametrize("script", CLIENTS, ids=lambda script: script.stem)
def test_client_trains_as_before(script, tmp_path):
    # Away from the repository, as a user's script is: jaxlab is the installed one.
    run = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "with jaxlab" in run.stdout
