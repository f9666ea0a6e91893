"""Writes torch_losses.json: values and gradients of PyTorch's losses in float64, for jaxlab's tests to compare with.

Run with torch 2.13.0 (CPU), outside jaxlab's environment: ``python tests/data/make_torch_losses.py``.
"""

import json
import pathlib
from collections.abc import Callable

import torch
from torch.nn import functional

EXAMPLES, CLASSES = 8, 5

CROSS_ENTROPY = [
    {},
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0},
    {"ignore_index": -100},
    {"ignore_index": 2},
    {"ignore_index": -100, "label_smoothing": 0.3},
]


def case(loss: Callable, outputs: torch.Tensor, targets: torch.Tensor, options: dict) -> dict:
    """One call with each reduction, and the gradient of the mean."""
    outputs = outputs.clone().requires_grad_()
    mean = loss(outputs, targets, reduction="mean", **options)
    mean.backward()
    return {
        "options": options,
        "outputs": outputs.tolist(),
        "targets": targets.tolist(),
        "mean": mean.item(),
        "sum": loss(outputs, targets, reduction="sum", **options).item(),
        "none": loss(outputs, targets, reduction="none", **options).tolist(),
        "gradient": outputs.grad.tolist(),
    }


def main() -> None:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        # Drawn in float32, so that what jaxlab reads back in float32 is the same number.
        return torch.randn(*shape, generator=generator).double()

    logits = 3 * normal(EXAMPLES, CLASSES)
    index = torch.tensor([0, 4, 2, 2, 1, 3, 0, 1])
    padded = torch.tensor([0, -100, 2, -100, 1, 3, 0, 1])
    distribution = torch.softmax(normal(EXAMPLES, CLASSES), dim=-1).float().double()
    sequences = normal(2, 4, CLASSES)
    tokens = torch.tensor([[0, 1, 2, 3], [4, 0, -100, -100]])

    entropy = [
        case(functional.cross_entropy, logits, padded if -100 in o.values() else index, o) for o in CROSS_ENTROPY
    ]
    entropy += [case(functional.cross_entropy, logits, distribution, o) for o in ({}, {"label_smoothing": 0.2})]

    def over_last_axis(outputs: torch.Tensor, targets: torch.Tensor, **options: float) -> torch.Tensor:
        return functional.cross_entropy(outputs.movedim(-1, 1), targets, **options)

    entropy.append(case(over_last_axis, sequences, tokens, {"ignore_index": -100}))
    yes = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 0.25, 0.0, 1.0]).double()
    document = {
        "torch": torch.__version__,
        "cross_entropy": entropy,
        "log_loss": [case(functional.binary_cross_entropy_with_logits, 5 * normal(EXAMPLES), yes, {})],
        "mse": [case(functional.mse_loss, normal(EXAMPLES), normal(EXAMPLES), {})],
    }
    path = pathlib.Path(__file__).with_name("torch_losses.json")
    path.write_text(json.dumps(document).replace("], [", "],\n[").replace('}, {"', '},\n{"') + "\n")


if __name__ == "__main__":
    main()
