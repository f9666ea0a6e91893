"""What all losses share."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.losses import reduction


def test_complex_numbers_are_refused():
    with pytest.raises(TypeError, match="logits has dtype complex64"):
        reduction.real("logits", jnp.ones(2, jnp.complex64))


def test_weights_follow_the_leading_axes():
    assert reduction.spread(None, (2, 3)).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert reduction.spread(np.array([2, 0], np.int8), (2, 3)).tolist() == [[2, 2, 2], [0, 0, 0]]
    assert reduction.spread(0.5, (2,)).tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"weights has shape \(3,\): accepted is \(2, 3\) or the beginning of it"):
        reduction.spread(np.ones(3), (2, 3))


def test_a_mean_of_many_low_precision_values_is_exact():
    values = jnp.full(100_000, 1.0)
    assert reduction.reduce(values, reduction.spread(None, values.shape), "mean") == 1
