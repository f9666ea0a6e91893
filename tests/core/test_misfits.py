"""Gradients, parameters and states that do not belong together are refused by name, and so is what no one can call."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers
from jaxlab.core import hyper

PARAMS = {"dense": {"bias": jnp.ones(3), "kernel": jnp.ones((4, 3))}}
NARROW = {"dense": {"bias": jnp.ones(3), "kernel": jnp.ones((1, 3))}}
TALL = {"dense": {"bias": jnp.ones(3), "kernel": jnp.ones((5, 3))}}


def adam():
    return optimizers.scale_by_adam()


@pytest.mark.parametrize("other", [NARROW, TALL])
def test_shapes_that_differ_are_not_broadcast(other):
    tx, dog = adam(), optimizers.dog(0.1)
    with pytest.raises(ValueError, match=r"'dense/kernel': a gradient .* for a parameter .*: accepted are equal"):
        tx.update(PARAMS, tx.init(PARAMS), other)
    with pytest.raises(ValueError, match=r"'dense/kernel': a gradient"):
        dog.update(other, dog.init(PARAMS), PARAMS)
    with pytest.raises(ValueError, match=r"'dense/kernel': state of shapes .* for a gradient \(4, 3\): accepted are"):
        tx.update(PARAMS, tx.init(other))


def test_the_state_of_another_transform_is_refused():
    tx = adam()
    with pytest.raises(TypeError, match="state is ScaleByAdamState: accepted is what init"):
        tx.update(PARAMS, optax.scale_by_adam().init(PARAMS))
    with pytest.raises(TypeError, match="the state holds Mean: accepted is Moments"):
        tx.update(PARAMS, optimizers.scale_by_lion().init(PARAMS))


@pytest.mark.parametrize("leaf", ["x", 1j, np.ones(2, int), np.array(["a"])])
def test_what_is_no_real_array_is_named(leaf):
    with pytest.raises(TypeError, match=r"leaf 'a' has dtype .*: accepted are real floating arrays"):
        adam().init({"a": leaf})


def test_plain_descent_takes_no_whole_or_complex_numbers():
    """They were rounded to no step at all, and lost their imaginary part."""
    tx = optimizers.gradient_descent(0.1)
    for leaf in (jnp.arange(3), jnp.ones(3, jnp.complex64)):
        with pytest.raises(TypeError, match="leaf 'a' has dtype"):
            tx.update({"a": leaf}, tx.init({"a": jnp.ones(3)}))


EXTRA = {"hvp_fn": lambda p, v: v, "grad_fn": lambda p: p, "key": jax.random.key(0)}
EXTRA |= {"per_example_grad_fn": lambda p: jax.tree.map(lambda x: x[None], p)}
EXTRA |= {"value": 1.0, "value_fn": lambda p: jnp.float32(1), "grad": PARAMS}
USERS = {
    "hvp_fn": optimizers.sophia(0.1),
    "grad_fn": modifiers.sam(optimizers.sgd(0.1)),
    "per_example_grad_fn": modifiers.private(optimizers.sgd(0.1)),
    "value_fn": optimizers.lbfgs(0.1),
}


@pytest.mark.parametrize("name", USERS)
def test_functions_can_be_called(name):
    tx = USERS[name]
    with pytest.raises(TypeError, match=f"{name} = 3: accepted is a function"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, **EXTRA | {name: 3})


@pytest.mark.parametrize("key", [0, "a", 1.0, jnp.ones(2), jax.random.split(jax.random.key(0))], ids=str)
def test_keys_are_keys(key):
    for name in ("hvp_fn", "per_example_grad_fn"):
        tx = USERS[name]
        with pytest.raises(TypeError, match=r"key = [\s\S]*: accepted is one key"):
            tx.update(PARAMS, tx.init(PARAMS), PARAMS, **EXTRA | {"key": key})
    for good in (jax.random.key(1), jax.random.PRNGKey(1)):
        assert hyper.random_key("key", good) is good


@pytest.mark.parametrize("products", [None, 1.0, NARROW])
def test_products_with_the_hessian_are_like_the_parameters(products):
    for estimate in (optimizers.sophia(0.1), optimizers.adahessian(0.1)):
        with pytest.raises(ValueError, match="hvp_fn returned arrays of shapes"):
            estimate.update(PARAMS, estimate.init(PARAMS), PARAMS, **EXTRA | {"hvp_fn": lambda p, v: products})


@pytest.mark.parametrize("value", ["a", 1j, jnp.ones(3), [1.0], True], ids=str)
def test_a_loss_is_one_number(value):
    for tx in (optimizers.momo(0.1), optimizers.momo_adam(0.1), optimizers.lbfgs(0.1)):
        with pytest.raises(TypeError, match=r"value = [\s\S]*: accepted is one number"):
            tx.update(PARAMS, tx.init(PARAMS), PARAMS, **EXTRA | {"value": value})
