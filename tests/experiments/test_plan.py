"""Plans without a compiler for TPUs: arithmetic against counts by hand, a search, the page, what is refused."""

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from typing import Any

import jax
import pytest

from experiments import plan, plan_bounds, plan_search, plan_step
from experiments.plan_step import Choice, Training
from jaxlab import aot, report
from jaxlab.models.sizes import GPTShape
from jaxlab.sharding import make_mesh
from jaxlab.sharding.collectives import Collective

SLICE = "v5e:2x4"
SHAPE = GPTShape(vocabulary=512, width=128, layers=8, heads=4, kv_heads=2)
TRAINING = Training(SHAPE, "muon", batch=64, context=64)
GIB = 2**30


def here(name: str) -> list[Any]:
    """Devices of this machine stand for a slice; what has no coordinates is linked to all others."""
    return jax.devices()[: aot.slice_of(name).devices]


@pytest.fixture(autouse=True)
def without_libtpu(monkeypatch):
    monkeypatch.setattr(aot, "devices_of", here)


@pytest.fixture(scope="module")
def considered():
    return plan_search.consider(TRAINING, SLICE, here(SLICE), lambda: None)


@pytest.fixture
def considered_once(monkeypatch, considered):
    monkeypatch.setattr(plan_search, "consider", lambda *_: considered)


def bound(mesh: str, zero: int, remat: str = "none", accumulate: int = 1) -> plan_bounds.Bound:
    choice = Choice(SLICE, mesh, zero, remat, accumulate)
    layout = plan_step.layout_of(TRAINING, choice, aot.devices_of(SLICE))
    return plan_bounds.bound_of(TRAINING, choice, plan_bounds.holding_of(TRAINING, layout), aot.slice_of(SLICE).chip)


def test_memory_and_links_of_a_plan():
    """By hand: tables 2 x 512 x 128, a block 2 x 128^2 + 2 x 128 x 64 + 2 x 128 x 512 and three scales of 128 or 32."""
    tables, kernels = 2 * 512 * 128, 8 * (2 * 128**2 + 2 * 128 * 64 + 2 * 128 * 512)
    scales = SHAPE.parameters - tables - kernels
    batch = 2 * 4 * 64 * 64 / 8
    # Parameters in float32, one average of matrices and two of all else.
    whole = 4 * (tables + kernels + scales) + 4 * kernels + 8 * (tables + scales)
    # Whatever the stage, each device keeps the averages of the matrices that it works on.
    spread = whole - 4 * kernels * 7 / 8
    tokens = 64 * 64 / 8
    kept = 2 * 8 * 128 * tokens
    every = bound("data=8", 0, "full")
    assert every.memory == pytest.approx(spread + batch + max(kept, 2 * SHAPE.parameters), rel=0.01)
    shared = bound("fsdp=8", 3, "full")
    assert shared.memory == pytest.approx(whole / 8 + batch + max(kept, 2 * SHAPE.parameters / 8), rel=0.02)
    links = aot.slice_of(SLICE).chip.links * aot.slice_of(SLICE).chip.link_bandwidth
    assert every.links == pytest.approx(2 * 2 * SHAPE.parameters * 7 / 8 / links)
    assert shared.links == pytest.approx(3 * 2 * SHAPE.parameters * 7 / 8 / links)
    # Micro-batches gather again, and scatter once at least.
    assert bound("fsdp=8", 3, "full", 4).links == pytest.approx(9 * 2 * SHAPE.parameters * 7 / 8 / links)


def test_operations_of_a_plan():
    chip = aot.slice_of(SLICE).chip
    useful = SHAPE.flops_per_token(64) * 64 * 64
    block = 2 * 128 * 128 + 2 * 128 * 64 + 2 * 128 * 512
    again = {"none": 0, "dots": 4 * 128 * 64, "full": 2 * (block - 128 * 512) + 4 * 128 * 64}
    # Five iterations of A = X X', B = b A + c A A, X = a X + B X, on matrices of m rows and n columns, m <= n.
    once = sum(4 * m * m * n + 2 * m**3 for m, n in [(128, 128)] * 2 + [(64, 128)] * 2 + [(128, 512)] * 2)
    for remat, more in again.items():
        expected = (useful + 64 * 64 * 8 * more + 5 * 8 * once) / 8 / chip.peak_flops
        assert bound("data=8", 0, remat).compute == pytest.approx(expected)
    assert plan_bounds.optimizer_flops(dataclasses.replace(TRAINING, optimizer="adamw")) == 0


def test_what_the_backward_pass_waits_for():
    full, dots, none = (plan_bounds.kept_per_token(SHAPE, 64, remat, tensor=1) for remat in ("full", "dots", "none"))
    assert full == 2 * 8 * 128
    assert dots == full + 2 * 8 * (128 + 128 + 2 * 64 + 512)
    assert none == dots + 2 * 8 * (2 * 128 + 128 + 512 + 2 * 4 * 64)
    assert plan_bounds.kept_per_token(SHAPE, 64, "dots", tensor=2) == full + 2 * 8 * (128 + (128 + 2 * 64 + 512) / 2)


def test_all_plans_of_a_slice_differ(considered):
    found = list(plan_search.choices(SLICE, TRAINING))
    assert len(set(found)) == len(found)
    meshes = {choice.mesh for choice in found}
    assert {"data=8", "fsdp=8", "data=2,fsdp=4", "data=2,fsdp=2,tensor=2", "tensor=8"} <= meshes
    assert all((choice.zero == 3) == ("fsdp" in choice.mesh) for choice in found)
    assert all(choice.zero < 2 or choice.accumulate > 1 for choice in found if "fsdp" not in choice.mesh)
    assert len(considered.open) + considered.too_large + len(considered.refused) == len(found)
    # Two heads of keys and values are not cut in four.
    assert {choice.mesh for choice in considered.refused} == {"data=2,tensor=4", "fsdp=2,tensor=4", "tensor=8"}
    guesses = [bound.guess for _, bound in considered.open]
    assert guesses == sorted(guesses)


def program(seconds: float, peak: int) -> aot.Program:
    sent = (Collective("all-gather", ("fsdp",), 8, 3, 1e9, True),)
    time = aot.Roofline(compute=seconds, memory=seconds / 2, links=seconds / 4, core=seconds)
    return aot.Program(aot.Memory(peak // 2, peak - peak // 2, 0, 0), 1e12, 1e9, sent, time, True)


class Compiler:
    """Fits what remakes all of a block; the fewer micro-batches, the faster."""

    def __init__(self) -> None:
        self.asked: list[Choice] = []

    def __call__(self, training: Training, choice: Choice) -> dict[str, Any]:
        self.asked.append(choice)
        mesh = make_mesh(choice.mesh, devices=here(choice.slice))
        found = aot.Misfit(32 * GIB, 16 * GIB, "RESOURCE_EXHAUSTED")
        if choice.remat == "full":
            found = program(choice.accumulate, 3 * GIB)
        return plan_step.entry_of(training, choice, found, mesh) | {"compile_seconds": 1.0}


def searched(tries: int, compiler: Callable[[Training, Choice], dict[str, Any]]) -> plan_search.Found:
    with plan.study.progress_bar(plan.Console(quiet=True), "plans") as bar:
        return plan_search.search(TRAINING, SLICE, tries, compiler, bar)


def test_a_search_leaves_out_what_needs_more_than_what_did_not_fit(monkeypatch, considered):
    # What needs the least comes first, for once.
    turned = dataclasses.replace(considered, open=considered.open[::-1])
    monkeypatch.setattr(plan_search, "consider", lambda *_: turned)
    compiler = Compiler()
    found = searched(1000, compiler)
    assert found.best is not None
    assert (found.best["remat"], found.best["accumulate"], found.best["time"]["seconds"]) == ("full", 1, 1.0)
    misfits = [choice for choice in compiler.asked if choice.remat != "full"]
    for number, choice in enumerate(misfits):
        assert not any(plan_search.no_smaller(choice, earlier) for earlier in misfits[:number])
    assert found.left["larger than one that did not fit"] > 0
    assert len(compiler.asked) + sum(found.left.values()) == len(list(plan_search.choices(SLICE, TRAINING)))


@pytest.mark.usefixtures("considered_once")
def test_a_search_ends_where_nothing_can_be_faster(considered):
    fastest = min(bound.seconds for _, bound in considered.open)

    def compiled(training: Training, choice: Choice) -> dict[str, Any]:
        mesh = make_mesh(choice.mesh, devices=here(SLICE))
        return plan_step.entry_of(training, choice, program(fastest, GIB), mesh)

    found = searched(1000, compiled)
    assert len(found.entries) == 1
    assert set(found.left) == {"slower than the best, at best", "do not divide"}


@pytest.mark.usefixtures("considered_once")
def test_tries_are_an_end():
    compiler = Compiler()
    found = searched(3, compiler)
    assert len(compiler.asked) == len(found.entries) == 3
    assert found.left["not tried"] > 0


SMALL = plan.Config(model="2M", vocabulary=512, context=64, chip=(SLICE, "v5e:2x2"), batch=64)


def test_a_stopped_search_goes_on(tmp_path, monkeypatch):
    compiler = Compiler()
    monkeypatch.setattr(plan, "compiled", compiler)
    out = tmp_path / "out"
    plan.run(plan.prepare(dataclasses.replace(SMALL, chip=("v5e:1x1",), batch=8, search=True, tries=2, out=out)))
    (out / "results.json").unlink()
    with (out / "plans.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"slice": "v5e')
    first = list(compiler.asked)
    plan.run(plan.prepare(plan.Config(resume=out)))
    assert compiler.asked == first
    assert len([json.loads(line) for line in (out / "plans.jsonl").read_text().splitlines()]) == 2
    results: Any = report.load(out)
    assert len(results["sections"][0]["tables"][0]["rows"]) == 2


def test_a_slice_on_which_it_fits_and_one_on_which_it_does_not(tmp_path, monkeypatch):
    compiler = Compiler()

    def compiled(training: Training, choice: Choice) -> dict[str, Any]:
        return compiler(training, choice._replace(remat="full" if choice.slice == SLICE else "none"))

    monkeypatch.setattr(plan, "compiled", compiled)
    plan.run(plan.prepare(dataclasses.replace(SMALL, out=tmp_path / "out")))
    results: Any = report.load(tmp_path / "out")
    assert "fits v5e:2x4 (fsdp=8, ZeRO 3, remat full): 3.0 of a chip's 16 GiB" in results["verdict"]
    assert "does not fit v5e:2x2: a chip would need 32.0 GiB at least and has 16.0 to give" in results["verdict"]
    numbers = {number["name"]: number["value"] for number in results["numbers"]}
    assert numbers["peak memory on v5e:2x4"] == 3.0
    assert numbers["peak memory on v5e:2x2"] == 32.0
    chip = aot.slice_of(SLICE).chip
    shape = plan.shape_of("2M", 512)
    useful = shape.flops_per_token(64) * 64 * 64 / 8
    assert numbers["estimated MFU on v5e:2x4"] == pytest.approx(useful / chip.peak_flops)
    charts = {chart["name"] for section in results["sections"] for chart in section["charts"]}
    assert charts == {"memory", "time"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chip": ()}, "chip = "),
        ({"chip": ("v9:2x2",)}, "slice = 'v9:2x2': accepted is a generation of TPU and a shape, such as v2:4x4"),
        ({"chip": ("v5e:3x3",)}, "slice = 'v5e:3x3'"),
        ({"model": "big"}, "size = 'big'"),
        ({"remat": "some"}, "remat = 'some'"),
        ({"layout": "data=3"}, "its axes take 3 devices and there are 8"),
        ({"layout": "pipe=8"}, "axis 'pipe' is unknown"),
        ({"layout": "data=8", "zero": 4}, "zero = 4"),
        ({"layout": "tensor=8"}, "layout = 'tensor=8': accepted are sizes of tensor that divide"),
        ({"batch": 12}, "batch = 12: accepted are multiples of 8"),
        ({"accumulate": 3}, "batch = 64: accepted are multiples of 24"),
        ({"optimizer": "mouon"}, "did you mean 'muon'"),
        ({"tries": 0}, "tries = 0"),
        ({"context": 0}, "context = 0"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_what_cannot_be_planned_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plan.prepare(dataclasses.replace(SMALL, **{"chip": (SLICE,), "out": tmp_path / "new", **change}))
    assert not (tmp_path / "new").exists()


def test_without_libtpu_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="libtpu, which compiles for TPUs, is not installed"):
        plan.prepare(dataclasses.replace(SMALL, out=tmp_path / "new"))
