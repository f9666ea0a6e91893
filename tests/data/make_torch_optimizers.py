"""Writes torch_optimizers.json: what torch.optim does with fixed gradients, for jaxlab's tests to compare with.

Run with torch 2.13.0 (CPU), outside jaxlab's environment: ``python tests/data/make_torch_optimizers.py``.
"""

import json
import pathlib

import torch

STEPS = 30
RATE = 0.1
HALVED_AT = 12  # The rate changes once: momentum inside and outside the velocity then part.

CONFIGS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"eps": 1e-3, "initial_accumulator_value": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-3}),
    ("Adam", {}),
    ("Adam", {"betas": [0.8, 0.95], "eps": 1e-3}),
    ("Adam", {"weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1}),
    ("Adadelta", {}),
    ("Adadelta", {"rho": 0.95, "eps": 1e-3}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-3, "centered": True, "momentum": 0.5}),
    ("NAdam", {}),
    ("NAdam", {"betas": [0.8, 0.95], "eps": 1e-3, "momentum_decay": 0.1}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"betas": [0.8, 0.95], "eps": 1e-3, "amsgrad": True}),
    ("Adamax", {}),
    ("Adamax", {"betas": [0.8, 0.95], "eps": 1e-3}),
    ("RAdam", {}),
    ("RAdam", {"betas": [0.8, 0.95], "eps": 1e-3}),
    ("Adafactor", {}),
    ("Adafactor", {"d": 1.5, "eps": [1e-15, 0.5], "beta2_decay": -0.6, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 1.0}),
]
"""An optimizer's name and options; ``lr`` in place of RATE."""


# Where the shape of a parameter decides, two matrices in one leaf; elsewhere a vector.
KERNELS = {"Adafactor"}


def trajectory(name: str, options: dict, start: torch.Tensor, gradients: torch.Tensor) -> list:
    parameter = torch.nn.Parameter(start.clone())
    options = {"lr": RATE} | options
    optimizer = getattr(torch.optim, name)([parameter], foreach=False, **options)
    rows = []
    for i, gradient in enumerate(gradients):
        optimizer.param_groups[0]["lr"] = options["lr"] if i < HALVED_AT else options["lr"] / 2
        parameter.grad = gradient.clone()
        optimizer.step()
        rows.append(parameter.detach().tolist())
    return rows


def main() -> None:
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, generator=generator)
    # One element's gradient is often zero, one is large, one small.
    gradients = torch.randn(STEPS, 5, generator=generator) * torch.tensor([1.0, 1.0, 1.0, 100.0, 1e-4])
    gradients[:, 2] *= torch.rand(STEPS, generator=generator) < 0.3
    kernel = torch.randn(2, 3, 4, generator=generator)
    kernel_gradients = torch.randn(STEPS, 2, 3, 4, generator=generator) * torch.tensor([1.0, 1.0, 100.0, 1e-4])
    runs = [
        (name, options, shape, trajectory(name, options, *inputs))
        for name, options in CONFIGS
        for shape, inputs in (("vector", (start, gradients)), ("kernel", (kernel, kernel_gradients)))
        if shape == "vector" or name in KERNELS
    ]
    document = {
        "torch": torch.__version__,
        "rate": RATE,
        "halved_at": HALVED_AT,
        "start": start.tolist(),
        "gradients": gradients.tolist(),
        "kernel": {"start": kernel.tolist(), "gradients": kernel_gradients.tolist()},
        "runs": [
            {"optimizer": name, "options": options, "shape": shape, "parameters": parameters}
            for name, options, shape, parameters in runs
        ],
    }
    path = pathlib.Path(__file__).with_name("torch_optimizers.json")
    path.write_text(json.dumps(document).replace("], [", "],\n[") + "\n")


if __name__ == "__main__":
    main()
