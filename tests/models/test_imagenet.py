"""The view of a photograph against TensorFlow's own resizing (frozen), and the names of classes."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.models import imagenet_classes, imagenet_top, imagenet_view, standardised

TENSORFLOW = json.loads((pathlib.Path(__file__).parents[1] / "data" / "tensorflow_bicubic.json").read_text())["cases"]


def test_the_view_is_the_middle_resized_as_tensorflow_did():
    rng = np.random.RandomState(0)
    for case in TENSORFLOW:
        square = rng.randint(0, 256, (case["before"], case["before"], 1))
        resized = np.array(case["resized"])
        after = int(np.sqrt(resized.size))
        # A photograph whose middle the square is, with as much around it as is cut off. The original's arithmetic:
        border = round(after * (1 / 0.875 - 1))
        shorter = next(n for n in range(case["before"], 1000) if int(after / (after + border) * n) == case["before"])
        for height, width in ((shorter, shorter + 5), (shorter + 4, shorter)):
            photograph = np.full((height, width, 1), 77)
            top, left = (height - case["before"] + 1) // 2, (width - case["before"] + 1) // 2
            photograph[top : top + case["before"], left : left + case["before"]] = square
            view = imagenet_view(photograph.astype(np.uint8), after)
            np.testing.assert_allclose(view.ravel(), resized, atol=1e-3)
            assert view.dtype == np.float32


def test_a_grey_photograph_stays_as_grey_as_it_is():
    np.testing.assert_allclose(imagenet_view(np.full((40, 30, 3), 200, np.uint8), 224), 200, rtol=1e-5)


@pytest.mark.parametrize("shape", [(40, 30), (1, 1, 3), (0, 5, 3)])
def test_what_is_no_photograph_is_named(shape):
    with pytest.raises(ValueError, match=r"image has shape \("):
        imagenet_view(np.zeros(shape, np.uint8))


def test_pixels_are_standardised_whatever_their_dtype():
    for dtype in (jnp.uint8, jnp.float32, jnp.bfloat16):
        found = standardised(jnp.array([0, 127, 255], dtype))
        np.testing.assert_array_equal(found, [-127 / 128, 0, 1])
        assert found.dtype == jnp.float32


def test_there_are_a_thousand_classes_each_with_a_name_of_its_own():
    names = imagenet_classes()
    assert len(set(names)) == 1000
    assert [names[i] for i in (0, 1, 207, 281, 463, 985, 999)] == [
        *("tench", "goldfish", "golden retriever", "tabby", "bucket", "daisy", "toilet tissue")
    ]  # fmt: skip


def test_the_likeliest_come_first_with_their_probabilities():
    logits = np.zeros(1000)
    logits[[985, 340]] = np.log([3000, 1002])
    (first, p), (second, q) = imagenet_top(logits, 2)
    assert (first, second) == ("daisy", "zebra")
    assert (p, q) == (pytest.approx(0.6), pytest.approx(0.2004))
    with pytest.raises(ValueError, match=r"logits have shape \(2, 1000\)"):
        imagenet_top(np.zeros((2, 1000)))
    with pytest.raises(ValueError, match="number = 0"):
        imagenet_top(logits, 0)
