"""Which pixels lie in a box."""

import numpy as np

from jaxlab.augment import box


def test_a_box_holds_the_middles_of_its_pixels():
    found = box.inside((4, 3), (1.0, 2.9), (2.0, 2.0))
    np.testing.assert_array_equal(found, np.array([[0, 0, 1]] * 2 + [[0, 0, 0]] * 2, bool))
    assert not box.inside((4, 3), (1.5, 1.5), (0.0, 0.0)).any()
