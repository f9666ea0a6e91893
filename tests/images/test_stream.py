"""Batches are a function of content, seed and step; an epoch shows every image once."""

import hashlib
import itertools
import threading

import numpy as np
import pytest

from jaxlab.images import Resize, Stream, open_images

BATCH = 3


@pytest.fixture
def images(twenty, tmp_path):
    return open_images(twenty, Resize(4), cache=tmp_path / "cache")


@pytest.fixture
def stream(images):
    return Stream(images, BATCH, seed=3)


def shown(stream, steps):
    """Which images are shown, found by looking at them."""
    places = {pixels.tobytes(): number for number, pixels in enumerate(stream.images.arrays()["x"])}
    assert len(places) == len(stream.images)
    batches = [stream.batch(step) for step in steps]
    found = [places[pixels.tobytes()] for batch in batches for pixels in batch["x"]]
    assert np.concatenate([batch["y"] for batch in batches]).tolist() == stream.images.labels[found].tolist()
    return found


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in ("x", "y"))


def test_an_epoch_shows_every_image_once_with_its_class(stream):
    assert 20 % BATCH, "epochs should end within a batch"
    assert stream.steps_per_epoch == 20 / 3
    order = shown(stream, range(20))
    epochs = [tuple(order[first : first + 20]) for first in (0, 20, 40)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len(set(epochs)) == 3


def test_seeds_and_sides_of_a_split(images):
    orders = [tuple(shown(Stream(images, 20, seed), range(1))) for seed in range(3)]
    assert len(set(orders)) == 3
    train, _ = images.split(0.5)
    assert sorted(shown(Stream(train, len(train)), range(1))) == list(range(len(train)))


def test_a_batch_is_bytes_and_numbers_of_classes(stream):
    batch = stream.batch(5)
    assert {name: (leaf.shape, leaf.dtype.name) for name, leaf in batch.items()} == {
        "x": ((BATCH, 4, 4, 3), "uint8"),
        "y": ((BATCH,), "int32"),
    }


def test_the_order_is_for_ever(stream):
    """Of every version of grain and NumPy that the project is tested with."""
    numbers = np.concatenate([stream.numbers(step) for step in (0, 1, 7, 1_000_000)])
    assert hashlib.sha256(numbers.astype("<i8").tobytes()).hexdigest()[:12] == "e8dbc01ac7d8"


@pytest.mark.parametrize("step", [0, 7, 2**40])
def test_resuming_at_a_step_is_going_on(stream, images, step):
    uninterrupted = stream.from_step(step)
    for _ in range(3):
        next(uninterrupted)
    resumed = Stream(images, BATCH, seed=3).from_step(step + 3)
    for later in range(step + 3, step + 6):
        found = next(uninterrupted)
        assert same(found, stream.batch(later))
        assert same(found, next(resumed))
    for ahead in (uninterrupted, resumed):
        ahead.close()


def test_two_processes_read_what_one_does(stream, images):
    parts = [np.arange(BATCH)[:1], np.arange(BATCH)[1:]]
    processes = [Stream(images, BATCH, seed=3).from_step(0, rows, threads=4) for rows in parts]
    for step in range(8):
        found = [next(process) for process in processes]
        whole = {name: np.concatenate([part[name] for part in found]) for name in ("x", "y")}
        assert same(whole, stream.batch(step))


def test_a_batch_is_loaded_by_the_numbers_of_its_images(stream):
    numbers = stream.numbers(40)
    assert same(stream.load(numbers), stream.batch(40))
    assert (numbers // 20 == (40 * BATCH + np.arange(BATCH)) // 20).all()


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


def test_numbers_out_of_range(images, stream):
    with pytest.raises(ValueError, match=r"batch_size = 21: images in 'photos' \(20 of 2 classes, 4 x 4 .* are fewer"):
        Stream(images, 21)
    for name, arguments in {"batch_size": (0,), "seed": (1, -1)}.items():
        with pytest.raises(ValueError, match=f"{name} = "):
            Stream(images, *arguments)
    for ask, step in itertools.product((stream.batch, stream.numbers, stream.from_step), (-1,)):
        with pytest.raises(ValueError, match="step = -1: accepted is a whole number of at least 0"):
            ask(step)
