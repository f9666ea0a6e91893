"""Importing jaxlab is cheap: it loads jax and optax, and what only experiments need stays on the disk."""

import subprocess
import sys

import pytest

import jaxlab

HEAVY = {
    "chex",
    "flax",
    "grain",
    "matplotlib",
    "optuna",
    "orbax",
    "pandas",
    "PIL",
    "rich",
    "scipy",
    "sklearn",
    "tokenizers",
    "torch",
    "tyro",
}

TRAINS = """
import jax, jax.numpy as jnp, jaxlab
tx = jaxlab.optimizers.adamw(1e-2)
params = {"w": jnp.ones(2)}
tx.update(params, tx.init(params), params)
"""

PROBE = """
import sys
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def loaded_after(program, tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program + PROBE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "program",
    ["import jaxlab", TRAINS, "import jaxlab.train, jaxlab.text, jaxlab.augment, jaxlab.images"],
    ids=["import", "use", "train"],
)
def test_heavy_packages_stay_unloaded(program, tmp_path):
    assert loaded_after(program, tmp_path) & HEAVY == set()


def test_a_misspelt_part_is_named():
    with pytest.raises(AttributeError, match="optimisers"):
        _ = jaxlab.optimisers
