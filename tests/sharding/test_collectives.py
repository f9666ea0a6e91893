"""Collectives of programs that are known in closed form, as CPU, GPU and TPU write them."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from jaxlab.sharding import make_mesh
from jaxlab.sharding.collectives import Collective, axes_of, bytes_sent, collectives
from jaxlab.sharding.hlo import groups

MESH = AbstractMesh((4, 2), ("data", "tensor"))
"""Places 0 to 7, tensor innermost."""


@pytest.fixture(scope="module")
def found() -> tuple[Collective, ...]:
    """A program that runs each kind once, and one in a loop of five turns, on arrays of 1 KiB for each device."""
    mesh = make_mesh("data=4,tensor=2")

    def everything(x: Array) -> list[Array]:
        turns = jax.lax.scan(lambda carry, _: (jax.lax.pmax(carry, ("data", "tensor")), None), x, length=5)[0]
        return [
            turns,
            jax.lax.psum(x, "data"),
            jax.lax.all_gather(x, "tensor", tiled=True),
            jax.lax.psum_scatter(x, "data", tiled=True),
            jax.lax.ppermute(x, "data", [(0, 1), (1, 2), (2, 3), (3, 0)]),
            jax.lax.all_to_all(x, "tensor", 0, 1, tiled=True),
        ]

    spec = PartitionSpec("data", "tensor")
    program = jax.jit(jax.shard_map(everything, mesh=mesh, in_specs=spec, out_specs=PartitionSpec(), check_vma=False))
    x = jax.ShapeDtypeStruct((64, 32), jnp.float32, sharding=NamedSharding(mesh, spec))
    return collectives(program.lower(x).compile(), mesh)


def test_every_kind_with_its_axes_and_bytes(found: tuple[Collective, ...]) -> None:
    size = 16 * 16 * 4
    assert set(found) == {
        Collective("all-reduce", ("data", "tensor"), 8, 5, 5 * size * 2 * 7 / 8, True),
        Collective("all-reduce", ("data",), 4, 1, size * 2 * 3 / 4, True),
        Collective("all-gather", ("tensor",), 2, 1, 2 * size * 1 / 2, True),
        Collective("reduce-scatter", ("data",), 4, 1, size * 3 / 4, True),
        Collective("collective-permute", ("data",), 2, 1, size, True),
        Collective("all-to-all", ("tensor",), 2, 1, size / 2, True),
    }


def test_sums_by_kind_and_axis(found: tuple[Collective, ...]) -> None:
    assert bytes_sent(found) == sum(one.sent for one in found)
    assert bytes_sent(found, "all-gather", "reduce-scatter") == 1024 + 768
    assert bytes_sent(found, axes=("tensor",)) == 1024 + 512


def test_most_bytes_come_first(found: tuple[Collective, ...]) -> None:
    assert [one.sent for one in found] == sorted((one.sent for one in found), reverse=True)


def test_what_the_compiler_inserts_is_found() -> None:
    mesh = make_mesh("data=8")
    whole, cut = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    weights = jax.ShapeDtypeStruct((32, 16), jnp.int8, sharding=cut)
    compiled = jax.jit(lambda w: w, out_shardings=whole).lower(weights).compile()
    assert collectives(compiled, mesh) == (Collective("all-gather", ("data",), 8, 1, 32 * 16 * 7 / 8, True),)


def program(*lines: str, before: str = "") -> str:
    """The text of a program over eight devices."""
    body = "\n".join(f"  {line}" for line in lines)
    head = "HloModule jit_step, is_scheduled=true, num_partitions=8\n"
    return f"{head}\n{before}\nENTRY %main.1 (p: f32[64]) -> f32[64] {{\n  %p = f32[64]{{0}} parameter(0)\n{body}\n}}\n"


ALONG_DATA = "channel_id=1, replica_groups={{0,2,4,6},{1,3,5,7}}, use_global_device_ids=true"
SCATTER = f"""
%all-reduce-scatter.3 (input: f32[64]) -> f32[16] {{
  %input = f32[64]{{0:T(256)}} parameter(0)
  %all-reduce.1 = f32[64]{{0:T(256)}} all-reduce(%input), {ALONG_DATA}, to_apply=%add
  ROOT %slice = f32[16]{{0:T(128)}} dynamic-slice(%all-reduce.1, %place), dynamic_slice_sizes={{16}}
}}
"""
WRAPPED = f"""
%async_computation (q: f32[64]) -> f32[16] {{
  %q = f32[64]{{0}} parameter(0)
  ROOT %rs = f32[16]{{0}} reduce-scatter(%q), {ALONG_DATA}, dimensions={{0}}, to_apply=%add
}}
"""
GATHER = f'all-gather(%q), {ALONG_DATA}, dimensions={{0}}, frontend_attributes={{chain_id="0"}}'
CHAIN = f"""
%fused_computation.1 (q: f32[16]) -> (f32[16], f32[64]) {{
  %q = f32[16]{{0}} parameter(0)
  %begun = f32[64]{{0}} {GATHER}
  ROOT %c = (f32[16]{{0}}, f32[64]{{0}}) custom-call(%begun), custom_call_target="AsyncCollectiveStart"
}}

%async_collective_fusion.2 (q: f32[16]) -> (f32[8], f32[64]) {{
  %q = f32[16]{{0}} parameter(0)
  %work = f32[8]{{0}} convolution(%q, %q)
  %beside = f32[64]{{0}} {GATHER}
  ROOT %t = (f32[8]{{0}}, f32[64]{{0}}) tuple(%work, %beside)
}}

%fused_computation.3 (q: f32[16]) -> f32[64] {{
  %q = f32[16]{{0}} parameter(0)
  %ended = f32[64]{{0}} {GATHER}
  ROOT %c = f32[64]{{0}} custom-call(%q, %ended), custom_call_target="AsyncCollectiveDone"
}}
"""
FORMS = {
    "TPU: a gather that runs beside other work": (
        program(
            "%a = (f32[16]{0}, f32[64]{0}) fusion(%p), kind=kCustom, calls=%fused_computation.1",
            "%b = (f32[8]{0}, f32[64]{0}) fusion(%a), kind=kOutput, calls=%async_collective_fusion.2",
            "ROOT %c = f32[64]{0} fusion(%b), kind=kCustom, calls=%fused_computation.3",
            before=CHAIN,
        ),
        Collective("all-gather", ("data",), 4, 1, 192.0, True),
    ),
    "TPU: an all-reduce fused with a slice": (
        program("ROOT %f = f32[16]{0:T(128)} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.3", before=SCATTER),
        Collective("reduce-scatter", ("data",), 4, 1, 192.0, True),
    ),
    "GPU: a reduction begun and ended": (
        program(
            f"%s = f32[64]{{0}} all-reduce-start(%p), {ALONG_DATA}, to_apply=%add",
            "ROOT %d = f32[64]{0} all-reduce-done(%s)",
        ),
        Collective("all-reduce", ("data",), 4, 1, 384.0, True),
    ),
    "GPU: two arrays gathered together": (
        program(
            "%s = ((f32[64]{0}, bf16[2]{0}), (f32[256]{0}, bf16[8]{0})) all-gather-start(%p, %q), "
            f"{ALONG_DATA}, dimensions={{0}}",
            "ROOT %d = (f32[256]{0}, bf16[8]{0}) all-gather-done(%s)",
        ),
        Collective("all-gather", ("data",), 4, 1, 768.0 + 12.0, True),
    ),
    "GPU: a computation run aside": (
        program(
            "%s = ((f32[64]{0}), f32[16]{0}) async-start(%p), calls=%async_computation",
            "ROOT %d = f32[16]{0} async-done(%s), calls=%async_computation",
            before=WRAPPED,
        ),
        Collective("reduce-scatter", ("data",), 4, 1, 192.0, True),
    ),
    "GPU: the same in short": (
        program(
            f"%s = ((f32[64]{{0}}), f32[16]{{0}}) reduce-scatter-start(%p), {ALONG_DATA}, to_apply=%add",
            "ROOT %d = f32[16]{0} reduce-scatter-done(%s)",
        ),
        Collective("reduce-scatter", ("data",), 4, 1, 192.0, True),
    ),
    "TPU: a permutation with its flags": (
        program(
            "%s = (f32[64]{0:T(256)}, f32[64]{0:T(256)S(1)}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%p), "
            "channel_id=1, source_target_pairs={{0,1},{1,0}}",
            "ROOT %d = f32[64]{0:T(256)S(1)} collective-permute-done(%s)",
        ),
        Collective("collective-permute", ("tensor",), 2, 1, 256.0, True),
    ),
    "groups by axes of the compiler's own mesh": (
        program("ROOT %g = f32[64]{0} all-gather(%p), replica_groups=mesh['a'=4,'b'=1,'c'=2] {'a'}, dimensions={0}"),
        Collective("all-gather", ("data",), 4, 1, 192.0, True),
    ),
    "groups in short": (
        program("ROOT %r = f32[64]{0} all-reduce(%p), replica_groups=[2,4]<=[4,2]T(1,0), to_apply=%add"),
        Collective("all-reduce", ("data",), 4, 1, 384.0, True),
    ),
    "groups of half an axis": (
        program("ROOT %r = f32[64]{0} all-reduce(%p), replica_groups={{0,2},{4,6},{1,3},{5,7}}, to_apply=%add"),
        Collective("all-reduce", None, 2, 1, 256.0, True),
    ),
    "no groups: all with all": (
        program("ROOT %r = f32[64]{0} all-reduce(%p), replica_groups={}, to_apply=%add"),
        Collective("all-reduce", ("data", "tensor"), 8, 1, 448.0, True),
    ),
    "a branch that may be taken": (
        program(
            "ROOT %c = f32[16]{0} conditional(%p, %a, %a), branch_computations={%async_computation, %other}",
            before=WRAPPED,
        ),
        Collective("reduce-scatter", ("data",), 4, 1, 192.0, False),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_compilers(form: str) -> None:
    text, expected = FORMS[form]
    assert collectives(text, MESH) == (expected,)


def loop(bound: str, *, first: int = 0, step: int = 1, attributes: str = "") -> str:
    """A loop as a TPU writes it, with an all-reduce in its body."""
    before = f"""
%body (t: (s32[], f32[64])) -> (s32[], f32[64]) {{
  %one = s32[]{{:T(128)}} constant({step})
  %t = (s32[]{{:T(128)}}, f32[64]{{0}}) parameter(0)
  %x = f32[64]{{0}} get-tuple-element(%t), index=1
  %r = f32[64]{{0}} all-reduce(%x), {ALONG_DATA}, to_apply=%add
  %i = s32[]{{:T(128)}} get-tuple-element(%t), index=0
  %next = s32[]{{:T(128)}} add(%i, %one)
  ROOT %u = (s32[]{{:T(128)}}, f32[64]{{0}}) tuple(%next, %r)
}}

%condition (t: (s32[], f32[64])) -> pred[] {{
  %end = s32[]{{:T(128)}} {bound}
  %t = (s32[]{{:T(128)}}, f32[64]{{0}}) parameter(0)
  %i = s32[]{{:T(128)}} get-tuple-element(%t), index=0
  ROOT %less = pred[]{{:T(512)}} compare(%i, %end), direction=LT
}}
"""
    return program(
        f"%zero = s32[]{{:T(128)}} constant({first})",
        "%first = s32[]{:T(128)} copy(%zero)",
        "%start = (s32[]{:T(128)}, /*index=1*/f32[64]{0}) tuple(%first, %p)",
        "ROOT %w = (s32[]{:T(128)}, f32[64]{0}) while(%start), condition=%condition, body=%body" + attributes,
        before=before,
    )


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        (loop("constant(7)"), 7),
        (loop("parameter(1)", attributes=', backend_config={"known_trip_count":{"n":"3"}}'), 3),
        (loop("parameter(1)"), None),
        (loop("constant(7)", first=2), 5),
        (loop("constant(7)", step=2), 4),
        (loop("constant(7)", first=8), 0),
        (loop("constant(7)", step=0), None),
    ],
)
def test_turns_of_loops(text: str, turns: int | None) -> None:
    (one,) = collectives(text, MESH)
    assert (one.count, one.exact) == (1 if turns is None else turns, turns is not None)


def test_groups_along_parts_of_axes_and_in_another_order() -> None:
    half = "replica_groups=mesh['a'=4,'b'=2] {'a':(1)2,'b'}"
    assert groups(half, 8) == [[0, 1, 4, 5], [2, 3, 6, 7]]
    listed = "replica_groups=mesh['a'=2,'b'=2], device_ids=(3,2,1,0) {'a'}"
    assert groups(listed, 4) == [[3, 1], [2, 0]]
    turned = "replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'a'}"
    assert groups(turned, 4) == [[0, 1], [2, 3]]


def test_axes_of_groups() -> None:
    mesh = AbstractMesh((2, 2, 2), ("data", "fsdp", "tensor"))
    assert axes_of([[0, 2, 4, 6], [1, 3, 5, 7]], mesh) == ("data", "fsdp")
    assert axes_of([[0], [1]], mesh) == ()
    assert axes_of([[0, 3], [1, 2]], mesh) is None


def test_refused() -> None:
    with pytest.raises(TypeError, match=r"compiled = 'add'.*accepted is jax\.jit"):
        collectives("add")
    with pytest.raises(TypeError, match="compiled = 3"):
        collectives(3)
    with pytest.raises(ValueError, match=r"\{'data': 4\}.*8 devices"):
        collectives(FORMS["groups in short"][0], AbstractMesh((4,), ("data",)))
