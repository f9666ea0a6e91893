import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import hyper


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (0.0, "[0, 1)"),
        (1 - 1e-6, "[0, 1)"),
        (1e-30, "(0, inf)"),
        (3, "(-inf, inf)"),
        (np.float64(0.5), "[0, 1]"),
        (np.float32(1.0), "[0, 1]"),
        (np.int32(7), "(0, inf)"),
        (np.array(0.5), "[0, 1]"),
    ],
)
def test_number_keeps_the_value(value, accepted):
    assert float(hyper.number("x", value, accepted)) == np.float32(value)


def test_number_of_a_device_array():
    assert float(hyper.number("x", jnp.asarray(0.25))) == 0.25
    assert float(hyper.number("x", jnp.asarray(0.25, jnp.bfloat16))) == 0.25


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (-1e-9, "[0, 1)"),
        (1.0, "[0, 1)"),
        (0.0, "(0, inf)"),
        (float("inf"), "[0, inf)"),
        (float("inf"), "(-inf, inf)"),
        (float("-inf"), "(-inf, inf)"),
        (float("nan"), "(-inf, inf)"),
        (np.nan, "[0, 1]"),
        (1e39, "[0, inf)"),
    ],
)
def test_number_refuses_a_value_outside(value, accepted):
    with pytest.raises(ValueError, match="learning_rate = ") as raised:
        hyper.number("learning_rate", value, accepted)
    assert accepted in str(raised.value)


def test_number_is_judged_as_the_arithmetic_sees_it():
    """0.99999999 is below one, and in float32 it is one: a beta of one never forgets."""
    with pytest.raises(ValueError, match="b1"):
        hyper.number("b1", 0.99999999, "[0, 1)")


@pytest.mark.parametrize(
    "value",
    [None, "0.1", True, np.bool_(True), np.str_("1"), jax.random.key(0), 1j, [0.1], np.ones(2), jnp.ones(2), object()],
)
def test_number_refuses_what_is_no_number(value):
    with pytest.raises(TypeError, match="eps = "):
        hyper.number("eps", value)


def test_number_traces():
    def f(x):
        return hyper.number("b1", x, "[0, 1)") * 2

    assert float(jax.jit(f)(0.25)) == 0.5
    np.testing.assert_allclose(jax.vmap(f)(jnp.array([0.25, 0.5])), [0.5, 1.0])
    # Taken on trust: the host judged it when the recipe was built.
    assert float(jax.jit(f)(5.0)) == 10.0


def test_traced_vector_is_no_number():
    with pytest.raises(TypeError, match="b1"):
        jax.jit(functools.partial(hyper.number, "b1"))(jnp.ones(3))


def test_numbers_are_strongly_typed_and_full_precision():
    for value in (0.5, np.float64(0.5), np.float16(0.5), 1, jnp.asarray(0.5, jnp.bfloat16)):
        canonical = jnp.asarray(hyper.number("x", value))
        assert canonical.dtype == jnp.float32
        assert not canonical.weak_type
    assert jax.eval_shape(lambda x: hyper.number("x", x), 0.5).weak_type is False


def test_one_compilation_for_every_kind_of_number():
    traces = []

    @jax.jit
    def f(x):
        traces.append(x)
        return x * jnp.ones(2, jnp.bfloat16)

    for value in (0.5, np.float64(0.25), np.float32(0.125), jnp.asarray(1.5), jnp.asarray(2.0, jnp.bfloat16), 3):
        assert f(hyper.number("x", value)).dtype == jnp.float32
        f(hyper.canonical({"x": value})["x"])
    assert len(traces) == 1


def test_canonical_makes_fresh_strong_arrays():
    one = jnp.asarray(1.0)
    tree = hyper.canonical({"a": 1, "b": np.float64(0.5), "c": one, "d": [np.arange(3)], "e": None})
    assert tree["c"].unsafe_buffer_pointer() != one.unsafe_buffer_pointer()
    assert tree["d"][0].shape == (3,)
    assert all(leaf.dtype == jnp.float32 and not leaf.weak_type for leaf in jax.tree.leaves(tree))
    assert tree["e"] is None


@pytest.mark.parametrize("leaf", ["adam", True, 1j, jax.random.key(0)])
def test_canonical_names_a_leaf_that_is_no_number(leaf):
    with pytest.raises(TypeError, match=r"hyperparameter group\.b1 = "):
        hyper.canonical({"group": {"b1": leaf}})


def test_arithmetic_is_32_bit():
    assert hyper.arithmetic_dtype() == np.float32


def test_arithmetic_follows_x64(x64):
    assert hyper.arithmetic_dtype() == np.float64
    assert jnp.asarray(hyper.number("x", 0.1)).dtype == np.float64
    assert hyper.canonical({"x": np.float32(1)})["x"].dtype == np.float64


def test_number_or_schedule():
    def schedule(step):
        return 0.1 * step

    assert hyper.number_or_schedule("learning_rate", schedule, "[0, inf)") is schedule
    constant = hyper.number_or_schedule("learning_rate", 0.5, "[0, inf)")
    assert float(constant(0)) == float(constant(99)) == 0.5
    with pytest.raises(ValueError, match="learning_rate = -1"):
        hyper.number_or_schedule("learning_rate", -1, "[0, inf)")


@pytest.mark.parametrize("value", [1.0, "3", None, True, np.float32(3)])
def test_integer_refuses_other_types(value):
    with pytest.raises(TypeError, match="steps = "):
        hyper.integer("steps", value, at_least=1)


def test_integer():
    assert hyper.integer("steps", np.int64(3), at_least=1) == 3
    assert type(hyper.integer("steps", np.int64(3), at_least=1)) is int
    with pytest.raises(ValueError, match="steps = 0: accepted is a whole number of at least 1"):
        hyper.integer("steps", 0, at_least=1)


def test_one_of():
    assert hyper.one_of("store", "bfloat16", ("float32", "bfloat16")) == "bfloat16"
    with pytest.raises(ValueError, match="did you mean 'bfloat16'"):
        hyper.one_of("store", "bflaot16", ("float32", "bfloat16"))
    with pytest.raises(ValueError, match=r"store = 'zzz': unknown\. Accepted are: float32, bfloat16"):
        hyper.one_of("store", "zzz", ("float32", "bfloat16"))
    with pytest.raises(ValueError, match="store = None"):
        hyper.one_of("store", None, ("float32",))


def test_member():
    one = hyper.member({"a": np.array([1.0, 2.0]), "b": jnp.array([[1.0], [3.0]])}, 1)
    assert one["a"] == 2.0
    assert one["b"].tolist() == [3.0]


def test_what_the_arithmetic_flushes_to_zero_is_judged_as_zero():
    with pytest.raises(ValueError, match="eps = 1e-40: accepted is a number in"):
        hyper.number("eps", 1e-40, "(0, inf)")
