"""Writes torch_step_sizes.json: what their authors' packages do with fixed gradients, for jaxlab to compare with.

Run with torch 2.13.0 (CPU), prodigyopt 1.1.2, dadaptation 3.2, dog-optimizer 1.0.3, momo-opt 0.1.0
and pytorch-optimizer 4.1.0, outside jaxlab's environment:
``python tests/data/make_torch_step_sizes.py``.
"""

import json
import pathlib
from importlib.metadata import version

import dadaptation
import dog
import momo
import prodigyopt
import pytorch_optimizer
import torch

STEPS = 12
PACKAGES = ("torch", "prodigyopt", "dadaptation", "dog-optimizer", "momo-opt", "pytorch-optimizer")

CONFIGS = [
    ("prodigy", prodigyopt.Prodigy, {"lr": 1.0}),
    ("prodigy", prodigyopt.Prodigy, {"lr": 0.5, "betas": [0.8, 0.95], "beta3": 0.9, "weight_decay": 0.1, "d0": 1e-3}),
    ("prodigy", prodigyopt.Prodigy, {"lr": 0.5, "d0": 1e-3, "use_bias_correction": True, "growth_rate": 1.5}),
    ("prodigy", prodigyopt.Prodigy, {"lr": 0.5, "d0": 1e-3, "safeguard_warmup": True, "d_coef": 2.0}),
    ("dadapt_adam", dadaptation.DAdaptAdam, {"lr": 1.0}),
    (
        "dadapt_adam",
        dadaptation.DAdaptAdam,
        {"lr": 0.5, "betas": [0.8, 0.95], "d0": 1e-2, "weight_decay": 0.1, "decouple": True, "growth_rate": 1.5},
    ),
    ("dadapt_adam", dadaptation.DAdaptAdam, {"lr": 0.5, "d0": 1e-2, "use_bias_correction": True}),
    ("dadapt_sgd", dadaptation.DAdaptSGD, {"lr": 1.0}),
    ("dadapt_sgd", dadaptation.DAdaptSGD, {"lr": 0.5, "momentum": 0.9, "d0": 0.1, "growth_rate": 1.5}),
    ("dog", dog.DoG, {"lr": 1.0}),
    ("dog", dog.DoG, {"lr": 1.0, "reps_rel": 0.01, "eps": 0.1}),
    ("ldog", dog.LDoG, {"lr": 1.0, "reps_rel": 0.01}),
    ("momo", momo.Momo, {"lr": 1.0}),
    ("momo", momo.Momo, {"lr": 0.5, "beta": 0.7, "lb": 0.2, "weight_decay": 0.1}),
    ("momo", momo.Momo, {"lr": 0.5, "bias_correction": True, "use_fstar": True}),
    ("momo_adam", momo.MomoAdam, {"lr": 0.5}),
    ("momo_adam", momo.MomoAdam, {"lr": 0.5, "betas": [0.8, 0.95], "lb": 3.0, "weight_decay": 0.1}),
    ("momo_adam", momo.MomoAdam, {"lr": 0.5, "use_fstar": True, "lb": 0.1}),
    # Given the Hessian's diagonal as jaxlab's are: at every step that asks for it.
    ("sophia", pytorch_optimizer.SophiaH, {"lr": 0.1, "p": 1.0, "eps": 0.5, "update_period": 3, "weight_decay": 0.1}),
    ("adahessian", pytorch_optimizer.AdaHessian, {"lr": 0.1, "eps": 1e-4, "weight_decay": 0.1, "adam_debias": False}),
]
"""An optimizer's name here, its class, its options."""


def trajectory(cls: type, options: dict, problem: dict) -> list:
    """Of a quadratic with a diagonal Hessian, whose gradients are noisy."""
    parameters = [torch.nn.Parameter(x.clone()) for x in problem["start"]]
    optimizer = cls(parameters, **options)
    rows = []
    for i in range(STEPS):
        off = [p.detach() - m for p, m in zip(parameters, problem["minimum"], strict=True)]
        value = 0.3 + sum((c * x**2).sum() for c, x in zip(problem["curvature"], off, strict=True)) / 2
        for p, c, x, noise in zip(parameters, problem["curvature"], off, problem["noise"][i], strict=True):
            p.grad = c * x + noise
        if cls in (momo.Momo, momo.MomoAdam):
            optimizer.step(loss=value)
        elif cls is pytorch_optimizer.SophiaH:
            due = i % options["update_period"] == 0
            optimizer.step(**({"hessian": [c.clone() for c in problem["curvature"]]} if due else {}))
        elif cls is pytorch_optimizer.AdaHessian:
            optimizer.step(hessian=[c.clone() for c in problem["curvature"]])
        else:
            optimizer.step()
        rows.append([p.detach().tolist() for p in parameters])
    return rows


def main() -> None:
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(0)

    def draw(scale: float) -> list:
        return [scale * torch.randn(shape, generator=generator) for shape in ((2, 3), (4,))]

    start = draw(1.0)
    problem = {
        "start": start,
        "minimum": [a + b for a, b in zip(start, draw(3.0), strict=True)],
        "curvature": [x.exp() for x in draw(0.5)],
        "noise": [draw(0.3) for _ in range(STEPS)],
    }
    document = {
        "versions": {package: version(package) for package in PACKAGES},
        **{name: [x.tolist() for x in problem[name]] for name in ("start", "minimum", "curvature")},
        "noise": [[x.tolist() for x in row] for row in problem["noise"]],
        "runs": [
            {"optimizer": name, "options": options, "parameters": trajectory(cls, options, problem)}
            for name, cls, options in CONFIGS
        ],
    }
    path = pathlib.Path(__file__).with_name("torch_step_sizes.json")
    path.write_text(json.dumps(document).replace("], [", "],\n[") + "\n")


if __name__ == "__main__":
    main()
