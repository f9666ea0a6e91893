"""LoRA: what the paper says, in NumPy; the base stays, the adapters alone are trained and remembered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import sweep, tasks
from jaxlab.core import tree
from jaxlab.models import conv2d
from jaxlab.optimizers import Recipe
from jaxlab.train import init_state, make_train_step
from jaxlab.transfer import LoraInit, LoraLoss, adapted, lora

RNG = np.random.default_rng(0)
RANK, ALPHA, RATE = 2, 3.0, 0.1


def _normal(*shape):
    return RNG.standard_normal(shape)


def _loss(params, batch, key):
    return jnp.mean((batch["x"] @ params["dense"]["kernel"] + params["dense"]["bias"] - batch["y"]) ** 2), {}


def test_forward_and_a_step_are_the_papers():
    """In float64: loss and gradients of A and B written out. From a B that is not zero, or A would not move."""
    x, y, w, c = _normal(7, 5), _normal(7, 4), _normal(5, 4), _normal(4)
    a, b = _normal(5, RANK), _normal(RANK, 4)

    off = x @ (w + ALPHA / RANK * a @ b) + c - y
    slope = x.T @ (2 * off / off.size)
    after = a - RATE * ALPHA / RANK * slope @ b.T, b - RATE * ALPHA / RANK * a.T @ slope

    params = {
        "base": {"dense": {"kernel": w, "bias": c}},
        "lora": {"dense": {"kernel": {"a": a, "b": b}}},
    }
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), params)
    batch = {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(y, jnp.float32)}
    build = Recipe("sgd").build
    state = init_state(params, build, {"learning_rate": RATE}, key=jax.random.key(0), frozen="^base/")
    state, metrics = make_train_step(LoraLoss(_loss, ALPHA), build)(state, batch)
    assert float(metrics["loss"]) == pytest.approx(np.mean(off**2), rel=1e-5)
    trained = state.params["lora"]["dense"]["kernel"]
    np.testing.assert_allclose(trained["a"], after[0], rtol=1e-5)
    np.testing.assert_allclose(trained["b"], after[1], rtol=1e-5)
    assert state.params["base"] == {"dense": {"kernel": None, "bias": None}}
    np.testing.assert_array_equal(state.frozen["base"]["dense"]["kernel"], params["base"]["dense"]["kernel"])


def test_the_optimizer_remembers_adapters_alone():
    params = LoraInit(lambda key: {"dense": {"kernel": jnp.ones((50, 40)), "bias": jnp.ones(40)}}, rank=1)(
        jax.random.key(0)
    )
    state = init_state(params, Recipe("adam").build, {"learning_rate": 0.1}, key=jax.random.key(0), frozen="^base/")
    assert {leaf.size for leaf in jax.tree.leaves(state.opt_state)} <= {1, 40, 50}


def test_an_adapted_model_begins_as_what_it_was():
    params = {"dense": {"kernel": jnp.asarray(_normal(64, 30), jnp.float32), "bias": jnp.ones(30)}}
    adapters = lora(params, jax.random.key(0), rank=8)
    jax.tree.map(np.testing.assert_array_equal, adapted(params, adapters, 5.0), params)
    a = np.asarray(adapters["dense"]["kernel"]["a"], np.float64)
    assert a.shape == (64, 8)
    # Uniform in +-1/8: a third of its square is the variance.
    assert np.max(np.abs(a)) <= 1 / 8
    assert np.mean(a) == pytest.approx(0, abs=4 * np.sqrt(1 / 192 / a.size))
    assert np.var(a) == pytest.approx(1 / 192, rel=0.15)
    other = lora(params, jax.random.key(1), rank=8)["dense"]["kernel"]["a"]
    assert not np.any(np.asarray(other) == a)


def test_an_adapted_convolution_is_two_of_them_beside_it():
    """One that makes as many features as the rank, and one of a pixel each."""
    x, kernel = jnp.asarray(_normal(2, 6, 5, 3), jnp.float32), jnp.asarray(_normal(3, 3, 3, 4), jnp.float32)
    params = {"conv": {"kernel": kernel}}
    adapters = lora(params, jax.random.key(0), RANK)
    own = adapters["conv"]["kernel"]
    own["b"] = jnp.asarray(_normal(RANK, 4), jnp.float32)
    together = conv2d(x, adapted(params, adapters, ALPHA)["conv"]["kernel"])
    beside = conv2d(conv2d(x, own["a"].reshape(3, 3, 3, RANK)), own["b"].reshape(1, 1, RANK, 4))
    np.testing.assert_allclose(together, conv2d(x, kernel) + ALPHA / RANK * beside, rtol=1e-4, atol=1e-5)


def test_each_layer_of_a_stack_has_adapters_of_its_own():
    stack = jnp.asarray(_normal(3, 5, 4), jnp.float32)
    adapters = lora({"blocks": {"kernel": stack}}, jax.random.key(0), RANK, layouts=[("^blocks", "brc")])
    own = adapters["blocks"]["kernel"]
    assert jax.tree.map(jnp.shape, own) == {"a": (3, 5, RANK), "b": (3, RANK, 4)}
    own["b"] = jnp.asarray(_normal(3, RANK, 4), jnp.float32)
    whole = adapted({"blocks": {"kernel": stack}}, adapters, ALPHA)["blocks"]["kernel"]
    for layer in range(3):
        alone = {"kernel": {name: part[layer] for name, part in own.items()}}
        np.testing.assert_allclose(
            whole[layer], adapted({"kernel": stack[layer]}, alone, ALPHA)["kernel"], rtol=1e-6, atol=1e-6
        )


def test_targets_and_layouts_say_what_is_adapted():
    params = {
        "embed": {"embedding": jnp.ones((9, 4))},
        "attention": {"query": {"kernel": jnp.ones((4, 2, 3)), "bias": jnp.ones((2, 3))}},
        "mlp": {"kernel": jnp.ones((4, 5))},
        "head": {"kernel": jnp.ones((5, 3))},
    }
    key = jax.random.key(0)
    assert tree.names(lora(params, key, 2)) == [
        "attention/query/kernel/a",
        "attention/query/kernel/b",
        "mlp/kernel/a",
        "mlp/kernel/b",
    ]
    assert tree.names(lora(params, key, 2, "mlp")) == ["mlp/kernel/a", "mlp/kernel/b"]
    head = lora(params, key, 2, [("head", True), ("", False)], [("head", "rc")])
    assert jax.tree.map(jnp.shape, head) == {"head": {"kernel": {"a": (5, 2), "b": (2, 3)}}}
    query = lora(jax.eval_shape(lambda: params), key, 2, "query/kernel")
    assert jax.tree.map(jnp.shape, query)["attention"]["query"]["kernel"] == {"a": (4, 2), "b": (2, 6)}
    with pytest.raises(ValueError, match=r"targets: leaf 'head/kernel' of shape \(5, 3\) is no matrix"):
        lora(params, key, 2, "head")


def test_half_precision_keeps_its_dtype_and_adds_in_full():
    """In bfloat16 1 and a thousandth are one number; so the sum is rounded once, and not what is added."""
    base = {"w": jnp.ones((2, 2), jnp.bfloat16)}
    adapters = {"w": {"a": jnp.ones((2, 1)), "b": jnp.full((1, 2), 0.006)}}
    whole = adapted(base, adapters)["w"]
    assert whole.dtype == jnp.bfloat16
    assert whole.tolist() == [[1.0078125] * 2] * 2


def test_alpha_may_be_traced():
    base, adapters = {"w": jnp.zeros((2, 2))}, {"w": {"a": jnp.ones((2, 2)), "b": jnp.ones((2, 2))}}
    many = jax.vmap(lambda alpha: adapted(base, adapters, alpha)["w"][0, 0])(jnp.array([1.0, 3.0]))
    assert many.tolist() == [1.0, 3.0]
    assert adapted(base, adapters)["w"][0, 0] == 2.0


def test_a_task_of_a_population():
    """Members share a base, and learn what lies a change of rank one away from it."""
    kernel, change, x = _normal(6, 5), np.outer(_normal(6), _normal(5)), _normal(96, 6)
    data = {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(x @ (kernel + change), jnp.float32)}

    def fresh(key):
        return {"dense": {"kernel": jax.random.normal(key, (6, 5)), "bias": jnp.zeros(5)}}

    task = tasks.Task(
        name="change",
        data=data,
        test=data,
        init=LoraInit(fresh, rank=1),
        loss=LoraLoss(_loss),
        frozen={"base": {"dense": {"kernel": jnp.asarray(kernel, jnp.float32)}}},
    )
    rates, keys = {"learning_rate": jnp.array([0.1, 0.0])}, jax.random.split(jax.random.key(0), 2)
    history = sweep.run_population(task, Recipe("adam").build, rates, keys, steps=100, test=True)
    variance = float(np.mean((x @ change) ** 2))
    first, last = history.test["loss"]
    assert last == pytest.approx(variance, rel=1e-4)
    assert first < 0.02 * variance


@pytest.mark.parametrize(
    ("params", "arguments", "error", "message"),
    [
        ({"w": jnp.ones((3, 2))}, {"rank": 0}, ValueError, "rank = 0"),
        ({"w": jnp.ones((3, 2))}, {"rank": 3}, ValueError, "'w' is a matrix of 3 x 2; accepted is at most 2"),
        ({"w": jnp.ones((3, 2, 2))}, {"rank": 1}, ValueError, "may be one matrix, several, or none"),
        ({"w": jnp.ones((3, 2, 2))}, {"rank": 1, "layouts": [("w", "rbc")]}, ValueError, "words of b, then r, then c"),
        ({"w": jnp.ones((3, 2))}, {"rank": 1, "targets": "kernel"}, ValueError, "targets"),
        ({"w": jnp.ones(3)}, {"rank": 1}, ValueError, "params have no matrix"),
        ({"w": jnp.ones((3, 2), int)}, {"rank": 1}, TypeError, "leaf 'w' has dtype int32"),
    ],
)
def test_what_cannot_be_adapted_is_refused(params, arguments, error, message):
    with pytest.raises(error, match=message):
        lora(params, jax.random.key(0), **arguments)
    with pytest.raises(TypeError, match="key = 0: accepted is one key, such as"):
        lora(params, 0, 1)


def test_adapters_of_another_model_are_refused():
    adapters = lora({"w": jnp.ones((3, 2))}, jax.random.key(0), 1)
    with pytest.raises(ValueError, match=r"adapters for \['w/a', 'w/b'\]: accepted are leaves of \['v'\]"):
        adapted({"v": jnp.ones((3, 2))}, adapters)
    with pytest.raises(ValueError, match=r"adapters of 'w' have shapes \(3, 1\), \(1, 2\): accepted"):
        adapted({"w": jnp.ones((3, 5))}, adapters)
    with pytest.raises(ValueError, match=r"adapters for \['w/a'\].*an a and a b each"):
        adapted({"w": jnp.ones((3, 2))}, {"w": {"a": adapters["w"]["a"]}})
    with pytest.raises(ValueError, match="alpha = nan"):
        LoraLoss(_loss, float("nan"))
