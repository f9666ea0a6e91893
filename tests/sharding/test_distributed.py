"""Several processes: what they are found to be, that they meet or say who is missing, and that they train as one."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from sharding import several_processes

from jaxlab.sharding import Layout, distributed, feed, roll_call, start
from jaxlab.train.checkpoint import Checkpoints

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 400
"""Seconds that a machine may take which does much besides."""


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


class Run:
    """A process of a run, and what it wrote."""

    def __init__(self, *arguments, devices, folder):
        self.log = folder / f"log_{arguments[2]}"
        # The last of two numbers counts.
        flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, several_processes.__file__, *map(str, arguments)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    @property
    def said(self):
        return self.log.read_text(errors="replace")


def finished(runs):
    """The return codes of all; none of them is left running."""
    deadline = time.monotonic() + PATIENCE
    try:
        for run in runs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for run in runs:
            run.process.kill()
    return [run.process.wait() for run in runs]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes of four devices each found; and a third, of which the others know nothing."""
    folder, elsewhere = tmp_path_factory.mktemp("two"), tmp_path_factory.mktemp("alone")
    address = f"localhost:{free_port()}"
    runs = [Run(address, 2, number, folder, PATIENCE // 2, devices=4, folder=folder) for number in range(2)]
    alone = Run(f"localhost:{free_port()}", 2, 1, elsewhere, 1, devices=4, folder=elsewhere)
    codes = finished([*runs, alone])
    said = "".join(f"--- process {number}, {codes[number]}\n{run.said}\n" for number, run in enumerate(runs))
    assert codes[:2] == [0, 0], said
    found = [dict(np.load(folder / f"process_{number}.npz")) for number in range(2)]
    return {"folder": folder, "found": found, "said": [run.said for run in runs], "alone": (codes[2], alone.said)}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    jax.config.update("jax_enable_x64", True)
    folder = tmp_path_factory.mktemp("one")
    yield {"found": several_processes.train(folder), "folder": folder}
    jax.config.update("jax_enable_x64", False)


def test_two_processes_of_four_devices_equal_one_of_eight(one, two):
    for found in two["found"]:
        assert found.keys() == one["found"].keys()
        for name in found.keys() - {"loaded"}:
            np.testing.assert_allclose(found[name], one["found"][name], rtol=1e-13, atol=1e-15, err_msg=name)


def test_each_process_loads_its_part_of_every_batch(one, two):
    parts = [found["loaded"] for found in two["found"]]
    assert {part.shape for part in parts} == {(several_processes.STEPS - 1, several_processes.BATCH // 2)}
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), one["found"]["loaded"])


def test_a_checkpoint_of_two_processes_is_restored_in_one(one, two):
    like = several_processes.first_state()
    restored = []
    for folder in (one["folder"], two["folder"]):
        with Checkpoints(folder / "checkpoints") as checkpoints:
            assert checkpoints.steps() == [several_processes.SAVED]
            restored.append(checkpoints.restore(like))
    for alone, together in zip(*map(jax.tree.leaves, restored), strict=True):
        assert alone.sharding == together.sharding
        if not jax.numpy.issubdtype(alone.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(together, alone, rtol=1e-13, atol=1e-15)


def test_every_process_says_who_it_is(two):
    for number, said in enumerate(two["said"]):
        assert f"Process {number} of 2, which meet at localhost:" in said
        assert "as the arguments say." in said


def test_a_process_without_the_others_ends_with_an_error(two):
    code, said = two["alone"]
    assert code == 1, said
    assert "process 0 of 2 did not answer at localhost:" in said.splitlines()[-1]
    assert "within 1 seconds" in said.splitlines()[-1]


def gather(*numbers, processes, timeout=30.0, counts=None, address=None):
    """How a roll call of these processes went for each: None, or the error."""
    address = address or f"localhost:{free_port()}"
    ends = [None] * len(numbers)

    def one(place, number):
        try:
            roll_call.meet(address, (counts or {}).get(place, processes), number, timeout)
        except (OSError, ValueError) as error:
            ends[place] = error

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(numbers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return ends


def test_all_are_there_in_whatever_order():
    assert gather(3, 1, 0, 2, processes=4) == [None] * 4


def test_every_process_names_those_that_do_not_answer():
    ends = gather(0, 2, processes=4, timeout=1.0)
    assert [type(end) for end in ends] == [roll_call.AbsentError] * 2
    assert str(ends[0]) == str(ends[1])
    assert str(ends[0]).startswith("2 processes, 1, 3, of 4 did not answer at localhost:")
    assert "within 1 seconds" in str(ends[0])


def test_processes_that_do_not_agree_are_told():
    for ends in (gather(0, 1, 1, processes=3), gather(0, 1, processes=2, counts={1: 3})):
        assert {type(end) for end in ends} == {ValueError}
        assert len(set(map(str, ends))) == 1


def test_strangers_and_processes_that_come_again_do_not_matter():
    port = free_port()
    result = []
    thread = threading.Thread(target=lambda: result.extend(gather(0, processes=3, address=f"localhost:{port}")))
    thread.start()

    def connect(words):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                connection = socket.create_connection(("localhost", port))
                connection.sendall(words)
                return connection
            time.sleep(0.05)

    first = json.dumps({"process": 1, "processes": 3}).encode() + b"\n"
    connect(b"GET / HTTP/1.1\n").close()
    connect(first).close()
    assert gather(2, 1, processes=3, address=f"localhost:{port}") == [None, None]
    thread.join(PATIENCE)
    assert result == [None]


def test_a_process_that_is_not_heard_asks_again():
    port = free_port()
    result = []
    with socket.create_server(("localhost", port)) as deaf:
        thread = threading.Thread(target=lambda: result.extend(gather(1, processes=2, address=f"localhost:{port}")))
        thread.start()
        deaf.accept()[0].close()
    assert gather(0, processes=2, address=f"localhost:{port}") == [None]
    thread.join(PATIENCE)
    assert result == [None]


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        (end,) = gather(0, processes=2, timeout=1.0, address=f"localhost:{port}")
    assert isinstance(end, OSError)
    assert f"address = 'localhost:{port}': process 0 cannot listen on [::]:{port}" in str(end)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("localhost", 2, 0), r"address = 'localhost': accepted is host:port of process 0"),
        (("localhost:x", 2, 0), r"address = 'localhost:x': accepted is host:port"),
        (("localhost:99999", 2, 0), r"address = 'localhost:99999': accepted is host:port"),
        (("localhost:1234", 2, 2), r"process_id = 2: accepted is a whole number of at least 0 and at most 1"),
        (("localhost:1234", 2, -1), r"process_id = -1: accepted"),
        (("localhost:1234", 0, 0), r"processes = 0: accepted is a whole number of at least 1"),
        (
            ("localhost:1234", None, None),
            r"processes, process_id = None: accepted are address, processes, process_id tog",
        ),
        ((None, 2, 1), r"address = None: accepted are address, processes, process_id together, or none"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        start(*arguments)


def test_a_start_after_devices_were_used_is_refused():
    assert jax.device_count() == 8
    with pytest.raises(RuntimeError, match=r"devices were used before the processes were started"):
        start("localhost:1234", 2, 0)


def test_a_machine_without_an_address_of_its_own_is_named(monkeypatch):
    def nobody(host, port):
        raise socket.gaierror(socket.EAI_NONAME, f"{host} is not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(
        OSError, match=r"this machine is called '.+', and that name has no address: accepted.*not known"
    ):
        distributed._check_own_name()


@pytest.fixture
def environment(monkeypatch):
    for name in os.environ:
        if name.startswith(
            ("JAX_COORDINATOR", "JAX_NUM_PROC", "JAX_PROCESS", "SLURM_", "OMPI_", "KUBERNETES_", "TPU_")
        ):
            monkeypatch.delenv(name)

    def put(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    return put


def chosen():
    return distributed._chosen(None, None, None, 1)


def slurm(tasks):
    return {
        "SLURM_JOB_ID": 4097,
        "SLURM_STEP_NODELIST": "node[001-002]",
        "SLURM_NTASKS": tasks,
        "SLURM_PROCID": tasks - 1,
        "SLURM_LOCALID": 1,
    }


def test_without_a_cluster_there_is_one_process(environment):
    assert start() == ("nothing", None, 1, 0)
    assert str(start()) == "One process alone: no cluster was found."


def test_the_environment_says_it_as_the_arguments_do(environment):
    environment(JAX_COORDINATOR_ADDRESS="a:7", JAX_NUM_PROCESSES=3, JAX_PROCESS_ID=2)
    assert chosen() == (("environment", "a:7", 3, 2), None)
    assert str(chosen()[0]) == "Process 2 of 3, which meet at a:7: as JAX_COORDINATOR_ADDRESS says."


@pytest.mark.parametrize("values", [{"JAX_COORDINATOR_ADDRESS": "a:7"}, {"JAX_NUM_PROCESSES": 2}])
def test_an_environment_that_says_half_is_refused(environment, values):
    environment(**values)
    with pytest.raises(ValueError, match=r"JAX_PROCESS_ID = None: accepted are JAX_COORDINATOR_ADDRESS, JAX_NUM"):
        start()


def test_an_environment_of_no_numbers_is_refused(environment):
    environment(JAX_COORDINATOR_ADDRESS="a:7", JAX_NUM_PROCESSES="two", JAX_PROCESS_ID=0)
    with pytest.raises(TypeError, match=r"JAX_NUM_PROCESSES = 'two': accepted is a whole number"):
        start()


def test_a_cluster_is_found_by_jax(environment):
    environment(**slurm(tasks=4))
    found, devices = chosen()
    assert found == ("slurm", "node001:61441", 4, 3)
    assert devices == [1]
    assert str(found) == "Process 3 of 4, which meet at node001:61441: as the cluster, slurm, says."
    environment(JAX_COORDINATOR_ADDRESS="other:9")
    assert chosen()[0].address == "other:9"


def test_a_cluster_of_one_process_needs_no_meeting(environment):
    environment(**slurm(tasks=1))
    assert str(start()) == "One process alone: as the cluster, slurm, says."


def test_what_is_loaded_must_be_what_was_asked_for():
    layout = Layout("data=8")
    with pytest.raises(ValueError, match=r"load returned 'x' of shape \(3,\) for 8 examples"):
        feed(lambda numbers: {"x": np.zeros(3)}, np.arange(8), layout)
    with pytest.raises(
        ValueError, match=r"the batch of shape \(9,\): axis 0 \(batch\) is not divided by mesh axis data"
    ):
        feed(lambda numbers: np.zeros(9), np.arange(9), layout)
    with pytest.raises(ValueError, match=r"indices of shape \(2, 4\) and type int64: accepted is one axis of whole"):
        feed(lambda numbers: np.zeros(8), np.arange(8).reshape(2, 4), layout)


def test_an_example_for_several_devices_is_loaded_once():
    asked = []

    def load(numbers):
        asked.append(numbers)
        return numbers * 2.0

    batch = feed(load, np.array([5, 3, 5, 1]), Layout("data=2,tensor=4"))
    assert [numbers.tolist() for numbers in asked] == [[5, 3, 5, 1]]
    assert batch.tolist() == [10.0, 6.0, 10.0, 2.0]


def test_every_device_has_its_part_of_a_batch():
    several_processes.check_places()
