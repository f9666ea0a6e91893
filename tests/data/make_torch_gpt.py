"""Writes torch_gpt.json: loss and gradients of the GPT in plain PyTorch, for jaxlab's tests to compare with.

Run with torch 2.13.0 (CPU) and jaxlab in one environment: ``python -m tests.data.make_torch_gpt``.
"""

import json
import pathlib

import jax
import numpy as np
import torch

from benchmarks import gpt_torch
from jaxlab.core import tree
from jaxlab.models import GPTShape

CASES = [
    {"activation": "relu2", "kv_heads": 4},
    {"activation": "swiglu", "kv_heads": 2, "tied": True},
    {"activation": "gelu", "kv_heads": 1},
]
Z_LOSS = 0.01


def main() -> None:
    cases = []
    for options in CASES:
        shape, rng = GPTShape(vocabulary=11, width=32, layers=2, heads=4, **options), np.random.RandomState(0)
        shapes = jax.eval_shape(shape.model().init, jax.random.key(0))
        params = jax.tree.map(lambda leaf: rng.normal(0.1, 0.3, leaf.shape).astype(np.float32), shapes)  # noqa: B023
        tokens = rng.randint(0, 11, (2, 8))
        model = gpt_torch.GPT(shape, 7, torch.float32)
        gpt_torch.load(model, params)
        loss = model(torch.from_numpy(tokens[:, :-1]), torch.from_numpy(tokens[:, 1:]), Z_LOSS)
        loss.backward()
        found = dict(model.named_parameters())
        norms = {}
        for name in tree.names(params):
            own = name.replace("blocks_", "blocks.").replace("kernel", "weight").replace("embedding", "weight")
            norms[name] = found[own.replace("/", ".")].grad.norm().item()
        cases.append({"options": options, "loss": loss.item(), "gradient_norms": norms})
    content = {"torch": torch.__version__, "z_loss": Z_LOSS, "cases": cases}
    pathlib.Path(__file__).with_name("torch_gpt.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
