"""The GPT of ``jaxlab.models`` in plain PyTorch, with its loss and two optimizers: what jaxlab's step is raced against.

Written as its users write it: ``scaled_dot_product_attention``, autocast to bfloat16 over float32 parameters, the fused
AdamW, Muon with matrices of one shape stacked. ``torch.compile`` is for the caller.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jaxlab.models.sizes import GPTShape

EPS = 1e-6


def rms_norm(x: Tensor) -> Tensor:
    """Each vector over its root mean square, computed in float32."""
    full = x.float()
    return (full * torch.rsqrt(full.square().mean(-1, keepdim=True) + EPS)).type_as(x)


class RMSNorm(nn.Module):
    """The same, with a gain for each feature."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        """The normalised vectors."""
        return rms_norm(x) * self.scale.type_as(x)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, halves as pairs; x is [batch, heads, length, size]."""
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).type_as(x)


class Attention(nn.Module):
    """Causal attention with normalised queries and keys."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.heads, self.kv_heads = shape.heads, shape.kv_heads
        grouped = shape.width // shape.heads * shape.kv_heads
        self.query, self.key, self.value, self.out = (
            nn.Linear(shape.width, outputs, bias=False) for outputs in (shape.width, grouped, grouped, shape.width)
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The gathered features."""

        def by_head(y: Tensor, heads: int) -> Tensor:
            return y.view(*y.shape[:2], heads, -1).transpose(1, 2)

        query = rotated(rms_norm(by_head(self.query(x), self.heads)), cos, sin)
        key = rotated(rms_norm(by_head(self.key(x), self.kv_heads)), cos, sin)
        value = by_head(self.value(x), self.kv_heads)
        grouped = self.kv_heads != self.heads
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=grouped)
        return self.out(y.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Squared ReLU, GELU or SwiGLU between two layers."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.activation = shape.activation
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False) if shape.activation == "swiglu" else None
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The features of each position."""
        hidden = self.up(x)
        if self.gate is not None:
            return self.down(functional.silu(self.gate(x)) * hidden)
        if self.activation == "gelu":
            return self.down(functional.gelu(hidden, approximate="tanh"))
        return self.down(functional.relu(hidden).square())


class Block(nn.Module):
    """Attention and feed-forward layers, each normalised before and added after."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.attention_norm, self.attention = RMSNorm(shape.width), Attention(shape)
        self.mlp_norm, self.mlp = RMSNorm(shape.width), FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The residual stream after the block."""
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.mlp(self.mlp_norm(x))


class GPT(nn.Module):
    """The decoder and its loss.

    Args:
      shape: its sizes.
      context: the longest sequence.
      dtype: of the computation: of the residual stream, and of all products by autocast.
    """

    def __init__(self, shape: GPTShape, context: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        if shape.tied:
            self.head.weight = self.embed.weight
        size = shape.width // shape.heads
        angles = torch.arange(context)[:, None] * 10_000.0 ** (-torch.arange(0, size, 2) / size)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens: Tensor, following: Tensor, z_loss: float) -> Tensor:
        """The loss: cross entropy, and the penalty on the normaliser."""
        length = tokens.shape[1]
        cos, sin = self.get_buffer("cos")[:length], self.get_buffer("sin")[:length]
        with torch.autocast(tokens.device.type, self.dtype, enabled=self.dtype != torch.float32):
            x = self.embed(tokens).to(self.dtype)
            for block in self.blocks:
                x = block(x, cos, sin)
            logits = self.head(self.norm(x)).float()
        normaliser = logits.logsumexp(-1)
        true = logits.gather(-1, following[..., None])[..., 0]
        return (normaliser - true).mean() + z_loss * normaliser.square().mean()


def load(model: GPT, params: dict[str, Any]) -> None:
    """Takes the parameters of jaxlab's model, not scanned: PyTorch's matrices are the other way round."""
    taken = {}
    for name, leaf in _named(params):
        last = name.rsplit(".", 1)[-1]
        own = name.replace("blocks_", "blocks.").replace(".kernel", ".weight").replace(".embedding", ".weight")
        taken[own] = torch.from_numpy(np.array(leaf.T if last == "kernel" else leaf))
    if model.head.weight is model.embed.weight:
        taken["head.weight"] = taken["embed.weight"]
    model.load_state_dict(taken | dict(model.named_buffers()))


def _named(tree: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    named = []
    for name, child in tree.items():
        named += _named(child, f"{before}{name}.") if isinstance(child, dict) else [(before + name, child)]
    return named


class Muon:
    """Muon for the blocks' matrices, all of one shape in one stack.

    Args:
      params: matrices, [outputs, inputs].
      rate, momentum: numbers.
      dtype: of Newton and Schulz's products.
    """

    def __init__(self, params: list[Tensor], rate: float, momentum: float, dtype: torch.dtype) -> None:
        self.rate, self.momentum, self.dtype = rate, momentum, dtype
        shapes = sorted({tuple(p.shape) for p in params})
        self.groups = [[p for p in params if tuple(p.shape) == shape] for shape in shapes]
        self.averages = [torch.zeros(len(group), *group[0].shape, device=group[0].device) for group in self.groups]
        self.direction = self._direction

    @torch.no_grad()
    def step(self) -> None:
        """One step of every matrix."""
        for group, average in zip(self.groups, self.averages, strict=True):
            grads = [p.grad for p in group if p.grad is not None]
            directions = self.direction(torch.stack(grads), average)
            torch._foreach_add_(group, list(directions.unbind()), alpha=-self.rate)

    def _direction(self, grads: Tensor, average: Tensor) -> Tensor:
        average.lerp_(grads, 1 - self.momentum)
        x = average.lerp(grads, 1 - self.momentum)
        x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(self.dtype)
        outputs, inputs = grads.shape[1:]
        x = x.mT if outputs > inputs else x
        for _ in range(5):
            gram = x @ x.mT
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        x = x.mT if outputs > inputs else x
        return math.sqrt(max(1.0, outputs / inputs)) * x.float()
