"""A state as shapes with their layouts: what init_run makes, without making it."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array

from jaxlab.optimizers import Recipe
from jaxlab.sharding import Layout
from jaxlab.train import abstract_state, init_run, make_train_step

BUILD = Recipe("adamw").build
HYPERPARAMS = {"learning_rate": 1e-3}


def init(key: Array) -> dict[str, Array]:
    return {"w": jax.random.normal(key, (16, 8)), "b": jnp.zeros(8)}


def loss(params: Any, batch: Array, key: Array) -> Any:
    return jnp.mean((batch @ params["w"] + params["b"]) ** 2), {}


@pytest.mark.parametrize("mesh", ["data=8", "fsdp=8"])
def test_it_is_the_state_of_init_run_without_its_arrays(mesh: str) -> None:
    layout = Layout(mesh, min_size=1)
    options = {"key": jax.random.key(1), "layout": layout, "ema_decay": 0.9, "policy": "bfloat16"}
    made, planned = (f(init, BUILD, HYPERPARAMS, **options) for f in (init_run, abstract_state))
    assert jax.tree.structure(planned) == jax.tree.structure(made)
    for one, other in zip(jax.tree.leaves(planned), jax.tree.leaves(made), strict=True):
        assert isinstance(one, jax.ShapeDtypeStruct)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert one.sharding.is_equivalent_to(other.sharding, other.ndim)


def test_a_step_compiled_for_it_takes_the_state_itself() -> None:
    layout = Layout("fsdp=8", min_size=1)
    step = make_train_step(loss, BUILD, layout=layout)
    planned = abstract_state(init, BUILD, HYPERPARAMS, key=jax.random.key(1), layout=layout)
    batch = jnp.ones((8, 16))
    compiled = step.lower(planned, layout.abstract_batch(batch)).compile()
    state = init_run(init, BUILD, HYPERPARAMS, key=jax.random.key(1), layout=layout)
    after, _ = compiled(state, layout.put_batch(batch))
    assert int(after.step) == 1
