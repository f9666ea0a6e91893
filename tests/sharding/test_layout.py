"""Where parameters, state and batches of a layout lie; and every layout that is none, told before compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

import jaxlab
from jaxlab.core import tree
from jaxlab.models import CNN, GPT, MLP, pure
from jaxlab.sharding import Layout, make_mesh
from jaxlab.train import init_state, make_train_step

PARAMS = {"dense": {"kernel": jnp.zeros((16, 64)), "bias": jnp.zeros(64)}, "scale": jnp.zeros(())}
RULES = [("kernel", (None, "tensor")), ("bias", ("tensor",))]
ADAM = jaxlab.optimizers.Recipe("adam").build
RATES = {"learning_rate": 0.1}
KEY = jax.random.key(0)


def plain(spec, rank):
    return (*spec, *[None] * rank)[:rank]


@pytest.mark.parametrize(
    ("mesh", "zero", "stage", "kernel", "bias"),
    [
        ("data=8", 0, 1, (None, None), (None,)),
        ("data=8", 1, 1, (None, "data"), ("data",)),
        ("data=8", 1, 2, (None, None), (None,)),
        ("data=8", 2, 2, (None, "data"), ("data",)),
        ("data=8", 2, 3, (None, None), (None,)),
        ("data=8", 3, 3, (None, "data"), ("data",)),
        ("data=8", 3, 4, (None, None), (None,)),
        ("fsdp=8", None, 3, (None, "fsdp"), ("fsdp",)),
        ("data=4,tensor=2", 0, 1, (None, "tensor"), ("tensor",)),
        ("data=4,tensor=2", 1, 1, ("data", "tensor"), (("tensor", "data"),)),
        ("data=2,fsdp=2,tensor=2", None, 3, ("fsdp", "tensor"), (("tensor", "fsdp"),)),
        ("data=2,fsdp=2,tensor=2", None, 1, (("fsdp", "data"), "tensor"), (("tensor", "fsdp", "data"),)),
        ("data=2,fsdp=2,tensor=2", None, 4, (None, "tensor"), ("tensor",)),
    ],
)
def test_what_each_stage_shares(mesh, zero, stage, kernel, bias):
    layout = Layout(mesh, RULES if "tensor" in mesh else (), zero=zero, min_size=1)
    found = layout.shardings(PARAMS, stage=stage)
    assert plain(found["dense"]["kernel"].spec, 2) == kernel
    assert plain(found["dense"]["bias"].spec, 1) == bias
    assert found["scale"].is_fully_replicated


def test_small_leaves_are_not_shared():
    found = Layout("data=8", zero=3).shardings(PARAMS)
    assert not found["dense"]["kernel"].is_fully_replicated
    assert found["dense"]["bias"].is_fully_replicated


def test_zero_is_three_where_the_mesh_says_fsdp():
    assert [Layout(mesh).zero for mesh in ("data=8", "fsdp=8", "data=8,fsdp=1", "data=4,fsdp=2")] == [0, 3, 0, 3]


OPTIMIZERS = {
    "adam": ADAM(RATES),
    "adafactor": jaxlab.optimizers.Recipe("adafactor", static={"min_factored": 4}).build(RATES),
    "optax's adamw": optax.adamw(0.1),
}


@pytest.mark.parametrize("kind", ["auto", "explicit"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_lies_where_its_parameters_axes_lie(name, kind):
    layout = Layout(make_mesh("data=4,tensor=2", axis_types=kind), RULES[:1], zero=1, min_size=1)
    init, kernel = OPTIMIZERS[name].init, {"kernel": PARAMS["dense"]["kernel"]}
    state, places = jax.eval_shape(init, kernel), layout.state_shardings(init, kernel)
    # Of Adafactor's sums over rows and columns, one is cut as that side of the matrix, and ZeRO cuts the other further.
    wanted = {(16, 64): ("data", "tensor"), (16,): ("data",), (64,): (("tensor", "data"),)}
    found = set()
    for leaf, place in zip(jax.tree.leaves(state), jax.tree.leaves(places), strict=True):
        assert place.mesh == layout.mesh
        if leaf.ndim:
            assert plain(place.spec, leaf.ndim) == wanted[leaf.shape]
            found.add(leaf.shape)
    assert found == ({(16,), (64,)} if name == "adafactor" else {(16, 64)})


def test_equal_layouts_have_one_hash():
    listed = Layout("data=4,tensor=2", [["kernel", [None, ["tensor"]]]], zero=np.int64(1))
    assert hash(listed) == hash(Layout("data=4,tensor=2", [("kernel", (None, ("tensor",)))], zero=1))


def test_the_batch_lies_over_data_and_fsdp_and_what_is_there_stays():
    layout = Layout("data=2,fsdp=2,sequence=2", batch=("batch", "sequence"))
    batch = layout.put_batch({"x": np.zeros((8, 6, 3)), "y": np.zeros(8, np.int32)})
    assert layout.put_batch({"n": 3})["n"].is_fully_replicated
    assert {leaf.addressable_shards[0].data.shape for leaf in jax.tree.leaves(batch)} == {(2, 3, 3), (2,)}
    again = layout.put_batch(batch)
    assert [s.data.unsafe_buffer_pointer() for s in again["x"].addressable_shards] == [
        s.data.unsafe_buffer_pointer() for s in batch["x"].addressable_shards
    ]


@pytest.mark.parametrize(
    ("arguments", "options", "complaint"),
    [
        (("data=8",), {"zero": 4}, "zero = 4: accepted are 0, 1, 2, 3"),
        (("data=8",), {"zero": True}, "zero = True: accepted are 0, 1, 2, 3"),
        (("data=8",), {"zero": 1.0}, "zero = 1.0: accepted are 0, 1, 2, 3"),
        (("tensor=8",), {"zero": 1}, "zero = 1: accepted on a mesh with axis data or fsdp; this one has tensor=8"),
        (("data=8",), {"batch": ("length",)}, "batch = 'length'"),
        (("data=8",), {"min_size": -1}, "min_size = -1"),
        (("data=8", [("kernel", ("model",))]), {}, "'kernel' names mesh axis 'model'; the mesh has data, accepted are"),
        (("model=8",), {}, "axis 'model' is unknown"),
    ],
)
def test_layouts_that_are_none(arguments, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        Layout(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "complaint"),
    [
        ((8,), {}, "mesh = 8: accepted is a text"),
        (("data=8", "kernel"), {}, "rules = 'kernel': accepted are"),
        (("data=8",), {"rules": None}, "rules = None: accepted are"),
        (("data=8",), {"batch": "batch"}, "batch = 'batch': accepted is a tuple of names, such as"),
        (("data=8",), {"min_size": 1.5}, "min_size = 1.5"),
    ],
)
def test_arguments_of_another_kind(arguments, options, complaint):
    with pytest.raises(TypeError, match=complaint):
        Layout(*arguments, **options)


def test_a_mesh_of_ones_own_has_axes_that_something_uses():
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    with pytest.raises(ValueError, match="mesh axis 'model' of data=4,model=2 cuts nothing: accepted are data, fsdp"):
        Layout(mesh)
    assert plain(Layout(mesh, [("kernel", (None, "model"))]).shardings(PARAMS)["dense"]["kernel"].spec, 2)[1] == "model"


def squares(params, batch, key):
    return jnp.mean((batch["x"] @ params["dense"]["kernel"]) ** 2), {}


def begin(layout):
    return init_state(PARAMS, ADAM, RATES, key=KEY, layout=layout)


def test_rules_are_checked_when_parameters_are_there():
    with pytest.raises(ValueError, match=r"rule 'gate' matches no parameter; the parameters are dense/bias \(64,\)"):
        begin(Layout("data=4,tensor=2", [("gate", ("tensor",))]))


def test_a_batch_that_does_not_divide_is_named():
    layout = Layout("data=4,fsdp=2")
    step = make_train_step(squares, ADAM, layout=layout)
    complaint = (
        r"batch leaf 'x' of shape \(12, 16\): axis 0 \(batch\) is not divided by mesh axis .* of size 8; accepted"
    )
    with pytest.raises(ValueError, match=complaint):
        step(begin(layout), {"x": np.zeros((12, 16), np.float32)})


def test_micro_batches_divide_too():
    layout = Layout("data=8")
    step = make_train_step(squares, ADAM, layout=layout, accumulate=4)
    complaint = r"accumulate = 4: micro-batch leaf 'x' of shape \(4, 16\): axis 0 \(batch\) is not divided by mesh axis"
    with pytest.raises(ValueError, match=complaint):
        step(begin(layout), {"x": np.zeros((16, 16), np.float32)})


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (lambda: None, "state '.*' lies on SingleDeviceSharding.*, not on the layout's mesh, {'data': 8}: accepted"),
        (lambda: Layout("data=4,fsdp=2"), "state '.*' lies on another mesh, {'data': 4, 'fsdp': 2}, than the layout's"),
    ],
)
def test_a_state_of_another_mesh_is_refused(other, complaint):
    step = make_train_step(squares, ADAM, layout=Layout("data=8"))
    with pytest.raises(ValueError, match=complaint):
        step(begin(other()), {"x": np.zeros((8, 16), np.float32)})


def test_states_of_two_layouts_on_one_mesh_keep_theirs():
    whole, shared = (Layout("data=8", zero=stage, min_size=1) for stage in (1, 3))
    step = make_train_step(squares, ADAM, layout=shared)
    batch = {"x": np.ones((8, 16), np.float32)}
    for layout in (shared, whole, shared):
        before = begin(layout)
        places = jax.tree.map(lambda leaf: leaf.sharding, before)
        after, _ = step(before, batch)
        for leaf, place in zip(jax.tree.leaves(after), jax.tree.leaves(places), strict=True):
            assert leaf.sharding.is_equivalent_to(place, leaf.ndim)


MODELS = {
    "one layer": lambda rngs: MLP((8, 4), rngs=rngs),
    "two layers": lambda rngs: MLP((8, 6, 4), rngs=rngs),
    "five layers": lambda rngs: MLP((8, 6, 3, 6, 3, 5), rngs=rngs),
    "three convolutions": lambda rngs: CNN((8, 8, 1), channels=(4, 3, 2), hidden=4, classes=3, rngs=rngs),
    "tied": lambda rngs: GPT(10, width=8, layers=3, heads=2, tied=True, rngs=rngs),
    "untied": lambda rngs: GPT(10, width=8, layers=1, heads=4, rngs=rngs),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_know_rules_that_hold_for_them(name):
    model = pure(MODELS[name])
    params = jax.eval_shape(model.init, KEY)
    places = Layout("data=4,tensor=2", model.tensor_rules()).shardings(params)
    names = tree.names(params)
    cut = {path: plain(place.spec, 4) for path, place in zip(names, jax.tree.leaves(places), strict=True)}
    for path, spec in cut.items():
        if "tensor" not in spec:
            continue
        columns = spec.index("tensor") == len(params_of(params, path).shape) - 1
        last = path.split("/")[-2] if path.endswith(("kernel", "bias")) else path
        by_columns = last in ("query", "key", "value", "up", "head") or last in ("dense_0", "dense_2", "conv_0")
        assert columns == by_columns, path
    # Of every pair both are cut.
    whole = [path for path, spec in cut.items() if path.endswith("kernel") and "tensor" not in spec]
    assert whole == {"one layer": ["dense_0/kernel"], "five layers": ["dense_4/kernel"]}.get(
        name, ["conv_2/kernel"] if "convolutions" in name else []
    )


def params_of(params, path):
    for key in path.split("/"):
        params = params[key]
    return params


def test_a_module_without_rules_says_what_they_would_be():
    with pytest.raises(TypeError, match=r"Conv has no method tensor_rules\(self\)"):
        pure(lambda rngs: jaxlab.models.Conv(1, 2, rngs=rngs)).tensor_rules()


def test_heads_that_the_axis_does_not_divide_are_named():
    model = pure(lambda rngs: GPT(8, width=12, layers=1, heads=6, rngs=rngs))
    layout = Layout("data=2,tensor=4", model.tensor_rules())
    loss = lambda params, batch, key: (jnp.mean(model.apply(params, batch)), {})  # noqa: E731
    state = init_state(model.init(KEY), ADAM, RATES, key=KEY, layout=layout)
    with pytest.raises(ValueError, match=r"shape \(2, 4, 6, 2\): axis 2 \(heads\) is not divided by mesh axis tensor"):
        make_train_step(loss, ADAM, layout=layout)(state, np.zeros((2, 4), np.int32))
