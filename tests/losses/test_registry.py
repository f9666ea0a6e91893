"""Losses by name."""

import pytest

from jaxlab import losses
from jaxlab.losses import registry


def test_every_name_is_an_attribute():
    for name in losses.names():
        info = losses.get(name)
        assert getattr(losses, name) is info.function
        assert info.targets in registry.TARGETS


def test_typo_suggests_the_nearest():
    with pytest.raises(ValueError, match="loss = 'cross_entrop': unknown, did you mean 'cross_entropy'"):
        losses.get("cross_entrop")
