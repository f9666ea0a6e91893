"""Writes torch_schedules.json: the rates of PyTorch's schedulers step by step, for jaxlab's tests to compare with.

Run with torch 2.13.0 (CPU), outside jaxlab's environment: ``python tests/data/make_torch_schedules.py``.
"""

import json
import pathlib
from collections.abc import Callable

import torch
from torch.optim import lr_scheduler

STEPS = 41
PEAK = 0.05


def rates(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make(optimizer)
    seen = []
    for _ in range(STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def warm_cosine(optimizer: torch.optim.Optimizer) -> lr_scheduler.SequentialLR:
    rise = lr_scheduler.LambdaLR(optimizer, lambda step: step / 8)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS - 1 - 8)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[8])


def main() -> None:
    document = {
        "torch": torch.__version__,
        "peak": PEAK,
        "exponential": rates(lambda o: lr_scheduler.ExponentialLR(o, gamma=0.93)),
        "step": rates(lambda o: lr_scheduler.StepLR(o, step_size=7, gamma=0.3)),
        "cosine": rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS - 1, eta_min=0.004)),
        "warm_cosine": rates(warm_cosine),
    }
    path = pathlib.Path(__file__).with_name("torch_schedules.json")
    path.write_text(json.dumps(document).replace("], ", "],\n") + "\n")


if __name__ == "__main__":
    main()
