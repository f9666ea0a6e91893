"""Operations of compiled steps against sums by hand; bytes of a program written by hand."""

import itertools

import jax
import jax.numpy as jnp
import pytest

from jaxlab.aot import works
from jaxlab.models.language import LanguageLoss
from jaxlab.models.sizes import GPTShape

TOKENS = (2, 16)
SHAPE = GPTShape(vocabulary=96, width=32, layers=3, heads=4, kv_heads=2)


def flops(compiled) -> float:
    done = works(compiled.as_text())
    assert all(one.exact for one in done)
    return sum(one.times * one.flops for one in done)


def test_mlp():
    """Forward one product a layer, backward two, but for the gradient of the input."""
    sizes, examples = (6, 10, 14, 3), 5
    params = [jnp.ones(pair) for pair in itertools.pairwise(sizes)]

    def loss(params, x):
        for kernel in params:
            x = jnp.tanh(x @ kernel)
        return jnp.sum(x)

    compiled = jax.jit(jax.grad(loss)).lower(params, jnp.ones((examples, sizes[0]))).compile()
    weights = sum(leaf.size for leaf in params)
    assert flops(compiled) == 2 * examples * (3 * weights - params[0].size)


@pytest.mark.parametrize("remat", ["none", "full"])
def test_gpt_in_a_loop(remat):
    """All layers count, and so does what is made again: all of a block but its last product."""
    model = SHAPE.model(scan=True, remat=remat)
    loss = LanguageLoss(model)
    params = jax.eval_shape(model.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct(TOKENS, jnp.int32)
    step = jax.jit(jax.grad(lambda params, x: loss(params, {"x": x, "y": x})[0]))
    batch, length = TOKENS
    # By hand: query and out 32 x 32, key and value 32 x 16, up and down 32 x 128, head 32 x 96.
    up = 32 * 128
    products, attention = 2 * 32 * 32 + 2 * 32 * 16 + 2 * up, 2 * 32 * length
    forward = 2 * (3 * (products + attention) + 32 * 96)
    again = {"none": 0, "full": 2 * 3 * (products - up + attention)}[remat]
    assert flops(step.lower(params, x).compile()) == batch * length * (3 * forward + again)


PROGRAM = """HloModule step, is_scheduled=true

%cut (stack: f32[8,1024], i: s32[]) -> f32[1,1024] {
  %stack = f32[8,1024]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %zero = s32[] constant(0)
  %layer = f32[1,1024]{1,0} dynamic-slice(%stack, %i, %zero), dynamic_slice_sizes={1,1024}
  ROOT %twice = f32[1,1024]{1,0} add(%layer, %layer)
}

%put (stack: f32[8,1024], layer: f32[1,1024], i: s32[]) -> f32[8,1024] {
  %stack = f32[8,1024]{1,0} parameter(0)
  %layer = f32[1,1024]{1,0} parameter(1)
  %i = s32[] parameter(2)
  %zero = s32[] constant(0)
  ROOT %update = f32[8,1024]{1,0} dynamic-update-slice(%stack, %layer, %i, %zero)
}

%body (t: (s32[], f32[8,1024])) -> (s32[], f32[8,1024]) {
  %t = (s32[], f32[8,1024]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %stack = f32[8,1024]{1,0} get-tuple-element(%t), index=1
  %layer = f32[1,1024]{1,0:S(1)} fusion(%stack, %i), kind=kLoop, calls=%cut
  %next = f32[8,1024]{1,0} fusion(%stack, %layer, %i), kind=kLoop, calls=%put
  %one = s32[] constant(1)
  %j = s32[] add(%i, %one)
  ROOT %u = (s32[], f32[8,1024]{1,0}) tuple(%j, %next)
}

%condition (t: (s32[], f32[8,1024])) -> pred[] {
  %t = (s32[], f32[8,1024]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %end = s32[] constant(8)
  ROOT %less = pred[] compare(%i, %end), direction=LT
}

ENTRY %main (p: f32[8,1024]) -> f32[8,1024] {
  %p = f32[8,1024]{1,0} parameter(0)
  %ahead = (f32[8,1024]{1,0:S(1)}, f32[8,1024]{1,0}, u32[]{:S(2)}) copy-start(%p)
  %near = f32[8,1024]{1,0:S(1)} copy-done(%ahead)
  %far = f32[8,1024]{1,0} negate(%near)
  %first = s32[] constant(0)
  %start = (s32[], f32[8,1024]{1,0}) tuple(%first, %far)
  %loop = (s32[], f32[8,1024]{1,0}) while(%start), condition=%condition, body=%body
  ROOT %result = f32[8,1024]{1,0} get-tuple-element(%loop), index=1
}
"""


def test_bytes_of_memory():
    done = {one.name: one for one in works(PROGRAM)}
    # A copy into a core's memory reads, what works there on it writes; of a stack one layer is read, and written.
    assert {name: (one.times, one.bytes) for name, one in done.items() if one.bytes > 100} == {
        "ahead": (1, 8 * 4096),
        "far": (1, 8 * 4096),
        "layer": (8, 4096 + 4),
        "next": (8, 4096 + 4),
    }
    assert done["ahead"].beside
    assert not done["far"].beside
