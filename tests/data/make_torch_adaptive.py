"""Writes torch_adaptive.json: what PyTorch packages' adaptive optimizers do with fixed gradients.

Run outside jaxlab's environment with torch 2.13.0 (CPU), adabelief-pytorch 0.2.1 (its authors' own),
torch-optimizer 0.3.0, pytorch_optimizer 4.1.0 and timm 1.0.31: ``python tests/data/make_torch_adaptive.py``.
"""

import contextlib
import importlib
import io
import json
import pathlib
from importlib.metadata import version

import torch

STEPS = 12
RATE = 0.1
HALVED_AT = 6

RUNS = [
    ("adabelief_pytorch.AdaBelief", {"rectify": False, "print_change_log": False}),
    (
        "adabelief_pytorch.AdaBelief",
        {"rectify": False, "print_change_log": False, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1},
    ),
    ("torch_optimizer.Yogi", {"initial_accumulator": 0.0}),
    ("torch_optimizer.Yogi", {"betas": [0.8, 0.95], "eps": 1e-2, "initial_accumulator": 0.1}),
    ("timm.optim.LaProp", {"constant": True}),
    ("timm.optim.LaProp", {"betas": [0.8, 0.95], "eps": 1e-3, "constant": True}),
    ("timm.optim.LaProp", {}),
    ("timm.optim.Adopt", {"clip_exp": 0.25}),
    ("timm.optim.Adopt", {"clip_exp": None, "betas": [0.8, 0.95], "eps": 1e-1}),
    ("timm.optim.Adopt", {"clip_exp": 0.25, "betas": [0.8, 0.95], "weight_decay": 0.1, "decoupled": True}),
    ("timm.optim.Adan", {}),
    ("timm.optim.Adan", {"betas": [0.9, 0.7, 0.95], "eps": 1e-3, "weight_decay": 0.1, "no_prox": True}),
    ("timm.optim.Adan", {"weight_decay": 0.1}),
    ("pytorch_optimizer.AdEMAMix", {"alpha": 2.0}),
    ("pytorch_optimizer.AdEMAMix", {"betas": [0.8, 0.95, 0.99], "alpha": 5.0, "t_alpha_beta3": 8.0, "eps": 1e-3}),
    ("timm.optim.Mars", {"betas": [0.95, 0.99]}),
    # Small enough that no norm is clipped.
    (
        "timm.optim.Mars",
        {"betas": [0.8, 0.95], "gamma": 0.3, "eps": 1e-3, "weight_decay": 0.1, "gradients": 1e-3},
    ),
    ("timm.optim.Lamb", {"max_grad_norm": None, "always_adapt": True}),
    ("timm.optim.Lamb", {"max_grad_norm": None, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1}),
    ("timm.optim.Lamb", {"max_grad_norm": None, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.0}),
    ("timm.optim.Lars", {"momentum": 0.9, "weight_decay": 0.1, "trust_coeff": 0.02, "eps": 1e-3}),
    ("pytorch_optimizer.SignSGD", {"momentum": 0.0}),
    ("pytorch_optimizer.SignSGD", {"momentum": 0.6}),
    ("pytorch_optimizer.SM3", {"momentum": 0.0}),
    ("pytorch_optimizer.SM3", {"momentum": 0.6}),
]
"""An optimizer and its options; ``constant`` rates are not halved, ``gradients`` multiplies them."""


def trajectory(name: str, options: dict, start: torch.Tensor, gradients: torch.Tensor) -> list:
    module, _, kind = name.rpartition(".")
    options = dict(options)
    gradients = gradients * options.pop("gradients", 1.0)
    halved_at = STEPS if options.pop("constant", False) else HALVED_AT
    parameter = torch.nn.Parameter(start.clone())
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer = getattr(importlib.import_module(module), kind)([parameter], lr=RATE, **options)
    rows = []
    for i, gradient in enumerate(gradients):
        optimizer.param_groups[0]["lr"] = RATE if i < halved_at else RATE / 2
        parameter.grad = gradient.clone()
        optimizer.step()
        rows.append(parameter.detach().tolist())
    return rows


def main() -> None:
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 4, generator=generator)
    # One column is large, one small; one element is often zero.
    gradients = torch.randn(STEPS, 3, 4, generator=generator) * torch.tensor([1.0, 1.0, 30.0, 1e-3])
    gradients[:, 0, 0] *= torch.rand(STEPS, generator=generator) < 0.3
    packages = ("torch", "adabelief-pytorch", "torch-optimizer", "pytorch_optimizer", "timm")
    document = {
        "versions": {package: version(package) for package in packages},
        "rate": RATE,
        "halved_at": HALVED_AT,
        "start": start.tolist(),
        "gradients": gradients.tolist(),
        "runs": [
            {"optimizer": name, "options": options, "parameters": trajectory(name, options, start, gradients)}
            for name, options in RUNS
        ],
    }
    path = pathlib.Path(__file__).with_name("torch_adaptive.json")
    path.write_text(json.dumps(document).replace("]], [[", "]],\n[[") + "\n")


if __name__ == "__main__":
    main()
