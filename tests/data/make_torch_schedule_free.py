"""Writes torch_schedule_free.json: what the official schedule-free optimizers do with fixed gradients.

Run with torch 2.13.0 (CPU) and schedulefree 1.4.1, outside jaxlab's environment:
``python tests/data/make_torch_schedule_free.py``.
"""

import json
import pathlib

import schedulefree
import torch

STEPS = 12

CONFIGS = [
    ("SGDScheduleFree", {}),
    ("SGDScheduleFree", {"lr": 0.1, "momentum": 0.6, "weight_decay": 0.1, "warmup_steps": 5}),
    ("AdamWScheduleFree", {}),
    ("AdamWScheduleFree", {"lr": 0.1, "betas": [0.95, 0.9], "eps": 1e-3, "weight_decay": 0.1, "warmup_steps": 5}),
    ("AdamWScheduleFree", {"lr": 0.1, "warmup_steps": 5, "r": 1.0, "weight_lr_power": 0.5}),
]
"""An optimizer's name and options."""


def trajectory(name: str, options: dict, start: torch.Tensor, gradients: torch.Tensor) -> dict:
    parameter = torch.nn.Parameter(start.clone())
    optimizer = getattr(schedulefree, name)([parameter], foreach=False, **options)
    trained, evaluated = [], []
    optimizer.train()
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        trained.append(parameter.detach().tolist())
        optimizer.eval()
        evaluated.append(parameter.detach().tolist())
        optimizer.train()
    return {"optimizer": name, "options": options, "trained": trained, "evaluated": evaluated}


def main() -> None:
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, generator=generator)
    # One element's gradient is often zero, one is large, one small.
    gradients = torch.randn(STEPS, 5, generator=generator) * torch.tensor([1.0, 1.0, 1.0, 100.0, 1e-4])
    gradients[:, 2] *= torch.rand(STEPS, generator=generator) < 0.3
    document = {
        "torch": torch.__version__,
        "schedulefree": "1.4.1",
        "start": start.tolist(),
        "gradients": gradients.tolist(),
        "runs": [trajectory(name, options, start, gradients) for name, options in CONFIGS],
    }
    path = pathlib.Path(__file__).with_name("torch_schedule_free.json")
    path.write_text(json.dumps(document).replace("], [", "],\n[") + "\n")


if __name__ == "__main__":
    main()
