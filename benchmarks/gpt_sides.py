"""The two sides of :mod:`benchmarks.gpt_training`: a training step of jaxlab, and one of PyTorch."""

import dataclasses
import time
from typing import Any

import jax
import numpy as np
import optax
import torch
from jaxtyping import Array

from benchmarks import gpt_torch
from benchmarks.side_by_side import Contestant
from jaxlab import optimizers
from jaxlab.models import GPTShape, LanguageLoss, PureModel
from jaxlab.models.gpt import STACKED
from jaxlab.precision import Policy
from jaxlab.train import init_state, make_train_step

Z_LOSS = 1e-4
ADAMW: dict[str, Any] = {"b1": 0.9, "b2": 0.95, "eps": 1e-8, "weight_decay": 0.1}
MUON_RATE, RATE, MOMENTUM = 0.02, 3e-3, 0.95
"""Of Muon's matrices; of all that AdamW trains, the rest of Muon's model included."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What both sides train.

    Attributes:
      shape: of the model.
      context, batch_size: tokens of a sequence, sequences of a step.
      dtype: of the computation, ``"float32"`` or ``"bfloat16"``; parameters are float32.
      scan, remat, chunk_size: jaxlab's choices, of its model and of its loss.
    """

    shape: GPTShape
    context: int
    batch_size: int
    dtype: str
    scan: bool = False
    remat: str = "none"
    chunk_size: int | None = None

    @property
    def model(self) -> PureModel:
        """The model, as jaxlab has it."""
        return self.shape.model(scan=self.scan, remat=self.remat)

    @property
    def batch(self) -> dict[str, np.ndarray]:
        """Random tokens, and those that follow."""
        size = self.batch_size, self.context + 1
        tokens = np.random.default_rng(0).integers(self.shape.vocabulary, size=size, dtype=np.int32)
        return {"x": tokens[:, :-1], "y": tokens[:, 1:]}


class Ours:
    """jaxlab's training step, compiled."""

    def __init__(self, setting: Setting, optimizer: str) -> None:
        half, scan = setting.dtype == "bfloat16", setting.scan
        self.model = setting.model
        self.loss = LanguageLoss(self.model, z_loss=Z_LOSS, chunk_size=setting.chunk_size)
        self.policy = Policy(param="float32", compute=setting.dtype, output="float32") if half else None

        def build(numbers: dict[str, Array]) -> optax.GradientTransformation:
            if optimizer == "adamw":
                return optimizers.adamw(numbers["learning_rate"], **ADAMW)
            options = {"momentum": MOMENTUM, "compute_dtype": setting.dtype, "layouts": STACKED if scan else ()}
            return optimizers.muon(numbers["learning_rate"], fallback_learning_rate=RATE, **options)

        self.build, self.rate = build, RATE if optimizer == "adamw" else MUON_RATE
        self.step: Any = make_train_step(self.loss, build, policy=self.policy)

    def state(self, params: Any) -> Any:
        """The first one."""
        return init_state(params, self.build, {"learning_rate": self.rate}, key=jax.random.key(1), policy=self.policy)

    def compile(self, params: Any, batch: dict[str, Array]) -> float:
        """Compiles the step for such arguments; the seconds that it took."""
        began = time.perf_counter()
        state = jax.eval_shape(self.state, params)
        self.step = self.step.lower(state, batch).compile()
        return time.perf_counter() - began

    def contestant(self, params: Any, batch: dict[str, Array], steps: int) -> Contestant:
        """So many steps at a call."""
        held = [self.state(params)]

        def work() -> None:
            for _ in range(steps):
                held[0], _ = self.step(held[0], batch)
            jax.block_until_ready(held[0])

        return work


class Theirs:
    """PyTorch's training step."""

    def __init__(self, setting: Setting, optimizer: str, params: Any, device: str, *, compiled: bool) -> None:
        dtype = getattr(torch, setting.dtype)
        model = gpt_torch.GPT(setting.shape, setting.context, dtype).to(device)
        gpt_torch.load(model, _unstacked(params, setting))
        matrices = [p for name, p in model.named_parameters() if name.startswith("blocks.") and p.ndim == 2]
        inside = set(matrices) if optimizer == "muon" else set()
        others = [p for p in model.parameters() if p not in inside]
        decay = 0.0 if optimizer == "muon" else ADAMW["weight_decay"]
        betas = ADAMW["b1"], ADAMW["b2"]
        adamw = torch.optim.AdamW(others, lr=RATE, betas=betas, eps=ADAMW["eps"], weight_decay=decay, fused=True)
        self.optimizers: list[Any] = [adamw]
        if optimizer == "muon":
            muon = gpt_torch.Muon(matrices, MUON_RATE, MOMENTUM, dtype)
            if compiled:
                muon.direction = torch.compile(muon.direction, dynamic=False)
            self.optimizers.append(muon)
        self.model = torch.compile(model, dynamic=False) if compiled else model
        self.plain, self.device = model, device

    def tokens(self, batch: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch on the device."""
        x, y = (torch.from_numpy(batch[name].astype(np.int64)).to(self.device) for name in ("x", "y"))
        return x, y

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """One step; the loss before it."""
        loss = self.model(x, y, Z_LOSS)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        self.plain.zero_grad()
        return loss.detach()

    def contestant(self, batch: dict[str, np.ndarray], steps: int) -> Contestant:
        """So many steps at a call."""
        x, y = self.tokens(batch)

        def work() -> None:
            for _ in range(steps):
                self.step(x, y)
            if self.device == "cuda":
                torch.cuda.synchronize()

        return work


def _unstacked(params: dict[str, Any], setting: Setting) -> dict[str, Any]:
    """The parameters with a subtree for each layer."""
    params = jax.tree.map(np.asarray, params)
    if not setting.scan:
        return params
    layers = {f"blocks_{i}": jax.tree.map(lambda leaf: leaf[i], params["blocks"]) for i in range(setting.shape.layers)}  # noqa: B023
    return {name: leaf for name, leaf in params.items() if name != "blocks"} | layers
