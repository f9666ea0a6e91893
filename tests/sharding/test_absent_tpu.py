"""Steps compiled for eight chips of a TPU v5e that are not here: memory of each, and what they send each other.

Needs libtpu, in an environment of its own: .github/requirements/tpu.txt.
"""

import importlib.util

import jax
import pytest
from sharding.planned import LAYOUTS, gpt, kernels, least_sent, mlp, moved

from jaxlab import aot
from jaxlab.core.cost import bytes_of, bytes_per_device
from jaxlab.sharding import make_mesh
from jaxlab.sharding.collectives import bytes_sent, collectives

if importlib.util.find_spec("libtpu") is None:
    pytest.skip("libtpu is not installed: pip install -r .github/requirements/tpu.txt", allow_module_level=True)

# A share of a matrix has 256 columns at least: narrower ones in bfloat16 this compiler sums everywhere.
SUBJECTS = {"mlp": mlp(1024, 2048, 64), "gpt": gpt(1024, 8, 8, 64)}
PLANS = [
    *[("mlp", layout, "bfloat16") for layout in LAYOUTS],
    *[("mlp", layout, "float32") for layout in ("zero-1", "zero-3")],
    *[("gpt", layout, "bfloat16") for layout in ("zero-3", "mixed")],
]


@pytest.fixture(scope="module")
def chips():
    """Eight chips, as libtpu describes them to its compiler."""
    jax.config.update("jax_disable_most_optimizations", False)
    return aot.devices_of("v5e:2x4")


@pytest.fixture(scope="module", params=PLANS, ids="-".join)
def plan(request, chips):
    """One compiled step, and what it was made from."""
    name, layout, policy = request.param
    mesh, zero, *parts = LAYOUTS[layout]
    layout = SUBJECTS[name].layout(make_mesh(mesh, devices=chips), zero)
    return SUBJECTS[name], layout, policy, parts, SUBJECTS[name].compiled(layout, policy)


def test_memory_of_each_chip(plan):
    subject, layout, policy, (of_params, _, of_state), compiled = plan
    state = subject.state(layout, policy=policy)
    params, batch = bytes_of(state.params), bytes_per_device(layout.abstract_batch(subject.batch))
    assert bytes_per_device(state.params) == pytest.approx(params / of_params, rel=0.05)
    assert bytes_per_device(state.opt_state) == pytest.approx(2 * params / of_state, rel=0.05)
    memory = compiled.memory_analysis()
    kept = params / of_params + 2 * params / of_state
    assert memory.argument_size_in_bytes == pytest.approx(kept + batch, rel=0.05)
    # The new state takes the place of the old one.
    assert memory.alias_size_in_bytes == pytest.approx(kept, rel=0.05)


def test_bytes_sent_are_the_least_that_are_possible(plan):
    subject, layout, policy, _, compiled = plan
    found = collectives(compiled, layout.mesh)
    assert all(one.exact and one.axes is not None for one in found)
    least = least_sent(subject, layout, compute=2 if policy == "bfloat16" else 4)
    # Less than the least: what the backward pass begins with was gathered a moment ago; and a step in float32
    # multiplies in bfloat16 all the same, and gathers what it multiplies.
    assert (0.9 if policy == "bfloat16" or layout.zero < 3 else 0.5) * least < bytes_sent(found) <= 1.1 * least


def test_zero_scatters_gradients_and_gathers_parameters(plan):
    subject, layout, policy, _, compiled = plan
    found = collectives(compiled, layout.mesh)
    scattered = bytes_sent(found, "reduce-scatter")
    summed = sum(one.sent for one in found if one.kind == "all-reduce" and one.axes != ("tensor",))
    if not layout.zero:
        assert scattered == 0
        assert bytes_sent(found, "all-gather") == 0
        return
    each = 8 // layout.axes.get("tensor", 1)
    gradients = sum(leaf.size for leaf in kernels(jax.eval_shape(subject.model.init, jax.random.key(0))).values())
    expected = (2 if policy == "bfloat16" else 4) * moved(gradients / layout.axes.get("tensor", 1), each)
    assert scattered == pytest.approx(expected, rel=0.05)
    assert summed < 0.02 * scattered
    if layout.zero < 3:
        assert bytes_sent(found, "all-gather") == pytest.approx(4 * moved(gradients, each), rel=0.05)


def test_operations_memory_and_time_of_a_step(plan):
    subject, layout, _, _, compiled = plan
    chip = aot.slice_of("v5e:2x4").chip
    found = aot.read(compiled, layout.mesh, chip)
    assert found.exact
    assert found.flops == pytest.approx(flops_of(subject) / 8)
    assert found.memory.arguments < found.memory.peak < chip.memory
    assert 0 < found.time.compute <= found.time.core <= found.time.seconds < 0.1


def flops_of(subject) -> float:
    """By hand: three products for each weight and example or token, but for the gradient of what comes in."""
    params = kernels(jax.eval_shape(subject.model.init, jax.random.key(0)))
    x = subject.batch["x"]
    if x.dtype != "int32":
        first = params["dense_0/kernel"].size
        return 2 * x.shape[0] * (3 * sum(leaf.size for leaf in params.values()) - first)
    (examples, length), width = x.shape, params["embed/embedding"].shape[1]
    products = sum(leaf.size for name, leaf in params.items() if "embedding" not in name)
    return examples * length * (6 * products + 12 * length * width)
