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
]


def trajectory(name: str, options: dict, start: torch.Tensor, gradients: torch.Tensor) -> list[list[float]]:
    parameter = torch.nn.Parameter(start.clone())
    optimizer = getattr(torch.optim, name)([parameter], lr=RATE, foreach=False, **options)
    rows = []
    for i, gradient in enumerate(gradients):
        optimizer.param_groups[0]["lr"] = RATE if i < HALVED_AT else RATE / 2
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
    document = {
        "torch": torch.__version__,
        "rate": RATE,
        "halved_at": HALVED_AT,
        "start": start.tolist(),
        "gradients": gradients.tolist(),
        "runs": [
            {"optimizer": name, "options": options, "parameters": trajectory(name, options, start, gradients)}
            for name, options in CONFIGS
        ],
    }
    path = pathlib.Path(__file__).with_name("torch_optimizers.json")
    path.write_text(json.dumps(document).replace("], [", "],\n[") + "\n")


if __name__ == "__main__":
    main()
