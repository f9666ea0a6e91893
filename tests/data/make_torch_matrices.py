"""Writes torch_matrices.json: what official optimizers of matrices do with fixed gradients, to compare jaxlab with.

Run with torch 2.13.0 (CPU), outside jaxlab's environment, and two official modules beside one another in a folder:
muon.py of github.com/KellerJordan/Muon and normuon.py of github.com/zichongli5/NorMuon, which are on no package index:
``python tests/data/make_torch_matrices.py FOLDER``.

All three iterate in bfloat16, which would leave three digits to compare; here they iterate in float64.
"""

import hashlib
import importlib
import json
import pathlib
import sys

import torch

STEPS = 10
RATE = 0.1
SHAPES = {"wide": (3, 5), "tall": (6, 2)}
"""Of PyTorch's matrices, outputs first."""

# An eps of next to nothing: torch takes the larger of eps and the norm, the official code adds it.
CONFIGS = [
    ("muon", "SingleDeviceMuon", {}),
    ("muon", "SingleDeviceMuon", {"momentum": 0.8, "weight_decay": 0.2}),
    ("normuon", "SingleDeviceNorMuon", {}),
    ("normuon", "SingleDeviceNorMuon", {"momentum": 0.8, "beta2": 0.7, "weight_decay": 0.2}),
    ("torch.optim", "Muon", {"eps": 1e-30, "adjust_lr_fn": "match_rms_adamw"}),
    (
        "torch.optim",
        "Muon",
        {"eps": 1e-30, "nesterov": False, "ns_steps": 3, "ns_coefficients": [3.0, -3.0, 1.0], "momentum": 0.7},
    ),
]
"""Module, class and options."""


def trajectory(module: str, name: str, options: dict, start: torch.Tensor, gradients: torch.Tensor) -> list:
    parameter = torch.nn.Parameter(start.clone())
    optimizer = getattr(importlib.import_module(module), name)([parameter], lr=RATE, **options)
    rows = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        rows.append(parameter.detach().tolist())
    return rows


def main(folder: str) -> None:
    sys.path.insert(0, folder)
    torch.set_default_dtype(torch.float64)
    torch.Tensor.bfloat16, torch.bfloat16 = torch.Tensor.clone, torch.float64
    generator = torch.Generator().manual_seed(0)
    # One gradient is a thousand times as large as the others.
    sizes = torch.tensor([1.0] * 4 + [1e3] + [1.0] * (STEPS - 5))[:, None, None]
    inputs = {
        shape: {
            "start": torch.randn(size, generator=generator),
            "gradients": torch.randn(STEPS, *size, generator=generator) * sizes,
        }
        for shape, size in SHAPES.items()
    }
    runs = [
        {
            "module": module,
            "options": options,
            "shape": shape,
            "parameters": trajectory(module, name, options, inputs[shape]["start"], inputs[shape]["gradients"]),
        }
        for module, name, options in CONFIGS
        for shape in SHAPES
    ]
    document = {
        "torch": torch.__version__,
        "sha256": {
            name: hashlib.sha256(pathlib.Path(folder, name).read_bytes()).hexdigest()
            for name in ("muon.py", "normuon.py")
        },
        "rate": RATE,
        "inputs": {
            shape: {name: values.tolist() for name, values in arrays.items()} for shape, arrays in inputs.items()
        },
        "runs": runs,
    }
    path = pathlib.Path(__file__).with_name("torch_matrices.json")
    path.write_text(json.dumps(document).replace("], [", "],\n[") + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
