import gc
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from jaxlab.core.space import Choice, LogUniform, OneMinusLog, Uniform
from jaxlab.sweep import database, storage, worker
from jaxlab.sweep.plain import plain
from jaxlab.sweep.storage import Storage
from jaxlab.sweep.worker import Worker, here

ROOT = Path(__file__).parents[2]
POINTS = {i: {"learning_rate": 0.1 / (i + 3)} for i in range(4)}
"""Rates that no short decimal holds."""


@pytest.fixture
def folder(tmp_path):
    """In memory where there is such a place: every commit waits for the disk, and a busy one takes 10 ms."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A file with Optuna's tables, which take a second to make."""
    file = tmp_path_factory.mktemp("storage") / "empty.db"
    Storage(f"sqlite:///{file}")
    return file


@pytest.fixture
def url(empty, folder):
    """A storage of this test's own."""
    shutil.copy(empty, folder / "study.db")
    return f"sqlite:///{folder / 'study.db'}"


@pytest.fixture(params=["memory", "sqlite"])
def place(request):
    """Where a Storage may be: None or a URL."""
    return None if request.param == "memory" else request.getfixturevalue("url")


def trials(url, name="tune"):
    """What Optuna itself reads."""
    return by_optuna(url, name).get_trials()


def by_optuna(url, name="tune"):
    """Optuna's study, begun if there is none."""
    kept = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": sqlalchemy.NullPool})
    return optuna.create_study(study_name=name, storage=kept, load_if_exists=True, direction="maximize")


def dead():
    """A worker of this machine that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return here()._replace(pid=child.pid, started="1")


def pretend(patch, process):
    """As if this process were another."""
    for module in (storage, worker):
        patch.setattr(module, "here", lambda: process)


def test_claim_tell_and_read(place):
    stage = Storage(place).stage("tune", {"task": "digits"})
    assert stage.claim(POINTS) == [0, 1, 2, 3]
    assert stage.claim(POINTS) == []
    assert stage.running() == POINTS
    stage.tell(2, {"loss": [1.0, 1 / 3], "best": {"step": 7}}, 1 / 3)
    stage.tell(1, {"loss": [1.0, float("nan")]}, None)
    assert stage.running() == {0: POINTS[0], 3: POINTS[3]}
    assert stage.finished() == {
        1: (POINTS[1], None, {"loss": [1.0, None]}),
        2: (POINTS[2], 1 / 3, {"loss": [1.0, 1 / 3], "best": {"step": 7}}),
    }
    assert list(stage.finished()) == [1, 2]
    stage.release()
    assert stage.running() == {}
    assert stage.claim(POINTS) == [0, 3]


def test_another_process_finds_what_was_told(url):
    first = Storage(url).stage("tune", {"task": "digits"}, higher_is_better=True)
    first.claim(POINTS)
    first.tell(0, {"curve": [0.1, 0.2]}, 0.2)
    again = Storage(url).stage("tune", {"task": "digits"}, higher_is_better=True)
    assert again.finished() == first.finished()
    assert again.claim(POINTS) == []
    other = Storage(url).stage("report", {"task": "digits"})
    assert other.finished() == {}
    assert other.claim({0: {}}) == [0]


def test_the_end_of_a_context_gives_back(place):
    held = Storage(place)
    with held.stage("tune", {}) as stage:
        stage.claim(POINTS)
        stage.tell(3, {}, 1.0)
    assert held.stage("tune", {}).claim(POINTS) == [0, 1, 2]


def test_results_come_back_bit_for_bit(url):
    draws = np.random.default_rng(0).standard_normal(50) * 10.0 ** np.arange(-25, 25)
    stage = Storage(url).stage("tune", {})
    values = {f"x{i}": float(draw) for i, draw in enumerate(draws[::10])}
    stage.claim({0: values})
    stage.tell(0, {"draws": draws, "one": np.float32(0.1), "n": np.int64(3), "yes": np.bool_(True)}, draws[7])
    finished = Storage(url).stage("tune", {}).finished()[0]
    assert finished.result == {"draws": draws.tolist(), "one": float(np.float32(0.1)), "n": 3, "yes": True}
    assert finished.values == values
    assert finished.value == draws[7]


def test_what_is_not_finite_has_diverged(place):
    stage = Storage(place).stage("tune", {})
    stage.claim(POINTS)
    stage.tell(0, {"loss": np.array([1.0, np.inf, -np.inf, np.nan])}, float("nan"))
    assert stage.finished()[0] == (POINTS[0], None, {"loss": [1.0, None, None, None]})


def test_optuna_shows_the_space(url):
    space = {
        "learning_rate": LogUniform(1e-3, 1e-1),
        "b1": OneMinusLog(0.5, 0.98),
        "smoothing": Uniform(0.0, 0.2),
        "batch": Choice((32, 64)),
    }
    inside = {"learning_rate": 0.01, "b1": 0.9, "smoothing": 0.1, "batch": 64, "eps": 1e-8}
    widened = {"learning_rate": 0.3, "b1": 0.99, "smoothing": -0.1, "batch": 32, "eps": 1e-6}
    stage = Storage(url).stage("tune", {}, space, higher_is_better=True)
    stage.claim({0: inside, 1: widened})
    stage.tell(0, {}, 0.5)
    stage.tell(1, {}, None)
    first, second = trials(url)
    assert (first.params, second.params) == (inside, widened)
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    assert first.distributions["learning_rate"] == optuna.distributions.FloatDistribution(1e-3, 1e-1, log=True)
    assert second.distributions["learning_rate"] == optuna.distributions.FloatDistribution(1e-3, 0.3, log=True)
    assert first.distributions["batch"] == optuna.distributions.CategoricalDistribution((32, 64))
    assert by_optuna(url).best_value == 0.5
    with pytest.raises(ValueError, match=r"batch = 48.0: accepted is one of 32, 64"):
        stage.claim({2: inside, 3: {**inside, "batch": 48.0}})
    with pytest.raises(ValueError, match=r"learning_rate = 0.0: accepted is a number above 0"):
        stage.claim({2: inside, 3: {**inside, "learning_rate": 0.0}})
    assert stage.claim({2: inside}) == [2]


def test_a_trial_added_by_hand_is_not_ours(url):
    stage = Storage(url).stage("tune", {})
    by_optuna(url).ask()
    assert stage.claim(POINTS) == [0, 1, 2, 3]
    assert stage.finished() == {}


def test_a_dead_process_loses_its_claims(place, monkeypatch):
    held = Storage(place)
    lost = held.stage("tune", {})
    with monkeypatch.context() as patch:
        pretend(patch, dead())
        assert lost.claim(POINTS) == [0, 1, 2, 3]
        lost.tell(1, {}, 1.0)
    stage = held.stage("tune", {})
    assert stage.running() == {}
    assert stage.claim({0: POINTS[0], 1: POINTS[1]}) == [0]
    stage.tell(0, {"by": "the living"}, 2.0)
    # The dead one was alive after all: it comes too late.
    lost.tell(0, {"by": "the dead"}, 3.0)
    lost.tell(2, {"by": "the dead"}, 3.0)
    assert {point: finished.value for point, finished in stage.finished().items()} == {0: 2.0, 1: 1.0}
    assert stage.claim(POINTS) == [2, 3]


def test_what_a_process_told_just_before_it_died_counts(place, monkeypatch):
    held = Storage(place)
    lost, stage = held.stage("tune", {}), held.stage("tune", {})
    with monkeypatch.context() as patch:
        pretend(patch, dead())
        lost.claim(POINTS)
    read = database.Database.trials

    def and_then_it_tells(self, study):
        found = read(self, study)
        monkeypatch.setattr(database.Database, "trials", read)
        lost.tell(2, {"by": "the dead"}, 1.0)
        return found

    monkeypatch.setattr(database.Database, "trials", and_then_it_tells)
    assert stage.claim(POINTS) == [0, 1, 3]
    assert stage.finished()[2].result == {"by": "the dead"}


def test_another_machine_lives_while_its_heart_beats(place, monkeypatch):
    now = time.time()
    far = Worker("a machine far away", 1, "7")
    held = Storage(place)
    stage, its = held.stage("tune", {}), held.stage("tune", {})
    with monkeypatch.context() as patch:
        pretend(patch, far)
        patch.setattr(time, "time", lambda: now - 300)
        assert its.claim(POINTS) == [0, 1, 2, 3]
        patch.setattr(time, "time", lambda: now)
        its.beat()  # Within the same minute: not heard.
    monkeypatch.setattr(time, "time", lambda: now + 299)
    assert stage.claim(POINTS) == []
    with monkeypatch.context() as patch:
        pretend(patch, far)
        patch.setattr(storage, "BEAT", 0.0)
        its.beat()
    monkeypatch.setattr(time, "time", lambda: now + 301)
    assert stage.claim(POINTS) == []
    monkeypatch.setattr(time, "time", lambda: now + 900)
    assert stage.claim(POINTS) == [0, 1, 2, 3]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell when a process began")
def test_a_recycled_process_id_is_another_worker():
    assert here().alive()
    assert not here()._replace(started="1").alive()
    parent = here()._replace(pid=os.getppid(), started="1")
    assert not parent.alive()
    assert not dead().alive()
    assert here()._replace(place="elsewhere").alive() is None


def test_threads_race_for_the_same_points(place):
    workers, points = 6, {i: {"learning_rate": 0.1 * (i + 1)} for i in range(8)}
    shared = Storage(place).stage("tune", {})
    stages = [shared if place is None else Storage(place).stage("tune", {}) for _ in range(workers)]
    barrier, claimed = threading.Barrier(workers), []

    def work(stage):
        barrier.wait()
        for point in stage.claim(points):
            claimed.append(point)
            stage.tell(point, {}, 0.0)

    threads = [threading.Thread(target=work, args=[stage]) for stage in stages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed))
    # Who lost a race withdrew; the point was won by someone.
    assert sorted(claimed) == list(points)
    assert list(shared.finished()) == list(points)


def test_two_processes_share_a_study_and_one_is_killed(folder):
    url = f"sqlite:///{folder / 'new.db'}"

    def start(*arguments):
        command = [sys.executable, "-W", "error", "-m", "tests.sweep.claimer", url, *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with start("3", "4") as doomed, start("5", "-1") as steady:
        for process in (doomed, steady):
            assert process.stdout.readline() == "ready\n"
        for process in (doomed, steady):
            process.stdin.write("go\n")
            process.stdin.flush()
        by_doomed = [int(line) for line in iter(doomed.stdout.readline, "holding\n")]
        doomed.kill()  # Not yet buried: a zombie must not pass for living.
        by_steady = [int(line) for line in steady.communicate(timeout=60)[0].split()]
    assert steady.returncode == 0
    assert len(by_doomed) == 4
    assert sorted(by_doomed + by_steady) == list(range(40))
    told = [trial for trial in trials(url, "race") if trial.state == TrialState.COMPLETE]
    assert Counter(trial.user_attrs["claim"]["point"] for trial in told) == Counter(range(40))
    assert all(trial.value == trial.user_attrs["claim"]["point"] for trial in told)
    assert {trial.user_attrs["result"]["by"] for trial in told} == {doomed.pid, steady.pid}
    assert not [trial for trial in trials(url, "race") if trial.state == TrialState.RUNNING]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 200}, "steps = 100, here it is 200"),
        ({"task": {"name": "digits", "split": 2}}, "task.split = 1, here it is 2"),
        ({"seeds": [0, 1, 2]}, r"seeds = \[0, 1\], here it is \[0, 1, 2\]"),
        ({"board": "full"}, "board = nothing, here it is 'full'"),
    ],
)
def test_another_identity_is_refused(place, change, said):
    identity = {"steps": 100, "task": {"name": "digits", "split": 1}, "seeds": (0, 1), "rate": np.float32(0.1)}
    held = Storage(place)
    held.stage("tune", identity).claim({0: {}})
    held.stage("tune", identity)
    with pytest.raises(ValueError, match=said):
        held.stage("tune", {**identity, **change})


def test_another_direction_is_refused(place):
    held = Storage(place)
    held.stage("tune", {})
    with pytest.raises(ValueError, match="higher_is_better = False, here it is True"):
        held.stage("tune", {}, higher_is_better=True)


def test_a_name_is_taken_by_the_first_trial_and_not_by_a_look(place):
    held = Storage(place)
    one = held.stage("tune", {"steps": 1})
    other = held.stage("tune", {"steps": 2})
    with pytest.raises(ValueError, match="steps = 2, here it is 1"):
        one.claim(POINTS)
    assert other.claim(POINTS) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="steps = 2, here it is 1"):
        held.stage("tune", {"steps": 1})
    other.release()
    assert held.stage("tune", {"steps": 1}).claim(POINTS) == [0, 1, 2, 3]


def test_a_study_without_identity_was_left_by_one_who_was_killed(url, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    by_optuna(url)
    Storage(url).stage("tune", {"steps": 1}).claim({0: {}})
    with pytest.raises(ValueError, match="steps = 1, here it is 2"):
        Storage(url).stage("tune", {"steps": 2})


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("study.db", r"storage = 'study.db': no URL of a database; accepted is such as sqlite:///FILE"),
        ("", r"storage = '': no URL"),
        ("mongodb://me:secret@host/x", r"storage = mongodb://me:\*\*\*@host/x: unknown kind of database"),
        ("postgresql://me:secret@host:port/x", r"storage = ...: no URL"),
        ("postgresql+asyncpg2://me:secret@host/x?password=secret", "unknown kind of database"),
        (
            "mssql+pymssql://me:secret@host/x",
            r"mssql\+pymssql://me:\*\*\*@host/x: its driver is not installed",
        ),
        ("sqlite:////no/such/folder/x.db", r"there is no folder /no/such/folder"),
        ("sqlite:///{tmp}", r"is a folder; accepted is a file"),
        ("sqlite:///{tmp}/junk.db", r"file is not a database"),
    ],
)
def test_what_is_no_storage_is_refused(place, said, tmp_path):
    (tmp_path / "junk.db").write_text("no database " * 100)
    with pytest.raises(ValueError, match=said) as found:
        Storage(place.replace("{tmp}", str(tmp_path)))
    assert "secret" not in str(found.value)
    assert "\n" not in str(found.value)


def test_a_url_is_text(tmp_path):
    with pytest.raises(TypeError, match=r"storage = .*accepted is such as sqlite:///FILE"):
        Storage(tmp_path / "study.db")


def test_braces_in_a_name_are_part_of_it(tmp_path):
    Storage(f"sqlite:///{tmp_path / '{a} 100%.db'}").stage("tune", {})
    assert (tmp_path / "{a} 100%.db").exists()


def test_tables_of_another_version_are_refused(url, folder):
    with sqlite3.connect(folder / "study.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.a'")
    connection.close()
    with pytest.raises(ValueError, match=r"storage = sqlite.*version .* is no longer compatible"):
        Storage(url)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell which files are open")
def test_one_file_is_open_while_a_storage_is_used_and_none_afterwards(url, folder):
    def opened():
        # The listing's own entry is gone when it is looked at.
        return sum(one.is_symlink() and one.resolve().is_relative_to(folder) for one in Path("/proc/self/fd").iterdir())

    stage = Storage(url).stage("tune", {})
    stage.claim(POINTS)
    stage.tell(0, {}, 1.0)
    threads = [threading.Thread(target=stage.finished) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened() == 1
    del stage
    gc.collect()
    assert opened() == 0
    (folder / "junk.db").write_text("no database " * 100)
    with pytest.raises(ValueError, match="not a database"):
        Storage(f"sqlite:///{folder}/junk.db")
    with sqlite3.connect(folder / "study.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.a'")
    connection.close()
    with pytest.raises(ValueError, match="no longer compatible"):
        Storage(url)
    assert opened() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_opens_the_file_anew(url):
    stage = Storage(url).stage("tune", {})
    engine = stage._database._engine
    assert engine is not None
    before = engine.pool
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)  # As a child sees it; threads of JAX forbid to fork here.
        stage.finished()
    assert engine.pool is not before
    before.dispose()


def test_a_server_that_cannot_be_reached(monkeypatch):
    def refuse(*_, **__):
        refused = Exception("connection to server at host failed, password secret\nIs it running?")
        raise sqlalchemy.exc.OperationalError("SELECT 1", {}, refused)

    installed = sqlalchemy.make_url("sqlite://").get_dialect()
    monkeypatch.setattr(sqlalchemy.URL, "get_dialect", lambda _: installed)
    monkeypatch.setattr(database, "RDBStorage", refuse)
    with pytest.raises(
        ValueError, match=r"storage = postgresql://me:\*\*\*@host/x: connection to server at host failed"
    ):
        Storage("postgresql://me:secret@host/x?sslpassword=secret")


def test_a_locked_file(url, folder, monkeypatch):
    stage = Storage(url).stage("tune", {})
    monkeypatch.setattr(database, "PATIENCE", 0.3)
    other = sqlite3.connect(folder / "study.db", check_same_thread=False, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ValueError, match=r"storage = sqlite:.*study.db: is locked by another process"):
        Storage(url)
    monkeypatch.setattr(database, "PATIENCE", 10.0)
    threading.Timer(0.2, lambda: other.execute("ROLLBACK")).start()
    assert stage.claim({0: {}}) == [0]
    other.close()


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ({-1: {}}, "point = -1"),
        ({0: {"learning_rate": float("nan")}}, "point 0: learning_rate = nan: accepted is a finite number"),
        ({0: {"learning_rate": "fast"}}, "point 0: learning_rate = fast: accepted is a finite number"),
        ({0: {}, 1: {"nesterov": True}}, "point 1: nesterov = True: accepted is a finite number"),
    ],
)
def test_points_are_numbers(points, said):
    stage = Storage().stage("tune", {})
    with pytest.raises(ValueError, match=said):
        stage.claim(points)
    assert stage.running() == {}


def test_only_what_is_claimed_is_told():
    stage = Storage().stage("tune", {})
    stage.claim(POINTS)
    stage.tell(1, {}, 0.0)
    with pytest.raises(ValueError, match=r"point = 1: accepted is one that is claimed and not told: 0, 2, 3"):
        stage.tell(1, {}, 0.0)
    with pytest.raises(ValueError, match=r"result.curve\[1\] = .*object.*: accepted are numbers"):
        stage.tell(0, {"curve": [1.0, object()]}, 0.0)
    with pytest.raises(ValueError, match="result has the key 3: accepted is text"):
        stage.tell(0, {3: 1.0}, 0.0)
    stage.tell(0, {}, 0.0)


def test_plain_is_what_json_reads_back():
    assert plain({"a": (np.arange(2), None, "x", np.inf)}, "it") == {"a": [[0, 1], None, "x", None]}


def test_optuna_is_silent_and_its_log_as_it_was(url, capsys):
    logger = logging.getLogger("optuna")
    before = logger.level
    stage = Storage(url).stage("tune", {})
    stage.claim(POINTS)
    stage.tell(0, {}, 1.0)
    assert capsys.readouterr() == ("", "")
    assert logger.level == before


def test_optuna_is_loaded_when_it_is_needed():
    program = "import sys, jaxlab.sweep.storage; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
