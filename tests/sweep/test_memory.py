"""Members that do not fit the memory together take turns; one that does not fit is refused."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import tasks
from jaxlab.optimizers import Recipe
from jaxlab.sweep import arrange, memory, run_population, seed_keys
from jaxlab.sweep import population as engine
from jaxlab.sweep.crew import Crew
from jaxlab.sweep.devices import member_mesh

RATES = np.geomspace(1e-3, 0.3, 6)
ARGUMENTS = {"steps": 30, "eval_every": 10, "test": True}


@pytest.fixture(scope="module", autouse=True)
def one_device():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "member_mesh", lambda members: member_mesh(1))
        yield


def trained(**change):
    build = Recipe("adam").build
    return run_population("line", build, {"learning_rate": RATES}, seed_keys(range(6)), **(ARGUMENTS | change))


@pytest.fixture(scope="module")
def whole():
    return trained()


@pytest.fixture(scope="module")
def limit(whole):
    """What three members need."""
    return run_population(
        "line", Recipe("adam").build, {"learning_rate": RATES[:3]}, seed_keys(range(3)), **ARGUMENTS
    ).memory_bytes


@pytest.fixture(scope="module")
def turns(limit):
    return trained(memory=limit)


def test_groups_are_the_whole_in_turns(whole, turns, limit):
    assert (whole.groups, turns.groups) == (1, 2)
    assert turns.memory_bytes <= limit < whole.memory_bytes
    for name in ("validation", "test"):
        np.testing.assert_allclose(getattr(turns, name)["mse"], getattr(whole, name)["mse"], rtol=1e-4)
    np.testing.assert_allclose(turns.train_loss, whole.train_loss, rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3), turns.states.params, whole.states.params)
    np.testing.assert_array_equal(*(jax.random.key_data(found.states.key) for found in (turns, whole)))
    assert int(turns.states.step) == 30


def test_one_executable_serves_all_groups(turns, limit):
    assert trained(memory=limit).compilations == 0


def test_fewer_groups_are_left_when_members_end(turns, limit):
    """Two of six go on: one group of three is enough, and nothing is compiled for it."""
    seen = []

    def stop(step, validation):
        seen.append(np.isnan(validation["mse"]).tolist())
        return np.isin(np.arange(6), [0, 1, 3, 4]) & (step == 10)

    found = trained(memory=limit, stop=stop)
    assert found.ended.tolist() == [10, 10, 30, 10, 10, 30]
    assert found.compilations == 0
    assert seen == [[False] * 6, [True, True, False, True, True, False]]
    np.testing.assert_allclose(found.validation["mse"][[2, 5]], turns.validation["mse"][[2, 5]], rtol=1e-4)
    np.testing.assert_allclose(found.test["mse"][[2, 5]], turns.test["mse"][[2, 5]], rtol=1e-4)


def test_a_member_that_shapes_say_does_not_fit_is_refused_before_compilation(monkeypatch):
    """800 examples of two float32, 200 of the test, and a state of about a hundred bytes."""
    monkeypatch.setattr(engine.Stopwatch, "compile", lambda *arguments: pytest.fail("compiled"))
    with pytest.raises(ValueError, match=r"memory = 8000 \(8 kB\): one member a device needs 80\d\d bytes"):
        trained(memory=8_000)


def test_a_member_whose_temporaries_do_not_fit_is_refused_before_it_runs(monkeypatch):
    data = memory.of_arrays(jax.eval_shape(lambda: {"x": jnp.zeros((1000, 1)), "y": jnp.zeros((1000, 1))}))
    monkeypatch.setattr(engine.Crew, "advance", lambda *arguments: pytest.fail("ran"))
    with pytest.raises(ValueError, match=rf"memory = {data + 100} .*one member a device needs \d+ bytes"):
        trained(memory=data + 100)


def test_what_a_program_needs_is_what_its_arrays_take():
    """An update in place: the argument, its reversed copy as a temporary or none, and no other result."""
    x = jnp.zeros(1_000)
    arguments, besides = memory.of_program(jax.jit(lambda x: x + 1).lower(x).compile())
    assert (arguments, besides) == (4_000, 4_000)
    arguments, besides = memory.of_program(jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile())
    assert (arguments, besides) == (4_000, 0)


def test_where_the_compiler_does_not_say_shapes_decide():
    assert memory.of_program(SimpleNamespace(memory_analysis=lambda: None)) == (0, 0)


def test_the_devices_of_the_host_share_what_is_available(tmp_path):
    devices = jax.local_devices()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:       9000 kB\nMemAvailable:   8000 kB\n")
    assert memory.free(devices, tmp_path) == int(0.8 * 8_192_000 / len(devices))
    assert memory.free(devices, tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    ("limit", "left"), [("max", 8_192_000), ("99000000", 8_192_000), ("4000000", 3_024_000), ("900000", 0)]
)
def test_a_container_leaves_what_its_limit_leaves(tmp_path, limit, left):
    """1 MB is used, of which 24 kB are pages of files that were read: they can go."""
    for name, text in (
        ("proc/meminfo", "MemAvailable:   8000 kB\n"),
        ("sys/fs/cgroup/memory.max", f"{limit}\n"),
        ("sys/fs/cgroup/memory.current", "1000000\n"),
        ("sys/fs/cgroup/memory.stat", "anon 900000\ninactive_file 24000\n"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory.free(jax.local_devices(), tmp_path) == int(0.8 * left / len(jax.local_devices()))


def test_one_group_at_a_time_is_on_the_device(limit, monkeypatch):
    """Three evaluations of two groups, then the test: whenever a group is seated the other has gone."""
    there, seated = [], Crew._seated

    def watched(crew, group):
        there.append(sum(array.nbytes for array in jax.live_arrays()))
        return seated(crew, group)

    monkeypatch.setattr(Crew, "_seated", watched)
    trained(memory=limit)
    assert len(there) == 8
    assert len(set(there[:6])) == len(set(there[6:])) == 1


def test_what_a_plan_needs_counts_all_that_lies_there(whole, monkeypatch):
    task = tasks.get("line")
    assert whole.memory_bytes - trained(test=False).memory_bytes == memory.of_arrays(task.test)
    monkeypatch.setattr(arrange, "compile_start", lambda *arguments: 10**6)
    assert trained().memory_bytes == 10**6 + memory.of_arrays((task.data, task.test))
