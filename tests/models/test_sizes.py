"""One dial for the size: counts that are the model's own, and sizes near the ones asked for."""

import dataclasses
import itertools

import jax
import pytest

from jaxlab.models import GPTShape, shape_of
from jaxlab.models.sizes import parameters_of

SHAPES = [
    GPTShape(256, 128, 5, 4, 4),
    GPTShape(300, 64, 2, 4, 2, "swiglu", True),
    GPTShape(11, 96, 1, 3, 1, "gelu"),
    GPTShape(50_304, 768, 12, 12, 12, tied=True),
    shape_of("7B", 32_768),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.parameters:.0e}")
@pytest.mark.parametrize("scan", [False, True])
def test_the_count_is_that_of_the_model(shape, scan):
    shape = shape if scan else dataclasses.replace(shape, layers=min(shape.layers, 3))
    params = jax.eval_shape(shape.model(scan=scan).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == shape.parameters


SIZES = {"1M": 256, "3M": 256, "10M": 4096, "30M": 8192, "124M": 50_304, "350M": 50_304, "1B": 32_768, "7B": 32_768}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("activation", ["relu2", "swiglu"])
@pytest.mark.parametrize("tied", [False, True])
def test_sizes_are_near_those_asked_for(size, activation, tied):
    shape, count = shape_of(size, SIZES[size], activation=activation, tied=tied), parameters_of(size)
    assert shape.parameters == pytest.approx(count, rel=0.2)  # Layers come in eights from a billion on.
    assert 10 < shape.width / shape.layers < 250
    assert shape.width % shape.heads == shape.heads % shape.kv_heads == 0
    assert shape.width // shape.heads in (32, 64, 128)
    assert (shape.activation, shape.tied) == (activation, tied)


def test_bigger_models_are_wider_and_deeper():
    shapes = [shape_of(size, 256) for size in (1e6, 1e7, 1e8, 1e9, 1e10)]
    for smaller, larger in itertools.pairwise(shapes):
        assert smaller.width < larger.width
        assert smaller.layers < larger.layers


def test_operations_by_hand():
    width, layers, heads, kv_heads, vocabulary, context = 64, 3, 4, 2, 100, 50
    shape = GPTShape(vocabulary, width, layers, heads, kv_heads, "swiglu", tied=True)
    hidden = 160  # 8/3 * 64 in multiples of 32
    assert shape.hidden == hidden
    block = width * width * 2 + width * (width // 2) * 2 + 3 * width * hidden
    forward = 2 * (layers * block + width * vocabulary) + layers * 2 * (2 * width * context)
    assert shape.flops_per_token(context) == 3 * forward


@pytest.mark.parametrize(
    ("text", "count"), [("124M", 124e6), (" 1.5b ", 1.5e9), ("30k", 3e4), (5e6, 5e6), ("70000", 7e4)]
)
def test_sizes_in_words(text, count):
    assert parameters_of(text) == count


@pytest.mark.parametrize("size", ["big", "", "-1M", "1T", 0, -5, float("nan"), float("inf"), True, None])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match="accepted are a number of parameters and texts such as"):
        parameters_of(size)


def test_a_model_smaller_than_its_tables_is_refused():
    with pytest.raises(ValueError, match=r"accepted are sizes from about 3\.2M parameters on"):
        shape_of("1M", 50_304)
