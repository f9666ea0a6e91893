"""Products of matrices in float32 are those of float32: accelerators would round their factors to fewer bits."""

import jax
import jax.numpy as jnp
import pytest

from jaxlab import optimizers
from jaxlab.optimizers.describe import stand_ins

PRODUCTS = ("muon", "normuon", "shampoo", "soap", "psgd_kron", "newton", "gauss_newton")


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_product_asks_for_full_precision(name):
    tx, params = optimizers.get(name).factory(0.1), {"kernel": jnp.ones((3, 2))}
    extra = {**stand_ins(params), "value": 1.0, "grad": params}
    jaxpr = jax.make_jaxpr(lambda g, state: tx.update(g, state, params, **extra))(params, tx.init(params))
    asked = [one.params["precision"] for one in _equations(jaxpr.jaxpr) if one.primitive.name == "dot_general"]
    assert asked
    assert {precision for pair in asked for precision in (pair or [None])} == {jax.lax.Precision.HIGHEST}


def _equations(jaxpr):
    """Of a program and of all within it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(value):
                yield from _equations(getattr(value, "jaxpr", value))


def _is_program(value) -> bool:
    return hasattr(getattr(value, "jaxpr", value), "eqns")
