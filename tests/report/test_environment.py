"""The environment is plain data, complete and true."""

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import jax

from jaxlab.report import environment
from jaxlab.report.environment import _commit


def test_it_is_json_and_true():
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["python"] == platform.python_version()
    assert found["packages"]["jax"] == metadata.version("jax")
    assert sum(found["devices"].values()) == jax.device_count()
    assert found["cores"] >= 1
    assert found["processor"]


def test_a_folder_outside_any_checkout_has_no_commit(tmp_path):
    assert _commit(tmp_path) is None


def test_the_commit_of_a_checkout(tmp_path):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    package = tmp_path / "jaxlab" / "report"
    package.mkdir(parents=True)
    (package / "a.py").write_text("a", encoding="utf-8")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    assert _commit(package) == git("rev-parse", "HEAD")
    (package / "a.py").write_text("b", encoding="utf-8")
    assert _commit(package) == f"{git('rev-parse', 'HEAD')}+changes"


def test_someone_elses_checkout_is_not_ours(tmp_path):
    subprocess.run(["git", "init", str(tmp_path)], check=True, capture_output=True)
    site = tmp_path / "site-packages" / "jaxlab" / "report"
    site.mkdir(parents=True)
    assert _commit(Path(site)) is None
