"""Weights find their parameters by name, and the report says what went where, what did not, and why."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import parts
from jaxlab.transfer import match

RNG = np.random.default_rng(0)


def _array(*shape, dtype="float32"):
    return RNG.standard_normal(shape).astype(dtype)


def _params():
    return {
        "blocks": [
            {"conv": {"bias": jnp.ones(4), "kernel": jnp.ones((3, 3, 2, 4))}},
            {"conv": {"bias": jnp.ones(5), "kernel": jnp.ones((3, 3, 4, 5))}},
        ],
        "head": {"bias": jnp.ones(7), "kernel": jnp.ones((5, 7), jnp.bfloat16)},
    }


def _torch():
    """As PyTorch names and lays out the same network, trained for three classes."""
    return {
        "stages.0.conv.weight": _array(4, 2, 3, 3),
        "stages.0.conv.bias": _array(4),
        "stages.1.conv.weight": _array(5, 4, 3, 3),
        "stages.1.conv.bias": _array(5),
        "stages.1.bn.num_batches_tracked": np.array(9),
        "fc.weight": _array(3, 5),
        "fc.bias": _array(3),
    }


RULES = (
    (r".*num_batches_tracked", None),
    (r"stages\.(\d+)\.conv\.weight", r"blocks/\1/conv/kernel", (2, 3, 1, 0)),
    (r"stages\.(\d+)\.conv\.bias", r"blocks/\g<1>/conv/bias"),
    (r"fc\.weight", "head/kernel", (1, 0)),
    (r"fc\.bias", "head/bias"),
)


def _statuses(matched):
    return {(row.target, row.source): row.status for row in matched.rows}


def test_weights_of_another_library_are_found_by_rules():
    params, weights = _params(), _torch()
    matched = match(params, weights, RULES, new="^head/")
    assert jax.tree.structure(matched.params) == jax.tree.structure(params)
    for i, block in enumerate(matched.params["blocks"]):
        kernel = weights[f"stages.{i}.conv.weight"]
        for (row, column, inputs, outputs), value in np.ndenumerate(np.asarray(block["conv"]["kernel"])):
            assert value == kernel[outputs, inputs, row, column]
        np.testing.assert_array_equal(block["conv"]["bias"], weights[f"stages.{i}.conv.bias"])
    assert matched.params["head"] is not params["head"]
    jax.tree.map(np.testing.assert_array_equal, matched.params["head"], params["head"])
    assert _statuses(matched) == {
        ("blocks/0/conv/kernel", "stages.0.conv.weight"): "matched",
        ("blocks/0/conv/bias", "stages.0.conv.bias"): "matched",
        ("blocks/1/conv/kernel", "stages.1.conv.weight"): "matched",
        ("blocks/1/conv/bias", "stages.1.conv.bias"): "matched",
        ("head/kernel", "fc.weight"): "new",
        ("head/bias", "fc.bias"): "new",
        (None, "stages.1.bn.num_batches_tracked"): "left out",
    }
    assert matched.summary == "4 of 6 parameters matched, 2 new, 0 missing; 0 of 7 weights unused, 1 left out"


def test_the_start_holds_what_was_found_and_nothing_else():
    params = _params()
    matched = match(params, _torch(), RULES, new="^head/")
    assert matched.start["head"] == {"bias": None, "kernel": None}
    assert len(jax.tree.leaves(matched.start)) == 4
    jax.tree.map(np.testing.assert_array_equal, parts.overlaid("start", params, matched.start), matched.params)
    jax.tree.map(np.testing.assert_array_equal, parts.merged(matched.start, params), matched.params)


def test_what_is_new_stays_new_where_the_weights_would_fit():
    """Five classes after five others: the old head has the shapes of the new one."""
    params = {"base": jnp.zeros(3), "head": jnp.zeros((3, 5))}
    weights = {"base": _array(3), "head": _array(3, 5)}
    assert not np.any(match(params, weights, new="head").params["head"])
    np.testing.assert_array_equal(match(params, weights).params["head"], weights["head"])


def test_a_weight_takes_the_parameters_dtype():
    params = {name: jnp.zeros(3, name) for name in ("float32", "bfloat16", "float16")}
    weights = {name: _array(3, dtype="float64") for name in params}
    matched = match(params, weights)
    for name, value in matched.params.items():
        assert value.dtype == name
        np.testing.assert_array_equal(value, weights[name].astype("float32").astype(jnp.dtype(name)))
    assert {row.dtype for row in matched.rows} == {"float64"}


def test_weights_may_be_a_tree():
    params = {"a": {"b": jnp.zeros(2)}}
    assert match(params, {"a": {"b": jnp.ones(2)}}).params["a"]["b"].tolist() == [1, 1]
    assert match(params, {"a/b": np.ones(2)}).params["a"]["b"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("parameter", "weight", "reason"),
    [
        (jnp.zeros((5, 7)), _array(5, 6), "the shapes differ"),
        (jnp.zeros((5, 7)), _array(7, 5), r"the shapes differ; a rule with axes \(1, 0\) would fit"),
        (jnp.zeros((3, 3, 2, 4)), _array(4, 2, 3, 3), r"a rule with axes \(2, 3, 1, 0\) would fit"),
        (jnp.zeros(2), np.arange(2), "the weight is int64, the parameter float32"),
        (jnp.zeros(2, "float16"), np.array([1.0, 1e5]), "numbers beyond 65504"),
    ],
)
def test_what_does_not_fit_is_told_and_stays(parameter, weight, reason):
    params = {"a": jnp.zeros(1), "w": parameter}
    weights = {"a": np.ones(1), "w": weight}
    with pytest.raises(ValueError, match=f"1 of 2 parameters matched, 0 new, 1 missing(.|\n)*'w'.*{reason}"):
        match(params, weights)
    matched = match(params, weights, strict=False)
    assert matched.params["w"] is parameter
    assert matched.start["w"] is None
    assert _statuses(matched)["w", "w"] == "missing"
    assert match(params, weights, new="w").of("new")[0].target == "w"


def test_an_error_says_what_was_meant():
    params = {"dense_0": {"kernel": jnp.zeros((3, 4))}, "dense_1": {"kernel": jnp.zeros((4, 2))}, "b": jnp.zeros(9)}
    weights = {"b": np.ones(9), "Dense_0.kernel": _array(3, 4), "Dense_1.kernel": _array(4, 2), "other": np.ones(3)}
    with pytest.raises(ValueError, match="do not fit") as caught:
        match(params, weights, [("nothing", "b")])
    text = str(caught.value)
    assert "1 of 3 parameters matched, 0 new, 2 missing; 3 of 4 weights unused" in text
    assert "dense_0/kernel [3, 4]: no weight leads here; nearest is 'Dense_0.kernel' [3, 4]" in text
    assert "dense_1/kernel [4, 2]: no weight leads here; nearest is 'Dense_1.kernel' [4, 2]" in text
    assert "'other' [3]" in text
    assert "rules that no weight's name matches: 'nothing'" in text


def test_weights_of_another_model_are_refused():
    many = {f"layer_{i}": np.zeros((2, i)) for i in range(1, 40)}
    with pytest.raises(ValueError, match=r"0 of 39 parameters matched(.|\n)*and 31 more"):
        match(many, {"x": np.ones(5)})
    # Even where all may stay: nobody asks for weights of which not one is used.
    with pytest.raises(ValueError, match="0 of 39 parameters matched"):
        match(many, {"x": np.ones(5)}, strict=False)
    with pytest.raises(ValueError, match="0 of 1 parameters matched"):
        match({"x": jnp.ones(1)}, {}, new="x")


def test_the_first_rule_decides_and_matches_whole_names():
    params = {"a": jnp.zeros(2), "b": jnp.zeros(2)}
    weights = {"xa": np.full(2, 1.0), "a": np.full(2, 2.0), "b": np.full(2, 3.0)}
    matched = match(params, weights, [("xa", None), ("x.*", "a"), ("b", "b")])
    assert matched.params["a"].tolist() == [2, 2]
    assert matched.idle == ("x.*",)
    assert "No weight's name was matched by 'x.*'." in str(matched)


def test_the_report_is_a_table():
    text = str(match(_params(), _torch(), RULES, new="head")).splitlines()
    head = text[1]
    assert head.split() == ["status", "parameter", "shape", "weight", "shape", "dtype", "why"]
    # New parameters first, then what was left out, then what was found; every column begins under its name.
    assert [line.split("  ")[0] for line in text[2:]] == ["new"] * 2 + ["left out"] + ["matched"] * 4
    row = next(line for line in text if "stages.0.conv.weight" in line)
    assert row[head.index("weight") :].startswith("stages.0.conv.weight ")
    assert row[head.index("shape", head.index("weight")) :] == "[4, 2, 3, 3]  float32  axes (2, 3, 1, 0)"
    assert row[head.index("parameter") :].startswith("blocks/0/conv/kernel  [3, 3, 2, 4]")


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        (["ab"], TypeError, "accepted are .pattern, replacement or None"),
        ([("a", 3)], TypeError, "leads to 3"),
        ([("(", "a")], ValueError, "no regular expression"),
        ([("a", r"\1")], ValueError, "invalid group reference"),
        ([("a", r"\g<x>")], ValueError, "unknown group name"),
        ([("a", "a", (0, 2))], ValueError, "accepted is each of 0 to n - 1 once"),
        ([("a", "a", ("0", 1))], ValueError, r"has the axes \('0', 1\): accepted is each of 0 to n - 1 once"),
        ([("a", "a", (1, 0))], ValueError, r"axes = \(1, 0\) for 'a' of shape \(2,\)"),
        ([("b", "a")], ValueError, "'a' and 'b' both lead to parameter 'a'"),
    ],
)
def test_bad_rules_are_refused(rules, error, message):
    with pytest.raises(error, match=message):
        match({"a": jnp.zeros(2)}, {"a": np.ones(2), "b": np.ones(2)}, rules)


def test_bad_arguments_are_refused():
    params, weights = {"a": jnp.zeros(2)}, {"a": np.ones(2)}
    with pytest.raises(ValueError, match=r"new = .*'haed'"):
        match(params, weights, new="haed")
    with pytest.raises(TypeError, match=r"params: 'a' is 1\.0: accepted are arrays"):
        match({"a": 1.0}, weights)
    with pytest.raises(TypeError, match="weights: 'a' is 'text': accepted are arrays"):
        match(params, {"a": "text"})
    with pytest.raises(ValueError, match=r"several leaves of the names \['a/b'\]"):
        match({"a/b": jnp.ones(1), "a": {"b": jnp.ones(1)}}, weights)
