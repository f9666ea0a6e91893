"""The GPT of today against frozen values of the same in plain PyTorch (benchmarks/gpt_torch.py)."""

import json
import pathlib

import jax
import numpy as np
import pytest

from jaxlab.core import tree
from jaxlab.models import GPTShape, LanguageLoss

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_gpt.json").read_text())


@pytest.mark.parametrize("case", TORCH["cases"], ids=lambda case: case["options"]["activation"])
def test_loss_and_gradients_are_pytorchs(case):
    shape, rng = GPTShape(vocabulary=11, width=32, layers=2, heads=4, **case["options"]), np.random.RandomState(0)
    model = shape.model()
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0.1, 0.3, leaf.shape).astype(np.float32), shapes)
    tokens = rng.randint(0, 11, (2, 8))
    batch = {"x": tokens[:, :-1], "y": tokens[:, 1:]}
    loss_fn = jax.value_and_grad(LanguageLoss(model, z_loss=TORCH["z_loss"]), has_aux=True)
    (loss, _), slopes = jax.jit(loss_fn)(params, batch)
    assert float(loss) == pytest.approx(case["loss"], rel=1e-5)
    norms = {n: float(np.linalg.norm(g)) for n, g in zip(tree.names(slopes), jax.tree.leaves(slopes), strict=True)}
    assert norms == pytest.approx(case["gradient_norms"], rel=1e-4)
