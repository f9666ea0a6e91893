"""What every loss obeys, whatever it measures."""

import functools
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import losses

RNG = np.random.default_rng(0)
N, CLASSES, WIDTH = 8, 5, 3
WEIGHTS = np.array([1.0, 0.5, 0.0, 2.0, 0.0, 0.25, 1.0, 3.0], np.float32)

SCALARS = 2 * np.linspace(-1.3, 1.7, N).astype(np.float32)
LOGITS = 2 * RNG.normal(size=(N, CLASSES)).astype(np.float32)
NUMBERS = RNG.normal(size=N).astype(np.float32)
BINARY = RNG.integers(2, size=N)
LABELS = RNG.integers(CLASSES, size=N)
PROBABILITIES = RNG.dirichlet(np.ones(CLASSES), size=N).astype(np.float32)


class Subject(NamedTuple):
    """One loss and a legal call of it: outputs, targets (none for a term), and what else it needs."""

    outputs: np.ndarray
    targets: tuple[np.ndarray, ...]
    needs: Mapping[str, Any] = types.MappingProxyType({})
    lowest: float = -np.inf


SUBJECTS = {
    "mse": Subject(SCALARS, (NUMBERS,)),
    "mae": Subject(SCALARS, (NUMBERS,)),
    "huber": Subject(SCALARS, (NUMBERS,)),
    "log_cosh": Subject(SCALARS, (NUMBERS,)),
    "msle": Subject(np.exp(SCALARS), (np.exp(NUMBERS),), lowest=-1),
    "log_loss": Subject(SCALARS, (BINARY,)),
    "sigmoid_focal": Subject(SCALARS, (BINARY,)),
    "hinge": Subject(SCALARS, (BINARY,)),
    "squared_hinge": Subject(SCALARS, (BINARY,)),
    "cross_entropy": Subject(LOGITS, (LABELS,)),
    "chunked_cross_entropy": Subject(
        LOGITS[:, :WIDTH], (LABELS,), {"kernel": RNG.normal(size=(WIDTH, CLASSES)).astype(np.float32), "chunk_size": 3}
    ),
    "focal": Subject(LOGITS, (LABELS,)),
    "multiclass_hinge": Subject(LOGITS, (LABELS,)),
    "distillation": Subject(LOGITS, (LABELS,), {"teacher_logits": RNG.normal(size=(N, CLASSES)).astype(np.float32)}),
    "kl": Subject(LOGITS, (PROBABILITIES,)),
    "z_loss": Subject(LOGITS, ()),
}


def example(name):
    subject = SUBJECTS[name]
    return functools.partial(losses.get(name).function, **subject.needs), subject.outputs, subject.targets


def test_table_is_complete():
    assert set(SUBJECTS) == set(losses.names())


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_registry_is_honest(name):
    info, subject = losses.get(name), SUBJECTS[name]
    assert (info.targets == "nothing") == (subject.targets == ())
    assert set(info.needs) <= set(subject.needs)
    for needed in info.needs:
        with pytest.raises(TypeError, match=f"missing 1 required positional argument: '{needed}'"):
            info.function(subject.outputs, *subject.targets)


@pytest.mark.parametrize("name", [name for name in SUBJECTS if losses.get(name).targets == "classes"])
def test_a_label_that_is_no_class_is_nan_unless_ignored(name):
    function, outputs, _ = example(name)

    @functools.partial(jax.jit, static_argnames="ignore_index")
    def both(labels, ignore_index=None):
        values = function(outputs, labels, ignore_index=ignore_index, reduction="none")
        return values, jax.grad(function)(outputs, labels, ignore_index=ignore_index)

    for label in (-1, -CLASSES, CLASSES, 2**31 - 1):
        labels = np.where(np.arange(N) == 1, label, LABELS)
        values, slopes = both(labels)
        assert np.flatnonzero(np.isnan(values)).tolist() == [1]
        assert np.flatnonzero(np.isnan(slopes).any(axis=-1)).tolist() == [1]
    ignored, slopes = both(labels, ignore_index=label)
    np.testing.assert_allclose(ignored, np.where(np.arange(N) == 1, 0, values), rtol=1e-6)
    assert np.isfinite(slopes).all()
    assert not slopes[1].any()


@pytest.mark.parametrize("name", SUBJECTS)
class TestEveryLoss:
    def test_jit_is_eager(self, name):
        function, outputs, targets = example(name)
        for reduction in ("mean", "sum", "none"):
            jitted = jax.jit(lambda o, t, w, reduction=reduction: function(o, *t, weights=w, reduction=reduction))
            eager = function(outputs, *targets, weights=WEIGHTS, reduction=reduction)
            np.testing.assert_allclose(jitted(outputs, targets, WEIGHTS), eager, rtol=1e-6)

    def test_reductions_are_of_the_same_values(self, name):
        function, outputs, targets = example(name)
        values = function(outputs, *targets, reduction="none")
        assert values.shape == (N,)
        np.testing.assert_allclose(function(outputs, *targets, reduction="sum"), np.sum(values), rtol=1e-6)
        np.testing.assert_allclose(function(outputs, *targets), np.mean(values), rtol=1e-6)
        weighted = function(outputs, *targets, weights=WEIGHTS, reduction="none")
        np.testing.assert_allclose(weighted, WEIGHTS * values, rtol=1e-6)
        mean = function(outputs, *targets, weights=WEIGHTS)
        np.testing.assert_allclose(mean, np.average(values, weights=WEIGHTS), rtol=1e-6)

    def test_booleans_select(self, name):
        function, outputs, targets = example(name)
        keep = WEIGHTS > 0
        values = function(outputs, *targets, reduction="none")
        np.testing.assert_allclose(function(outputs, *targets, weights=keep), np.mean(values[keep]), rtol=1e-6)

    def test_vmap_is_a_loop(self, name):
        function, outputs, targets = example(name)
        members = np.stack([outputs, outputs / 2])
        weights = np.stack([WEIGHTS, WEIGHTS[::-1]])
        together = jax.vmap(lambda o, w: function(o, *targets, weights=w))(members, weights)
        alone = [function(o, *targets, weights=w) for o, w in zip(members, weights, strict=True)]
        np.testing.assert_allclose(together, alone, rtol=1e-6)

    @pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
    def test_values_and_gradients_are_finite_at_1e4(self, name, dtype):
        function, outputs, targets = example(name)
        both = jax.jit(jax.value_and_grad(function))
        for size in (0.0, 1e4, -1e4):
            # Each with its sign, and all alike.
            for extreme in (np.sign(outputs) * size, np.full(outputs.shape, size)):
                value, slope = both(jnp.asarray(extreme, dtype), *targets)
                assert value.dtype == jnp.float32
                assert slope.dtype == dtype
                legal = extreme.min() > SUBJECTS[name].lowest
                assert np.isfinite(value) if legal else np.isnan(value)
                assert np.isfinite(np.asarray(slope, np.float32)).all() or not legal

    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
    def test_float32_inside(self, name, dtype):
        function, outputs, targets = example(name)
        low = jnp.asarray(outputs, dtype)
        full = low.astype(jnp.float32)
        both = jax.jit(jax.value_and_grad(function))
        value, slope = both(low, *targets)
        expected, expected_slope = both(full, *targets)
        np.testing.assert_array_equal(value, expected)
        np.testing.assert_array_equal(slope, expected_slope.astype(dtype))

    def test_nothing_counts_where_the_weight_is_zero(self, name):
        function, outputs, targets = example(name)
        both = jax.jit(jax.value_and_grad(function))
        expected = both(outputs, *targets, weights=WEIGHTS)
        padded = np.where((WEIGHTS == 0).reshape(-1, *[1] * (outputs.ndim - 1)), np.nan, outputs)
        found = both(padded, *targets, weights=WEIGHTS)
        jax.tree.map(np.testing.assert_array_equal, found, expected)
        assert np.isfinite(found[1]).all()

    def test_nan_is_not_hidden_elsewhere(self, name):
        function, outputs, targets = example(name)
        broken = outputs.copy()
        broken[0] = np.nan
        assert np.isnan(function(broken, *targets))

    def test_mean_of_nothing_is_zero_with_zero_gradient(self, name):
        function, outputs, targets = example(name)
        value, slope = jax.value_and_grad(function)(outputs, *targets, weights=np.zeros(N))
        assert value == 0
        assert not slope.any()
        empty = {key: value[:0] for key, value in function.keywords.items() if np.shape(value)[:1] == (N,)}
        assert function(outputs[:0], *(t[:0] for t in targets), **empty) == 0

    def test_bad_arguments_are_named(self, name):
        function, outputs, targets = example(name)
        if targets:
            with pytest.raises(ValueError, match=r"shape \(8,.*\(8, 1"):
                function(outputs, targets[0][:, None])
            with pytest.raises(ValueError, match=r"shape \(8,.*\(5,"):
                function(outputs, targets[0][:5])
        with pytest.raises(ValueError, match=r"weights has shape \(5,\): accepted is \(8,\)"):
            function(outputs, *targets, weights=np.ones(5))
        with pytest.raises(ValueError, match="reduction = 'men': unknown, did you mean 'mean'"):
            function(outputs, *targets, reduction="men")
        with pytest.raises(TypeError, match="has dtype complex64: accepted are real numbers"):
            function(jnp.asarray(outputs, jnp.complex64), *targets)

    def test_float64_under_x64(self, name, x64):
        function, outputs, targets = example(name)
        assert function(outputs, *targets).dtype == jnp.float64
