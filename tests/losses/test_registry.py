"""Losses by name."""

import jax.numpy as jnp
import numpy as np
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


@pytest.mark.parametrize("bad", [[1.0, 2.0], "a", None, np.array([None, 1.0])], ids=["list", "text", "None", "objects"])
@pytest.mark.parametrize("name", [name for name in losses.names() if losses.get(name).targets in ("numbers", "binary")])
def test_what_is_no_array_is_refused_by_name(name, bad):
    with pytest.raises(TypeError, match="accepted is an array of numbers"):
        losses.get(name).function(bad, jnp.ones(2))
    with pytest.raises(TypeError, match=r"weights = .*accepted is an array of numbers"):
        losses.get(name).function(jnp.ones(2), jnp.ones(2), weights="a")


@pytest.mark.parametrize(
    "name", ["cross_entropy", "focal", "multiclass_hinge", "distillation", "chunked_cross_entropy"]
)
def test_outputs_without_classes_and_labels_that_are_no_array_are_refused(name):
    function = losses.get(name).function
    needed = {
        "distillation": {"teacher_logits": jnp.ones((2, 0))},
        "chunked_cross_entropy": {"kernel": jnp.ones((0, 0))},
    }
    with pytest.raises(ValueError, match=r"accepted is at least one axis, of classes"):
        function(jnp.ones((2, 0)), jnp.zeros(2, int), **needed.get(name, {}))
    needed = {
        "distillation": {"teacher_logits": jnp.ones((2, 3))},
        "chunked_cross_entropy": {"kernel": jnp.ones((3, 3))},
    }
    with pytest.raises(TypeError, match=r"labels = \[0, 1\]: accepted is an array of numbers"):
        function(jnp.ones((2, 3)), [0, 1], **needed.get(name, {}))
