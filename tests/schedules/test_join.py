"""One schedule after another."""

import jax
import numpy as np
import optax
import pytest

from jaxlab import schedules


def test_each_runs_its_own_steps():
    first, then = schedules.cosine(1.0, 10), schedules.warmup(0.5, 4)
    found = schedules.join(first, then, at=6)(np.arange(12))
    np.testing.assert_allclose(found, np.concatenate([first(np.arange(6)), then(np.arange(6))]), rtol=1e-6)


def test_nested_is_optax_join_schedules():
    pieces = [schedules.cosine(1.0, 10), schedules.exponential(0.3, 0.9), schedules.polynomial(0.2, 7)]
    found = schedules.join(pieces[0], schedules.join(pieces[1], pieces[2], at=8), at=5)
    wanted = optax.join_schedules(pieces, boundaries=[5, 13])
    np.testing.assert_allclose(found(np.arange(25)), [wanted(step) for step in range(25)], rtol=1e-6)


def test_at_the_start_there_is_no_first():
    assert schedules.join(1.0, 0.5, at=0)(np.arange(2)).tolist() == [0.5, 0.5]


def test_what_a_piece_would_be_elsewhere_reaches_no_gradient():
    slope = jax.grad(lambda at: schedules.join(1.0, lambda step: 1 / (5 - step), at=at)(3))(4.0)
    assert slope == 0


@pytest.mark.parametrize("piece", ["first", "then"])
def test_a_transform_is_no_piece(piece):
    with pytest.raises(TypeError, match=f"{piece} = Gradient"):
        schedules.join(**{"first": 0.1, "then": 0.1, "at": 3} | {piece: schedules.polyak(1.0)})
