"""Where Fashion-MNIST is found, how it is fetched, what is said when it is not right; on tiny files of its form."""

import gzip
import hashlib
import re

import jax
import numpy as np
import pytest

from jaxlab.tasks import fashion_mnist as source
from jaxlab.tasks import get
from jaxlab.tasks.fashion_mnist_cnn import DEVIATION, MEAN, MODEL

RNG = np.random.RandomState(0)
TINY = {
    "train-images-idx3-ubyte.gz": RNG.randint(0, 256, (20, 28, 28)),
    "train-labels-idx1-ubyte.gz": np.arange(20) % 10,
    "t10k-images-idx3-ubyte.gz": RNG.randint(0, 256, (10, 28, 28)),
    "t10k-labels-idx1-ubyte.gz": np.arange(10),
}


def packed(array):
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes())


def write(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in TINY.items():
        (folder / name).write_bytes(packed(changes.get(name.split("-ubyte")[0].replace("-", "_"), array)))
    return folder


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """A machine without the files and without a network."""
    monkeypatch.delenv("JAXLAB_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(source, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(source, "ADDRESS", (tmp_path / "nobody").as_uri() + "/")


def test_the_folder_of_ones_own_goes_first_then_the_package_then_the_cache(tmp_path, monkeypatch):
    assert source.locate() is None
    cache = write(tmp_path / "home/.cache/jaxlab/fashion-mnist")
    assert source.locate() == cache
    package = write(tmp_path / "debian")
    assert source.locate() == package
    monkeypatch.setenv("JAXLAB_DATA", str(tmp_path / "own"))
    assert source.locate() == package
    own = write(tmp_path / "own/fashion-mnist")
    assert source.locate() == own


def test_the_task_standardises_bytes_on_the_way_in(tmp_path, monkeypatch):
    write(tmp_path / "debian")
    task = get("fashion_mnist_cnn")
    np.testing.assert_array_equal(task.data["x"], TINY["train-images-idx3-ubyte.gz"])
    np.testing.assert_array_equal(task.test["y"], TINY["t10k-labels-idx1-ubyte.gz"])
    assert task.data["x"].dtype == np.uint8
    assert task.data["y"].dtype == np.int32
    params = jax.jit(task.init)(jax.random.key(0))
    loss, metrics = jax.jit(task.loss)(params, task.test, None)
    standard = (TINY["t10k-images-idx3-ubyte.gz"][..., None] - MEAN) / DEVIATION
    logits = np.asarray(jax.jit(MODEL.apply)(params, np.float32(standard)), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert float(loss) == pytest.approx(-log_p[np.arange(10), np.arange(10)].mean(), rel=1e-5)
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(logits.argmax(1) == np.arange(10)))


def test_a_missing_file_is_named_and_how_to_get_it(tmp_path):
    folder = write(tmp_path / "debian")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"t10k-labels-idx1-ubyte.gz is missing; .*apt-get install dataset-fashion-mnist"
    ):
        source.fashion_mnist()


def test_without_files_and_network_it_says_how_to_get_them():
    with pytest.raises(
        FileNotFoundError, match=r"Fashion-MNIST is not on this machine.*nobody.*apt-get.*\$JAXLAB_DATA"
    ):
        get("fashion_mnist_cnn")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_images_idx3": np.zeros((20, 28, 27))},
            "train-images-idx3-ubyte.gz: holds an array of shape (20, 28, 27)",
        ),
        ({"train_images_idx3": np.zeros(20)}, "train-images-idx3-ubyte.gz: holds an array of shape (20,)"),
        (
            {"t10k_labels_idx1": np.arange(9)},
            "t10k-labels-idx1-ubyte.gz: holds an array of shape (9,): accepted are 10 labels",
        ),
        ({"train_labels_idx1": np.arange(20)}, "train-labels-idx1-ubyte.gz: holds label 19: accepted are 0 to 9"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        source.read(write(tmp_path / "debian", **changes))


def test_fetched_once_checked_and_kept(tmp_path):
    published = write(tmp_path / "published")
    checksums = {name: hashlib.sha256((published / name).read_bytes()).hexdigest() for name in TINY}
    folder = tmp_path / "home/.cache/jaxlab/fashion-mnist"
    assert source.fetch(folder, published.as_uri() + "/", checksums) == folder
    assert sorted(path.name for path in folder.parent.iterdir()) == ["fashion-mnist"]
    pool, test = source.fashion_mnist()
    np.testing.assert_array_equal(pool["x"], TINY["train-images-idx3-ubyte.gz"])
    np.testing.assert_array_equal(test["y"], TINY["t10k-labels-idx1-ubyte.gz"])


def test_what_was_not_published_is_refused_and_leaves_nothing(tmp_path):
    published = write(tmp_path / "published")
    with pytest.raises(
        ValueError, match=r"train-images-idx3-ubyte.gz: what came has SHA-256 [0-9a-f]{64}, published was 3aede38d"
    ):
        source.fetch(tmp_path / "cache", published.as_uri() + "/")
    assert not (tmp_path / "cache").exists()


def test_every_installed_copy_is_the_published_data(monkeypatch):
    monkeypatch.undo()
    folder = source.locate()
    for pool, test in [source.read(folder)] if folder else []:
        assert pool["x"].shape == (60_000, 28, 28)
        assert test["x"].shape == (10_000, 28, 28)
        assert np.bincount(pool["y"]).tolist() == [6_000] * 10
        assert np.bincount(test["y"]).tolist() == [1_000] * 10
        assert not {image.tobytes() for image in pool["x"]} & {image.tobytes() for image in test["x"]}
        counts = np.bincount(pool["x"].ravel(), minlength=256) / pool["x"].size
        mean = counts @ np.arange(256)
        assert pytest.approx(mean, abs=1e-3) == MEAN
        assert pytest.approx(np.sqrt(counts @ (np.arange(256) - mean) ** 2), abs=1e-3) == DEVIATION
