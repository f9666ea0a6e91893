"""One rule chooses in a grid, in a search and at every rung."""

import numpy as np
import pytest

from jaxlab.sweep.order import order
from jaxlab.sweep.pruning import SuccessiveHalving
from jaxlab.sweep.tuning import best_row

# The first and the last differ in rounding alone.
SCORES = np.array([[0.9791666865, 0.9895833135], [0.5, np.nan], [np.inf, np.nan], [0.9756944180, 0.9930555821]])


@pytest.mark.parametrize("higher", [True, False])
def test_lost_seeds_go_behind_and_a_tie_goes_to_the_first(higher):
    assert order(SCORES, higher_is_better=higher) == [0, 3, 1, 2]
    assert order(SCORES[::-1], higher_is_better=higher) == [0, 3, 2, 1]


@pytest.mark.parametrize("rows", [SCORES, SCORES[::-1]])
def test_a_grid_and_a_rung_choose_the_same(rows):
    assert best_row(rows, higher_is_better=True) == 0
    ended = SuccessiveHalving("gain", True, steps=8, points=4, seeds=2)(4, {"gain": rows.reshape(-1)})
    assert not ended.reshape(4, 2)[0].any()
    assert ended.reshape(4, 2)[3].any()
