"""No photograph is on both sides, each class is, and what is added moves nothing."""

import hashlib
import shutil

import numpy as np
import pytest

from jaxlab.images import Resize, open_images
from jaxlab.images.split import held_out, place


def digests(count, salt=""):
    return [hashlib.sha256(f"{salt}{i}".encode()).hexdigest() for i in range(count)]


def test_sides_share_nothing_and_are_all(twenty):
    images = open_images(twenty, Resize(4))
    for seed in range(5):
        train, test = images.split(0.3, seed)
        assert sorted(train.paths + test.paths) == list(images.paths)
        assert min(*train.counts.values(), *test.counts.values()) > 0
        for side in (train, test):
            rows = [images.paths.index(path) for path in side.paths]
            assert rows == sorted(rows)
            np.testing.assert_array_equal(side.arrays()["x"], images.stored[rows])
            np.testing.assert_array_equal(side.labels, images.labels[rows])
            assert side.digests == tuple(images.digests[row] for row in rows)
            assert side.stored is images.stored
    assert len({images.split(0.3, seed)[1].paths for seed in range(5)}) == 5


def test_a_side_is_what_is_in_the_file_not_its_name(twenty):
    _, before = open_images(twenty, Resize(4)).split(0.4)
    for path in list(twenty.glob("*/*.png")):
        path.rename(path.with_name(f"x{99 - int(path.stem)}.png"))
    _, after = open_images(twenty, Resize(4)).split(0.4)
    assert before.paths != after.paths
    assert set(before.digests) == set(after.digests)


def test_a_copy_is_left_out_so_it_stands_on_neither_side(twenty):
    for path in list(twenty.glob("cat/*.png")):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    images = open_images(twenty, Resize(4))
    assert len(images) == 20
    assert len(images.left_out) == 13
    train, test = images.split(0.5)
    assert not set(train.digests) & set(test.digests)


def test_what_is_added_or_taken_away_moves_nothing():
    many = digests(300)
    labels = np.arange(300) % 3
    whole = held_out(many, labels, 0.3)
    for count in (150, 299):
        np.testing.assert_array_equal(held_out(many[:count], labels[:count], 0.3), whole[:count])
    np.testing.assert_array_equal(held_out(many[1::2], labels[1::2], 0.3), whole[1::2])


def test_a_share_is_held_out_of_every_class():
    labels = np.repeat([0, 1], 2_000)
    for fraction in (0.1, 0.5):
        chosen = held_out(digests(4_000), labels, fraction)
        deviation = np.sqrt(fraction * (1 - fraction) / 2_000)
        for label in (0, 1):
            assert abs(chosen[labels == label].mean() - fraction) < 3 * deviation
    assert abs(np.corrcoef(*(held_out(digests(4_000), labels, 0.5, seed) for seed in (0, 1)))[0, 1]) < 0.05


def test_of_few_images_the_nearest_stands_in():
    three = digests(3)
    places = [place(digest) for digest in three]
    labels = np.zeros(3, int)
    assert held_out(three, labels, 1e-6).tolist() == [number == np.argmin(places) for number in range(3)]
    assert held_out(three, labels, 1 - 1e-6).tolist() == [number != np.argmax(places) for number in range(3)]


def test_the_split_is_for_ever():
    assert np.flatnonzero(held_out(digests(20), np.zeros(20, int), 0.25)).tolist() == [4, 9, 16, 18]


def test_what_is_refused(twenty):
    images = open_images(twenty, Resize(4))
    for fraction in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"fraction = .*: accepted is a number in \(0, 1\)"):
            images.split(fraction)
    with pytest.raises(ValueError, match="seed = -1: accepted"):
        images.split(0.5, -1)
    with pytest.raises(ValueError, match=r"class 1 has one image: accepted are at least two, one for each side"):
        held_out(digests(3), np.array([0, 0, 1]), 0.5)
