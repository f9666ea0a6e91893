"""The counterparts in optax and PyTorch of jaxlab's optimizers, at a learning rate of 1e-3."""

import importlib.util
from collections.abc import Callable
from typing import Any

import optax
from optax import contrib

RATE = 1e-3

OPTAX: dict[str, Callable[[], optax.GradientTransformation]] = {
    "gradient_descent": lambda: optax.sgd(RATE),
    "sgd": lambda: optax.sgd(RATE),
    "momentum": lambda: optax.sgd(RATE, momentum=0.9),
    "nesterov": lambda: optax.sgd(RATE, momentum=0.9, nesterov=True),
    "sign_descent": lambda: optax.sign_sgd(RATE),
    "adagrad": lambda: optax.adagrad(RATE),
    "adadelta": lambda: optax.adadelta(RATE),
    "rmsprop": lambda: optax.rmsprop(RATE),
    "adam": lambda: optax.adam(RATE),
    "adamax": lambda: optax.adamax(RATE),
    "nadam": lambda: optax.nadam(RATE),
    "amsgrad": lambda: optax.amsgrad(RATE),
    "radam": lambda: optax.radam(RATE),
    "adafactor": lambda: optax.adafactor(RATE),
    "adamw": lambda: optax.adamw(RATE),
    "adabelief": lambda: optax.adabelief(RATE),
    "ademamix": lambda: contrib.ademamix(RATE),
    "adopt": lambda: contrib.adopt(RATE),
    "adan": lambda: optax.adan(RATE),
    "yogi": lambda: optax.yogi(RATE),
    "lion": lambda: optax.lion(RATE),
    "lamb": lambda: optax.lamb(RATE),
    "lars": lambda: optax.lars(RATE),
    "sm3": lambda: optax.sm3(RATE),
    "prodigy": contrib.prodigy,
    "dadapt_adam": contrib.dadapt_adamw,
    "dog": contrib.dog,
    "dowg": contrib.dowg,
    "momo": contrib.momo,
    "momo_adam": contrib.momo_adam,
    "muon": lambda: contrib.muon(RATE),
    "lbfgs": optax.lbfgs,
}
"""As a user calls them; where defaults differ, so does little of the work."""

EXTRA = ("value", "grad", "value_fn")
"""The extra arguments that some of these need; others hand what is left to ``value_fn``, and fail."""

TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "gradient_descent": ("SGD", {"fused": True}),
    "sgd": ("SGD", {"fused": True}),
    "momentum": ("SGD", {"momentum": 0.9, "fused": True}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True, "fused": True}),
    "adagrad": ("Adagrad", {"fused": True}),
    "adadelta": ("Adadelta", {"foreach": True}),
    "rmsprop": ("RMSprop", {"foreach": True}),
    "adam": ("Adam", {"fused": True}),
    "adamax": ("Adamax", {"foreach": True}),
    "nadam": ("NAdam", {"foreach": True}),
    "amsgrad": ("Adam", {"amsgrad": True, "fused": True}),
    "radam": ("RAdam", {"foreach": True}),
    "adafactor": ("Adafactor", {"foreach": True}),
    "adamw": ("AdamW", {"fused": True}),
    "muon": ("Muon", {}),
}
"""The class of ``torch.optim``, with the fastest of its implementations."""


def has_torch() -> bool:
    """Whether PyTorch takes part."""
    return importlib.util.find_spec("torch") is not None


def torch_step(name: str, shapes: list[tuple[int, ...]]) -> Callable[[], Any]:
    """One step of PyTorch's counterpart."""
    import torch  # noqa: PLC0415 - optional

    params = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    for p in params:
        p.grad = torch.randn(p.shape)
    kind, settings = TORCH[name]
    return getattr(torch.optim, kind)(params, lr=RATE, **settings).step
