import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab.core import tree

PLAIN = {"encoder": [{"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}], "scale": jnp.ones(())}
NAMES = ["encoder/0/bias", "encoder/0/kernel", "scale"]


class LinenModel(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="dense")(x)


class NnxModel(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(2, 3, rngs=rngs)


def test_names_follow_leaf_order():
    assert tree.names(PLAIN) == NAMES
    assert tree.names(jnp.ones(2)) == [""]
    assert tree.names({}) == []


def test_names_are_alike_in_every_library():
    plain = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
    linen = LinenModel().init(jax.random.key(0), jnp.ones((1, 2)))["params"]
    boxed = nnx.state(NnxModel(nnx.Rngs(0)), nnx.Param)
    assert tree.names(plain) == ["dense/bias", "dense/kernel"]
    assert tree.names(linen) == tree.names(plain)
    assert tree.names(boxed) == tree.names(plain)
    assert tree.names(nnx.to_pure_dict(boxed)) == tree.names(plain)


def test_a_parameter_that_is_called_value_keeps_its_name():
    assert tree.names({"value": jnp.ones(1)}) == ["value"]


def test_first_rule_decides():
    rules = [("bias$", "none"), ("encoder", "encoder"), (".*", "rest")]
    assert tree.match_rules(rules, NAMES) == ["none", "encoder", "rest"]


def test_unmatched_leaves_are_named():
    with pytest.raises(ValueError, match="no rule matches 'encoder/0/kernel', 'scale'"):
        tree.match_rules([("bias$", 0)], NAMES)


def test_no_leaves_need_no_rules():
    assert tree.match_rules([], []) == []


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        (None, [True, True, True]),
        ("matrices", [False, True, False]),
        ([("bias|scale", False), (".*", True)], [False, True, False]),
        ((("kernel", True), (".*", False)), [False, True, False]),
        ({"encoder": True, "scale": False}, [True, True, False]),
        ({"encoder": [{"kernel": True, "bias": False}], "scale": True}, [False, True, True]),
        (lambda params: jax.tree.map(lambda p: p.ndim > 0, params), [True, True, False]),
        (lambda params: "matrices", [False, True, False]),
        (True, [True, True, True]),
        (False, [False, False, False]),
    ],
    ids=["all", "matrices", "rules", "tuple", "subtree", "tree", "function", "function-of-a-word", "true", "false"],
)
def test_masks(mask, wanted):
    assert tree.resolve_mask(mask, PLAIN) == wanted


def test_mask_of_an_nnx_state_fits_its_pure_values():
    boxed = nnx.state(NnxModel(nnx.Rngs(0)), nnx.Param)
    mask = jax.tree.map(lambda p: p.ndim == 2, boxed)
    assert tree.resolve_mask(mask, boxed) == [False, True]
    assert tree.resolve_mask(mask, nnx.to_pure_dict(boxed)) == [False, True]


def test_mask_errors():
    with pytest.raises(ValueError, match="mask = 'matrix'"):
        tree.resolve_mask("matrix", PLAIN)
    with pytest.raises(ValueError, match="no rule matches 'scale'"):
        tree.resolve_mask([("encoder", True)], PLAIN)
    with pytest.raises(ValueError, match="says nothing of parameter 'scale'"):
        tree.resolve_mask({"encoder": True}, PLAIN)


def test_mask_skips_absent_parameters():
    params = {"a": jnp.ones(2), "b": None}
    assert tree.resolve_mask(None, params) == [True]
    assert tree.resolve_mask({"a": False, "b": True}, params) == [False]


def test_masks_resolve_on_shapes():
    shapes = jax.eval_shape(lambda: PLAIN)
    assert tree.resolve_mask("matrices", shapes) == [False, True, False]


def test_cast_leaves_integers_and_keys_alone():
    mixed = {"f": jnp.ones(2, jnp.bfloat16), "i": jnp.ones(2, jnp.int8), "b": jnp.ones(2, bool), "k": jax.random.key(0)}
    full = tree.cast(mixed, jnp.float32)
    assert full["f"].dtype == jnp.float32
    assert {name: full[name].dtype for name in "ibk"} == {name: mixed[name].dtype for name in "ibk"}


def test_cast_like():
    like = {"a": jnp.ones(1, jnp.bfloat16), "b": jnp.ones(1, jnp.float16), "c": None}
    cast = tree.cast_like({"a": jnp.ones(1), "b": jnp.ones(1), "c": None}, like)
    assert (cast["a"].dtype, cast["b"].dtype, cast["c"]) == (jnp.bfloat16, jnp.float16, None)


def test_norm_is_that_of_all_leaves():
    rng = np.random.default_rng(0)
    leaves = [rng.standard_normal(shape).astype(np.float32) for shape in [(), (5,), (3, 4), (0, 2)]]
    flat = np.concatenate([leaf.ravel() for leaf in leaves]).astype(np.float64)
    np.testing.assert_allclose(tree.global_norm(leaves), np.linalg.norm(flat), rtol=1e-6)
    assert float(tree.global_norm({})) == 0.0


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_norm_of_low_precision_is_full_precision(dtype):
    """Summed in bfloat16 a million ones have a norm of 16, squared in float16 300 overflows."""
    assert float(tree.global_norm(jnp.full(1_000_000, 1.0, dtype))) == 1000.0
    assert float(tree.global_norm([jnp.full(4, 300.0, dtype)])) == 600.0
    assert tree.global_norm(jnp.ones(2, dtype)).dtype == jnp.float32


@pytest.mark.parametrize("bad", [jnp.inf, -jnp.inf, jnp.nan])
def test_norm_shows_what_is_not_finite(bad):
    assert not jnp.isfinite(tree.global_norm([jnp.ones(3), jnp.full(1, bad)]))


@pytest.mark.parametrize("bad", [{"a": "no", "b": True}, [("", "no")], 3, lambda params: {"a": 1, "b": 0}])
def test_a_mask_holds_bools_alone(bad):
    with pytest.raises(TypeError, match="accepted are True and False"):
        tree.resolve_mask(bad, {"a": 1.0, "b": 2.0})
    assert tree.resolve_mask({"a": np.True_, "b": jnp.array(False)}, {"a": 1.0, "b": 2.0}) == [True, False]


def test_a_rule_that_is_no_regular_expression_is_named():
    with pytest.raises(ValueError, match=r"rule '\(' is no regular expression"):
        tree.match_rules([("(", 1)], ["a"])
