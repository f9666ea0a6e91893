"""Operations of matrix products and convolutions against counts by hand, as CPUs and as TPUs write them."""

import itertools

import pytest

from jaxlab.aot.contractions import flops_of, sizes_of
from jaxlab.sharding import hlo


def instruction(line: str, shapes: dict[str, str]) -> float:
    module, entry = hlo.parse(f"HloModule m\n\nENTRY %main () -> f32[] {{\n  {line}\n}}\n")
    return flops_of(module[entry][0], shapes)


@pytest.mark.parametrize(
    ("line", "left", "right", "expected"),
    [
        # [5, 7] x [7, 3]
        (
            "%d = f32[5,3]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}",
            "f32[5,7]",
            "f32[7,3]",
            2 * 5 * 7 * 3,
        ),
        # Four of them at once.
        (
            (
                "%d = f32[4,5,3]{2,1,0} dot(%a, %b), lhs_batch_dims={0}, lhs_contracting_dims={2}, rhs_batch_dims={0}, "
                "rhs_contracting_dims={1}"
            ),
            "f32[4,5,7]",
            "f32[4,7,3]",
            4 * 2 * 5 * 7 * 3,
        ),
        # As a TPU writes a product with weights: [2, 512, 4096] x [4096, 1024].
        (
            "%c = bf16[2,512,1024]{2,1,0:T(8,128)(2,1)} convolution(%a, %b), window={size=1}, dim_labels=0bf_io0->0bf",
            "bf16[2,512,4096]{2,1,0:T(8,128)(2,1)}",
            "bf16[4096,1024,1]{1,0,2}",
            2 * 2 * 512 * 4096 * 1024,
        ),
        # A gradient: summed over the batch of 2 and the length of 512.
        (
            "%c = bf16[1024,1024,1]{1,0,2} convolution(%a, %b), window={size=2}, dim_labels=0fb_0io->bf0",
            "bf16[2,512,1024]",
            "bf16[2,512,1024]",
            2 * 2 * 512 * 1024 * 1024,
        ),
        # Queries with keys, of 2 examples and 8 heads: a convolution over both, with gaps.
        (
            (
                "%c = f32[2,8,512,512]{2,3,1,0} convolution(%a, %b), window={size=2x8 stride=1x7 lhs_dilate=2x8}, "
                "dim_labels=0b1f_0o1i->01bf"
            ),
            "bf16[2,512,8,128]",
            "bf16[2,512,8,128]",
            2 * 2 * 8 * 512 * 512 * 128,
        ),
        # 74 squares of matrices at once.
        (
            (
                "%c = f32[74,1024,1024]{2,1,0} convolution(%a, %b), window={size=74 stride=73 lhs_dilate=74}, "
                "dim_labels=0fb_0io->0bf, operand_precision={highest,highest}"
            ),
            "f32[74,4096,1024]",
            "f32[74,4096,1024]",
            2 * 74 * 4096 * 1024 * 1024,
        ),
        ("%t = f32[5]{0} tanh(%a)", "f32[5]", "f32[5]", 0),
    ],
)
def test_products(line, left, right, expected):
    assert instruction(line, {"a": left, "b": right}) == expected


@pytest.mark.parametrize(("stride", "low", "gap", "spread"), list(itertools.product((1, 2), (0, 1), (1, 2), (1, 3))))
def test_convolution_counts_places_inside_the_array(stride, low, gap, spread):
    size, taken = 9, 3
    wide, window = (size - 1) * gap + 1, (taken - 1) * spread + 1
    made = (wide + 2 * low - window) // stride + 1
    inside = sum(
        0 <= (at := place * stride - low + k * spread) < wide and at % gap == 0
        for place in range(made)
        for k in range(taken)
    )
    line = (
        f"%c = f32[4,{made},6]{{2,1,0}} convolution(%a, %b), window={{size={taken} stride={stride} pad={low}_{low} "
        f"lhs_dilate={gap} rhs_dilate={spread}}}, dim_labels=b0f_0io->b0f, feature_group_count=2"
    )
    # 4 examples, 6 features from 10 in two groups.
    assert instruction(line, {"a": f"f32[4,{size},10]", "b": f"f32[{taken},5,6]"}) == 2 * 4 * 6 * 5 * inside


def test_sizes():
    assert sizes_of("f32[]") == []
    assert sizes_of("bf16[37,1,2048]{2,1,0:T(8,128)}") == [37, 1, 2048]
