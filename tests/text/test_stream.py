"""Batches are a function of content, seed and step; an epoch shows everything once."""

import builtins
import hashlib
import itertools
import threading

import numpy as np
import pytest

from jaxlab.text import Stream
from jaxlab.text.stream import window

COUNT = 1_000
CONTEXT, BATCH = 16, 4
WINDOWS = COUNT // CONTEXT


@pytest.fixture
def file(token_file):
    """A file of 999 bytes and the end of its document."""
    return token_file(bytes(np.random.RandomState(0).randint(1, 128, COUNT - 1).tolist()))


@pytest.fixture
def stream(file):
    return Stream(file, CONTEXT, BATCH, seed=3)


def starts(stream, step):
    """Where on the ring the step's windows begin, found by looking."""
    tokens = stream.tokens.tokens
    ring = np.concatenate([tokens, tokens])
    places = {ring[i : i + CONTEXT + 1].tobytes(): i for i in range(COUNT)}
    batch = stream.batch(step)
    return [places[np.append(x, y[-1]).astype(np.uint8).tobytes()] for x, y in zip(batch["x"], batch["y"], strict=True)]


def examples(stream, epoch):
    """The starts of an epoch's windows in the order in which they are shown."""
    first = epoch * WINDOWS
    steps = range(first // BATCH, -(-(first + WINDOWS) // BATCH))
    shown = list(itertools.chain.from_iterable(starts(stream, step) for step in steps))
    return shown[first % BATCH :][:WINDOWS]


def test_the_file_is_a_ring():
    for start, length in itertools.product(range(-1, 12), range(1, 14)):
        assert window(np.arange(5), start, length).tolist() == [(start + i) % 5 for i in range(length)]


def test_a_batch_is_windows_and_the_same_one_later(stream):
    batch = stream.batch(5)
    assert {name: (leaf.shape, leaf.dtype.name) for name, leaf in batch.items()} == {
        "x": ((BATCH, CONTEXT), "int32"),
        "y": ((BATCH, CONTEXT), "int32"),
    }
    np.testing.assert_array_equal(batch["x"][:, 1:], batch["y"][:, :-1])
    assert len(starts(stream, 5)) == BATCH


def test_an_epoch_shows_all_but_a_rest_once(stream):
    assert WINDOWS % BATCH, "epochs should end within a batch"
    rests, orders = [], []
    for epoch in range(3):
        shown = examples(stream, epoch)
        tokens = (np.array(shown)[:, None] + np.arange(CONTEXT)) % COUNT
        assert len(np.unique(tokens)) == tokens.size == WINDOWS * CONTEXT
        rests.append(tuple(sorted(set(range(COUNT)) - set(tokens.ravel().tolist()))))
        orders.append(np.argsort(np.argsort((np.array(shown) - rests[-1][-1]) % COUNT)).tolist())
    assert [len(rest) for rest in rests] == [COUNT % CONTEXT] * 3
    assert len(set(rests)) == 3
    assert len({tuple(order) for order in orders}) == 3
    assert all(abs(np.corrcoef(order, range(WINDOWS))[0, 1]) < 0.4 for order in orders)


def test_seeds_and_neighbouring_epochs_share_nothing(file):
    shown = [tuple(examples(Stream(file, CONTEXT, BATCH, seed), epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(shown)) == 9
    cuts = {min(one) % CONTEXT for one in shown}
    assert len(cuts) > 3
    # Whose windows the same numbers name: an epoch of one seed is not the next seed's epoch before.
    orders = [
        tuple(int(one.numbers(step)[0]) % WINDOWS for step in range(2 * WINDOWS))
        for one in (Stream(file, CONTEXT, 1, seed) for seed in range(2))
    ]
    assert len({order[half : half + WINDOWS] for order in orders for half in (0, WINDOWS)}) == 4


def test_the_order_is_for_ever(stream):
    """Of every version of grain and NumPy that the project is tested with."""
    shown = np.stack([stream.batch(step)["x"] for step in (0, 1, 15, 16, 1_000_000)])
    assert hashlib.sha256(shown.astype("<i4").tobytes()).hexdigest()[:12] == "c2c43767ff25"


@pytest.mark.parametrize("step", [0, 7, 2**40])
def test_reading_ahead_from_a_step_is_asking_for_it(stream, step):
    ahead = stream.from_step(step)
    for later in range(step, step + 6):
        found, expected = next(ahead), stream.batch(later)
        assert all(np.array_equal(found[name], expected[name]) for name in ("x", "y"))
    ahead.close()


def test_threads_processes_and_what_was_asked_before_do_not_matter(stream, file):
    expected = [stream.batch(step) for step in range(8)]
    many = stream.from_step(0, ahead=8, threads=4)
    halves = [stream.from_step(0, np.arange(BATCH)[part]) for part in (slice(0, 1), slice(1, None))]
    fresh = Stream(file, CONTEXT, BATCH, seed=3)
    assert np.array_equal(fresh.batch(7)["x"], expected[7]["x"])
    for whole in expected:
        assert np.array_equal(next(many)["x"], whole["x"])
        parts = [next(half) for half in halves]
        assert np.array_equal(np.concatenate([part["y"] for part in parts]), whole["y"])


def test_a_batch_is_loaded_by_the_numbers_of_its_examples(stream):
    numbers = stream.numbers(40)
    assert np.array_equal(stream.load(numbers[::-1])["x"], stream.batch(40)["x"][::-1])
    assert np.all(numbers // WINDOWS == (40 * BATCH + np.arange(BATCH)) // WINDOWS)


def test_closing_ends_the_threads(stream):
    before = set(threading.enumerate())
    ahead = stream.from_step(0, threads=3)
    next(ahead)
    started = set(threading.enumerate()) - before
    assert started
    ahead.close()
    for thread in started:
        thread.join(5)
        assert not thread.is_alive()


def test_a_file_of_exactly_one_batch(token_file):
    stream = Stream(token_file(b"abc"), context=2, batch_size=2)
    for step in range(5):
        batch = stream.batch(step)
        assert sorted(batch["x"].ravel().tolist()) == sorted(batch["y"].ravel().tolist()) == [0, 97, 98, 99]


def test_fewer_tokens_than_a_batch(token_file):
    expected = r"has 4 tokens, and a batch of batch_size = 1 times context = 5 has 5: accepted are more text"
    with pytest.raises(ValueError, match=expected):
        Stream(token_file(b"abc"), context=5, batch_size=1)


def test_numbers_out_of_range(file, stream):
    for name, arguments in {"context": (0, 1), "batch_size": (1, 0), "seed": (1, 1, -1)}.items():
        with pytest.raises(ValueError, match=f"{name} = "):
            Stream(file, *arguments)
    for ask in (stream.batch, stream.numbers, stream.from_step):
        with pytest.raises(ValueError, match="step = -1: accepted is a whole number of at least 0"):
            ask(-1)
    for rows in ([-1], [0, BATCH]):
        with pytest.raises(ValueError, match=r"rows = .*: accepted are numbers from 0 to 3"):
            stream.batch(0, np.array(rows))
    for name in ("ahead", "threads"):
        with pytest.raises(ValueError, match=f"{name} = 0: accepted"):
            stream.from_step(0, **{name: 0})


def test_without_grain_the_message_says_how_to_get_it(file, monkeypatch):
    original = builtins.__import__

    def refuse(name, *arguments):
        if name == "grain":
            raise ModuleNotFoundError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"need the package grain: pip install 'jaxlab\[lab\]'"):
        Stream(file, CONTEXT, BATCH)
