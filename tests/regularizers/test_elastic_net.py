"""The elastic net lies between its two ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import regularizers

PARAMS = {"w": jnp.array([[-3.0, 0.0], [0.5, 2.0]]), "b": jnp.array([1.0, -0.25])}
ZEROS = jax.tree.map(jnp.zeros_like, PARAMS)


def added(tx):
    return tx.update(ZEROS, tx.init(PARAMS), PARAMS)[0]


@pytest.mark.parametrize("mask", [None, "matrices"])
def test_its_ends_are_l1_and_l2(mask):
    for ratio, end in ((1.0, regularizers.l1), (0.0, regularizers.l2)):
        pair = added(regularizers.elastic_net(0.3, ratio, mask)), added(end(0.3, mask))
        jax.tree.map(np.testing.assert_array_equal, *pair)


def test_both_parts_against_numpy():
    found = added(regularizers.elastic_net([("w", 0.3), ("b", 0.0)], 0.2))
    w = np.asarray(PARAMS["w"], np.float64)
    np.testing.assert_allclose(found["w"], 0.3 * (0.2 * np.sign(w) + 0.8 * w), rtol=1e-6)
    assert not found["b"].any()
    wanted = 0.3 * (0.2 * np.abs(w).sum() + 0.4 * np.square(w).sum())
    found = regularizers.elastic_net_penalty(PARAMS, [("w", 0.3), ("b", 0.0)], 0.2)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_zeros_stay():
    slope = jax.grad(regularizers.elastic_net_penalty)(PARAMS, 0.3, 0.2)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), slope, added(regularizers.elastic_net(0.3, 0.2))
    )
    assert slope["w"][0, 1] == 0


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize(
    "make",
    [
        lambda ratio: regularizers.elastic_net(0.1, ratio),
        lambda ratio: regularizers.elastic_net_penalty(PARAMS, 0.1, ratio),
        lambda ratio: regularizers.proximal_elastic_net(None, 0.1, ratio),
    ],
)
def test_ratios_out_of_range(make, ratio):
    with pytest.raises(ValueError, match=r"l1_ratio = .*: accepted is a number in \[0, 1\]"):
        make(ratio)
