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


def by_hand(values: Callable) -> Callable:
    """A loss of which PyTorch has no ready one: its values for each example, reduced; autograd does the rest."""

    def loss(outputs: torch.Tensor, targets: torch.Tensor, reduction: str, **options: float) -> torch.Tensor:
        each = values(outputs, targets, **options)
        return {"mean": each.mean, "sum": each.sum, "none": each.clone}[reduction]()

    return loss


@by_hand
def log_cosh(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.log(torch.cosh(outputs - targets))


@by_hand
def msle(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.mse_loss(torch.log(1 + outputs), torch.log(1 + targets), reduction="none")


@by_hand
def squared_hinge(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.clamp(1 - targets * outputs, min=0) ** 2


@by_hand
def crammer_singer(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    true = functional.one_hot(targets, CLASSES).bool()
    return torch.clamp(1 + outputs.masked_fill(true, -torch.inf).amax(-1) - outputs[true], min=0)


@by_hand
def focal(outputs: torch.Tensor, targets: torch.Tensor, gamma: float, alpha: list | None = None) -> torch.Tensor:
    entropy = functional.cross_entropy(outputs, targets, reduction="none")
    share = 1.0 if alpha is None else torch.tensor(alpha, dtype=torch.float64)[targets]
    return share * (1 - torch.exp(-entropy)) ** gamma * entropy


@by_hand
def sigmoid_focal(
    outputs: torch.Tensor, targets: torch.Tensor, gamma: float, alpha: float | None = None
) -> torch.Tensor:
    entropy = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    share = 1.0 if alpha is None else targets * alpha + (1 - targets) * (1 - alpha)
    return share * (1 - torch.exp(-entropy)) ** gamma * entropy


@by_hand
def kl(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.kl_div(functional.log_softmax(outputs, -1), targets, reduction="none").sum(-1)


@by_hand
def z_loss(outputs: torch.Tensor, targets: torch.Tensor, strength: float) -> torch.Tensor:
    return strength * torch.log(torch.exp(outputs).sum(-1)) ** 2


@by_hand
def distillation(
    outputs: torch.Tensor, targets: torch.Tensor, teacher_logits: list, temperature: float, alpha: float
) -> torch.Tensor:
    teacher = torch.softmax(torch.tensor(teacher_logits, dtype=torch.float64) / temperature, -1)
    soft = functional.kl_div(functional.log_softmax(outputs / temperature, -1), teacher, reduction="none").sum(-1)
    hard = functional.cross_entropy(outputs, targets, reduction="none")
    return alpha * temperature**2 * soft + (1 - alpha) * hard


def narrow(x: torch.Tensor) -> torch.Tensor:
    """Numbers that float32 can hold, in float64: what jaxlab reads back is what PyTorch was given."""
    return x.float().double()


def case(loss: Callable, outputs: torch.Tensor, targets: torch.Tensor, options: dict) -> dict:
    """One call with each reduction, and the gradient of the mean."""
    outputs = narrow(outputs).requires_grad_()
    if targets.is_floating_point():
        targets = narrow(targets)
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
        return torch.randn(*shape, generator=generator).double()

    logits = 3 * normal(EXAMPLES, CLASSES)
    index = torch.tensor([0, 4, 2, 2, 1, 3, 0, 1])
    padded = torch.tensor([0, -100, 2, -100, 1, 3, 0, 1])
    distribution = torch.softmax(normal(EXAMPLES, CLASSES), dim=-1)
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
    predictions, truth = 2 * normal(EXAMPLES), normal(EXAMPLES)
    positive = [(3 * normal(EXAMPLES)).exp() - 0.5 for _ in range(2)]
    sign = torch.where(yes > 0.5, 1.0, -1.0).double()
    zeros = distribution.clone()
    zeros[::2, 1:3] = 0
    hard = (yes > 0.5).double()
    wide, teacher = 2 * normal(EXAMPLES, CLASSES), (2 * normal(EXAMPLES, CLASSES)).tolist()
    alpha = [0.25, 0.5, 1.0, 2.0, 0.75]
    kernel = normal(4, CLASSES)

    def through_a_head(outputs: torch.Tensor, targets: torch.Tensor, kernel: list, **options: float) -> torch.Tensor:
        head = torch.tensor(kernel, dtype=torch.float64)
        return functional.cross_entropy(outputs @ head, targets, **options)

    document |= {
        "mae": [case(functional.l1_loss, predictions, truth, {})],
        "huber": [case(functional.huber_loss, predictions, truth, {"delta": d}) for d in (0.5, 1.0, 2.0)],
        "smooth_l1": [case(functional.smooth_l1_loss, predictions, truth, {"beta": d}) for d in (0.5, 2.0)],
        "log_cosh": [case(log_cosh, predictions, truth, {}), case(log_cosh, predictions / 32, truth / 32, {})],
        "msle": [case(msle, *positive, {})],
        "squared_hinge": [case(squared_hinge, predictions, sign, {})],
        "crammer_singer": [case(crammer_singer, wide, index, {})],
        "multi_margin": [case(functional.multi_margin_loss, wide, index, {})],
        "focal": [
            case(focal, wide, index, o)
            for o in ({"gamma": 0.5}, {"gamma": 2.0}, {"gamma": 2.0, "alpha": alpha}, {"gamma": 0.0, "alpha": alpha})
        ],
        "sigmoid_focal": [
            case(sigmoid_focal, 2 * predictions, hard, o)
            for o in ({"gamma": 0.5}, {"gamma": 2.0}, {"gamma": 2.0, "alpha": 0.25})
        ],
        "kl": [case(kl, wide, distribution, {}), case(kl, wide, zeros, {})],
        "z_loss": [case(z_loss, wide, index, {"strength": s}) for s in (1e-4, 0.5)],
        "distillation": [
            case(distillation, wide, index, {"teacher_logits": teacher, "temperature": t, "alpha": a})
            for t, a in ((1.0, 0.5), (4.0, 0.75), (2.0, 1.0), (3.0, 0.0))
        ],
        "chunked_cross_entropy": [
            case(through_a_head, normal(EXAMPLES, 4), padded, {"kernel": kernel.tolist(), "ignore_index": -100})
        ],
    }
    path = pathlib.Path(__file__).with_name("torch_losses.json")
    path.write_text(json.dumps(document).replace("], [", "],\n[").replace('}, {"', '},\n{"') + "\n")


if __name__ == "__main__":
    main()
