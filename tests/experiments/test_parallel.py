"""The comparison of layouts: the list of layouts, what is measured, what is advised, what is refused."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from experiments import parallel, parallel_advice, parallel_layouts, parallel_models, parallel_page, parallel_runs
from experiments.parallel_least import least_sent
from experiments.parallel_runs import Figures, Found
from jaxlab import report
from jaxlab.precision import Policy, as_policy
from jaxlab.sharding import Layout
from jaxlab.sharding.collectives import Collective

SMALL = parallel.Config(
    model="mlp", layouts=("data=1", "data=8 zero=1", "fsdp=4,tensor=2"), steps=2, rounds=0, precision="bfloat16"
)
MLP = parallel_models.subject_of("mlp", 8, None, 0)
WEIGHTS = 64 * 512 + 2 * 512 * 512 + 512 * 16
BIASES = 3 * 512 + 16


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Any:
    out = tmp_path_factory.mktemp("parallel") / "out"
    # Programs that run twice need not be fast.
    jax.config.update("jax_disable_most_optimizations", True)
    parallel.run(parallel.prepare(dataclasses.replace(SMALL, out=out)))
    jax.config.update("jax_disable_most_optimizations", False)
    return report.load(out)


def _rows(results, section, table=0) -> dict[str, list[Any]]:
    return {row[0]: row[1:] for row in results["sections"][section]["tables"][table]["rows"]}


def test_layouts_train_what_one_device_trains(results):
    assert {name: row[1] for name, row in _rows(results, 1).items()} == dict.fromkeys(SMALL.layouts, "equal")
    assert results["verdict"].startswith("Take data=8 zero=1 while") or "keeps least" in results["verdict"]
    assert "virtual CPU devices" in results["verdict"]


def test_memory_is_what_the_layout_leaves_a_device(results):
    parameters, state, gradients, *_ = zip(*_rows(results, 2).values(), strict=True)
    whole = 4 * (WEIGHTS + BIASES) / 1e6
    # Leaves of fewer than 1,024 numbers, the biases, are not shared; tensor cuts those of the layers that it cuts.
    np.testing.assert_allclose(parameters, [whole, whole, whole / 8], rtol=0.02)
    np.testing.assert_allclose(state, [2 * whole, 2 * whole / 8, 2 * whole / 8], rtol=0.02)
    np.testing.assert_allclose(gradients, [whole, whole, whole / 8], rtol=0.02)


def test_no_layout_sends_less_than_it_must(results):
    for sent, least, times, what in _rows(results, 3).values():
        assert sent >= least
        assert float(times) == pytest.approx(sent / least, abs=0.01)
        assert "all-reduce along" in what


def test_the_plots_are_files(results, tmp_path):
    report.write(results, tmp_path)
    assert {path.name for path in (tmp_path / "plots").iterdir()} >= {"memory.png", "memory.svg", "sent.svg"}


@pytest.mark.parametrize(
    ("devices", "kinds"),
    [
        (1, ["data=1"]),
        (2, ["data=1", "data=2", "data=2 zero=1", "data=2 zero=2", "fsdp=2", "tensor=2", "sequence=2"]),
        (6, ["data=2,fsdp=3", "tensor=6", "sequence=6", "data=3,tensor=2"]),
        (13, ["data=13 zero=2", "fsdp=13"]),
        (16, ["data=2,tensor=8", "data=2,sequence=8", "data=8,tensor=2", "data=4,fsdp=2,tensor=2"]),
    ],
)
def test_every_kind_that_the_devices_allow(devices, kinds):
    found = parallel_layouts.layouts_for(devices, sequence=True)
    assert found[-len(kinds) :] == kinds
    assert len(found) == len(set(found))


@pytest.mark.parametrize("devices", [3, 8])
@pytest.mark.parametrize("model", parallel_models.SUBJECTS)
def test_every_model_fits_every_layout(devices, model):
    subject = parallel_models.subject_of(model, devices, None, 0)
    for text in parallel_layouts.layouts_for(devices, sequence="sequence" in subject.axes):
        named = parallel_layouts.read(text)
        layout = parallel_layouts.build(
            named, jax.devices()[:devices], subject.model.tensor_rules(), subject.axes, "auto"
        )
        layout.batch_shardings(subject.batch)
        places = jax.tree.leaves(layout.shardings(subject.parameters))
        if layout.zero == 3 and layout.mesh.size > 1:
            assert any(not place.is_fully_replicated for place in places)


def test_the_least_is_the_sum_over_parameters_and_activations():
    numbers = WEIGHTS + BIASES
    mixed = as_policy("bfloat16")

    def least(text, zero=None, rules=(), policy=mixed):
        return least_sent(MLP, Layout(text, rules, zero=zero, min_size=0), policy)

    # A sum is 2 (n - 1) / n of the gradient; ZeRO scatters that and gathers parameters (4 bytes) or weights (2).
    assert least("data=8", policy=Policy()) == pytest.approx(4 * 2 * 7 / 8 * numbers)
    assert least("data=8") == pytest.approx(2 * 2 * 7 / 8 * numbers)
    assert least("data=8", zero=1) == pytest.approx((2 + 4) * 7 / 8 * numbers)
    assert least("fsdp=8") == pytest.approx((2 + 2 + 2) * 7 / 8 * numbers)
    # Gathered twice among four, what eight have updated once among two.
    assert least("data=2,fsdp=4") == pytest.approx((2 * 7 / 8 + 2 * 2 * 3 / 4 + 4 / 8) * numbers)
    # What leaves two pairs of layers and the gradient of what enters the second, for 64 examples.
    activations = 64 * (512 + 16 + 512)
    assert least("tensor=8", rules=MLP.model.tensor_rules()) == pytest.approx(2 * 2 * 7 / 8 * activations)


def test_a_wrong_sum_is_seen():
    base = parallel_runs.Ends([np.ones(3)], np.array([[2.0, 1.0]]), 0.0)
    moved = dataclasses.replace(base, params=[np.array([1, 1 + 1e-8, 1])])
    # Adam hides the size of a gradient; its norm does not.
    doubled = dataclasses.replace(base, path=np.array([[2.0, 2.0]]))
    assert parallel_runs.difference(base, base) == (0, True)
    assert parallel_runs.difference(moved, base) == (pytest.approx(1e-8), False)
    assert parallel_runs.difference(doubled, base) == (0, False)
    lost = dataclasses.replace(base, params=[np.array([1.0, np.nan, 1.0])])
    assert not parallel_runs.difference(lost, base)[1]


def _found(text, kept, least, *, equal=True) -> Found:
    """A layout of a model of one parameter."""
    memory = {"parameters": kept, "optimizer state": 0, "gradients": 0, "batch": 0}
    sent = (Collective("all-reduce", ("data",), 8, 1, least, True),)
    figures = Figures(1, memory | {"temporaries": 0.0}, sent, least, 0.0, lambda: None)
    named = parallel_layouts.read(text)
    layout = parallel_layouts.build(named, jax.devices(), (), ("batch", "sequence"), "auto")
    return Found(text, layout, 0.0 if equal else 1.0, equal, figures)


def test_the_advice_names_what_needs_least_while_a_copy_fits_and_when_none_does():
    some = [
        _found("data=8", 16.0, 7.0),
        _found("data=8 zero=1", 9.0, 7.0),
        _found("fsdp=8", 2.0, 7.0),
        _found("tensor=8", 2.0, 21.0),
    ]
    words = parallel_advice.answer({one.text: one for one in some}, 5)
    assert words.startswith("Take data=8 zero=1 while parameters and gradients fit one device, fsdp=8 when")
    assert "16.0 with data=8, 9.0 with data=8 zero=1, 2.0 with fsdp=8" in words
    assert "tensor=8, for layers that do not fit one device, has to send 3.0 times" in words


def test_a_layout_that_is_wrong_is_named_first():
    some = [_found("data=8", 16.0, 7.0), _found("fsdp=8", 2.0, 7.0, equal=False)]
    assert parallel_advice.answer({one.text: one for one in some}, 5).startswith("Do not use fsdp=8")


def test_every_layout_has_its_when():
    texts = parallel_layouts.layouts_for(8, sequence=True)
    words = [parallel_advice.when(_found(text, 1.0, 1.0).layout) for text in texts]
    assert len(set(words)) == len(texts)


def test_times_are_ratios_to_the_first_layout():
    seconds = {"data=1": [1.0] * 8, "data=8": [0.5] * 8}
    assert parallel_page.ratio(seconds, "data=8") == (0.5, (0.5, 0.5))
    assert parallel_page.timed(seconds, "data=1") == ["1e+03", "1"]


def test_one_device_has_nothing_to_send():
    alone = {"data=1": _found("data=1", 16.0, 0.0)}
    assert parallel_advice.answer(alone, 5).startswith("There is one device")
    assert not parallel_page.sending(alone)["tables"]


def test_where_there_are_several_devices_they_are_taken(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda kind=None: ["gpu"] if kind is None else ["cpu"] * 8)
    assert parallel_layouts.devices_here() == ["cpu"] * 8
    several = [SimpleNamespace(platform="tpu")] * 4
    monkeypatch.setattr(jax, "devices", lambda kind=None: several)
    assert parallel_layouts.devices_here() is several


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "gptt"}, "did you mean 'gpt'"),
        ({"optimizer": "adamv"}, "did you mean"),
        ({"layouts": ("data=16",)}, "take 16 devices and there are 8"),
        ({"layouts": ("data=8 zero=4",)}, "'zero=4' behind the mesh"),
        ({"layouts": ("date=8",)}, "axis 'date' is unknown"),
        ({"layouts": ("",)}, "is no axis=size"),
        ({"layouts": ("data=8", "data=8")}, "'data=8' twice"),
        ({"layouts": ("sequence=8",)}, "sequence"),
        ({"layouts": ("tensor=8 zero=1",)}, "zero = 1"),
        ({"batch_size": 12}, "'data=8 zero=1' does not fit mlp: batch leaf 'x' of shape"),
        ({"steps": 0}, "steps = 0"),
        ({"rounds": 3}, "rounds = 3"),
        ({"axis_types": "both"}, "axis_types = 'both'"),
        ({"precision": "float8"}, "float8"),
        ({"optimizer": "gauss_newton"}, "566800 parameters: accepted are at most 4096"),
    ],
)
def test_what_cannot_be_run_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        parallel.prepare(dataclasses.replace(SMALL, out=tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()
