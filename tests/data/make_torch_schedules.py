"""Writes torch_schedules.json: the rates of PyTorch's schedulers step by step, for jaxlab's tests to compare with.

Run with torch 2.13.0 (CPU), outside jaxlab's environment: ``python tests/data/make_torch_schedules.py``.
"""

import json
import math
import pathlib
from collections.abc import Callable

import torch
from torch.optim import lr_scheduler

STEPS = 41
PEAK = 0.05

# Waves of 5, 10, 20, ... end at 5, 15, 35, 75, 155.
RESTARTS = [{"T_0": 7}, {"T_0": 5, "T_mult": 2}, {"T_0": 1, "T_mult": 3}, {"T_0": 5, "T_mult": 2, "eta_min": 0.004}]
RESTART_STEPS = 160
ONE_CYCLES = [
    {},
    {"pct_start": 0.5, "div_factor": 10.0, "final_div_factor": 100.0},
    {"pct_start": 0.0},
]
POLYNOMIALS = [{"power": 1.0}, {"power": 0.5}, {"power": 2.0, "total_iters": 30}]
PLATEAUS = [
    {"patience": 3},
    {"patience": 0, "factor": 0.5, "min_lr": 0.002},
    {"patience": 2, "factor": 0.5, "cooldown": 4},
    {"patience": 2, "factor": 0.5, "threshold": 0.1},
    {"patience": 2, "factor": 0.5, "threshold": 0.1, "threshold_mode": "abs", "cooldown": 1},
    {"patience": 1, "factor": 0.0, "min_lr": 0.01},
]
PLATEAU_STEPS = 60


def rates(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], steps: int = STEPS) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make(optimizer)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def warm_cosine(optimizer: torch.optim.Optimizer) -> lr_scheduler.SequentialLR:
    rise = lr_scheduler.LambdaLR(optimizer, lambda step: step / 8)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS - 1 - 8)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[8])


def plateau_rates(losses: list[float], options: dict) -> list[float]:
    """The rate after each loss."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, eps=0.0, **options)
    seen = []
    for loss in losses:
        scheduler.step(loss)
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


def main() -> None:
    noise = torch.rand(PLATEAU_STEPS, generator=torch.Generator().manual_seed(0))
    # Falls, stays, falls below zero, stays; two readings are no numbers.
    losses = [
        round(max(3 - 0.3 * t, 0.4, 6 - 0.2 * t) - 2 * (t > 40) + 0.3 * x, 6) for t, x in enumerate(noise.tolist())
    ]
    losses[20], losses[33] = math.nan, math.inf
    document = {
        "torch": torch.__version__,
        "peak": PEAK,
        "exponential": rates(lambda o: lr_scheduler.ExponentialLR(o, gamma=0.93)),
        "step": rates(lambda o: lr_scheduler.StepLR(o, step_size=7, gamma=0.3)),
        "cosine": rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS - 1, eta_min=0.004)),
        "warm_cosine": rates(warm_cosine),
        "cosine_restarts": [
            {
                "options": o,
                "rates": rates(lambda sgd, o=o: lr_scheduler.CosineAnnealingWarmRestarts(sgd, **o), RESTART_STEPS),
            }
            for o in RESTARTS
        ],
        "one_cycle": [
            {
                "options": o,
                "rates": rates(
                    lambda sgd, o=o: lr_scheduler.OneCycleLR(sgd, PEAK, total_steps=STEPS, cycle_momentum=False, **o)
                ),
            }
            for o in ONE_CYCLES
        ],
        "polynomial": [
            {"options": o, "rates": rates(lambda sgd, o=o: lr_scheduler.PolynomialLR(sgd, **o))}
            for o in [{"total_iters": STEPS - 1, **o} for o in POLYNOMIALS]
        ],
        "reduce_on_plateau": {
            "losses": losses,
            "runs": [{"options": o, "rates": plateau_rates(losses, o)} for o in PLATEAUS],
        },
    }
    path = pathlib.Path(__file__).with_name("torch_schedules.json")
    path.write_text(json.dumps(document).replace("], ", "],\n").replace("}, {", "},\n{") + "\n")


if __name__ == "__main__":
    main()
