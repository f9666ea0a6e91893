"""The notebook runs from top to bottom, and its cells find what they promise.

Nightly, and in .ci/run with Colab's versions. Its Python is that of the tests; its jaxlab is the one that is installed
or, where the environment says JAXLAB_SOURCE, what the notebook installs from there. JAXLAB_NOTEBOOK_OUT keeps a copy of
what was run, to look at.
"""

import json
import os
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "experiments" / "colab.ipynb"
STAYS = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "chex", "numpy", "matplotlib")

TOLD = """
import json

told = {
    "devices": len(jax.devices()),
    "share": share,
    "before": [record["bits_per_token"] for record in before],
    "after": [record["bits_per_token"] for record in after],
    "steps": [record["step"] for record in (*before, *after)],
    "resumed_at": resumed_at,
    "uninterrupted": len(uninterrupted),
    "same": same,
    "saved": checkpoints.steps(),
    "bits": bits,
    "written": len(written[0]),
    "scores": scores,
    "tried": {outcome.arm.name: outcome.tuning.points["learning_rate"] for outcome in outcomes},
    "verdicts": [pair.verdict for pair in pairs],
    "answer": answer,
}
Path("told.json").write_text(json.dumps(told))
"""
"""A last cell: what the others found."""


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_committed_without_outputs():
    notebook = read()
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.nightly
def test_it_runs_from_top_to_bottom(tmp_path, monkeypatch):
    """One test, for it takes minutes and is run once."""
    monkeypatch.delenv("MPLBACKEND")  # plots appear in cells
    versions = {name: metadata.version(name) for name in STAYS}
    notebook = read()
    notebook.cells.append(nbformat.v4.new_code_cell(TOLD))
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}).execute()
    if kept := os.environ.get("JAXLAB_NOTEBOOK_OUT"):
        notebook.cells.pop()
        nbformat.write(notebook, kept)
    told = json.loads((tmp_path / "told.json").read_text())

    assert {name: metadata.version(name) for name in STAYS} == versions
    the_doctor_was_heard(notebook)
    the_model_learned_on_all_devices(told)
    it_went_on_where_it_was(told)
    the_comparison_ended_in_a_verdict(told)
    # Two plots of the training, one of the comparison.
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) == 3


def outputs(notebook, cell_with=""):
    return [output for cell in notebook.cells if cell_with in cell.source for output in cell.get("outputs", [])]


def the_doctor_was_heard(notebook):
    heard = [
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for output in outputs(notebook, "jaxlab.doctor")
    ]
    assert "Training would work here, on 8 x cpu" in " ".join(heard)


def the_model_learned_on_all_devices(told):
    assert told["devices"] == 8
    assert told["share"] < 0.2
    assert told["before"][0] > 7.5
    assert told["after"][-1] < told["before"][-1] < 5
    assert 2 < told["bits"] < 4.5
    assert told["written"] == 100


def it_went_on_where_it_was(told):
    steps = told["steps"]
    assert steps == [*range(1, len(steps) + 1)]
    assert told["resumed_at"] == len(told["before"]) == len(steps) // 2
    assert (told["uninterrupted"], told["same"]) == (3, True)
    assert told["saved"] == [len(steps) // 2, len(steps)]


def the_comparison_ended_in_a_verdict(told):
    scores = told["scores"]
    assert list(scores) == ["adamw", "lion", "muon"]
    assert all(len(values) == 3 and max(values) < 6 for values in scores.values())
    assert {len(rates) for rates in told["tried"].values()} == {4}
    assert len(told["verdicts"]) == 3
    assert set(told["verdicts"]) <= {"better", "worse", "undecided"}
    assert any(name in told["answer"] for name in scores)
