"""Small models to train under every layout, and what is the same of them everywhere."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxlab
from jaxlab.core import tree
from jaxlab.models import CNN, GPT, MLP, PureModel, pure
from jaxlab.sharding import Layout, make_mesh

WIDTH, EXAMPLES, WORDS = 8, 32, 16


class Problem(NamedTuple):
    model: PureModel
    batch: dict[str, np.ndarray]
    axes: tuple[str, ...]
    error: Callable[[jax.Array, jax.Array], jax.Array]

    def loss(self, params, batch, key):
        return self.error(self.model.apply(params, batch["x"]), batch["y"]), {}

    def params(self) -> Any:
        """Initial parameters. The CNN's hidden units see positive features alone: with this bias none is dead."""
        fresh = jax.jit(self.model.init)(jax.random.key(1))
        if "head" in fresh and "dense_0" in fresh["head"]:
            fresh["head"]["dense_0"]["bias"] += 2
        return fresh

    def layout(self, mesh: str, zero: int | None, axis_types: str = "auto") -> Layout:
        """Every leaf that can be shared is, however small."""
        rules = self.model.tensor_rules() if "tensor" in mesh else ()
        return Layout(make_mesh(mesh, axis_types=axis_types), rules, zero=zero, batch=self.axes, min_size=1)


def mean_square(predicted, wanted):
    return jnp.mean((predicted - wanted) ** 2)


def negative_log_likelihood(logits, words):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), words[..., None], axis=-1))


@functools.cache
def problem(name: str) -> Problem:
    """Problems whose gradients have full rank.

    SOAP turns gradients into eigenbases of their second moments. Where a gradient has a null space these bases are
    arbitrary there: rounding noise draws them, Adam's division makes noise and signal equally large, and one device
    differs from eight in the first digit, as it would differ from itself on another machine. So matrices are square
    (the CNN's kernels are not: see RECIPES) and narrower than examples are many, the perceptron's activation is smooth,
    and no hidden ReLU of the CNN is dead.
    """
    rng = np.random.default_rng(0)
    if name == "gpt":
        model = pure(lambda rngs: GPT(WORDS, width=WIDTH, layers=1, heads=2, expansion=1, rngs=rngs))
        words = rng.integers(0, WORDS, (EXAMPLES, WIDTH + 1))
        return Problem(model, {"x": words[:, :-1], "y": words[:, 1:]}, ("batch", "sequence"), negative_log_likelihood)
    wanted = rng.standard_normal((EXAMPLES, WIDTH))
    if name == "mlp":
        model = pure(lambda rngs: MLP((WIDTH, WIDTH, WIDTH), activation=jnp.tanh, rngs=rngs))
        batch = {"x": rng.standard_normal((EXAMPLES, WIDTH)), "y": wanted}
    else:
        sizes = {"channels": (WIDTH, WIDTH), "hidden": WIDTH, "classes": WIDTH}
        model = pure(lambda rngs: CNN((4, 4, 2), **sizes, rngs=rngs))
        batch = {"x": rng.standard_normal((EXAMPLES, 4, 4, 2)), "y": wanted}
    return Problem(model, batch, ("batch",), mean_square)


RECIPES = {
    "adam": (jaxlab.optimizers.Recipe("adam").build, {"learning_rate": 1e-2}),
    "muon": (jaxlab.optimizers.Recipe("muon").build, {"learning_rate": 1e-2, "fallback_learning_rate": 1e-2}),
    # The CNN's kernels are 18 x 8 and 72 x 8 as matrices: the long side would have a null space and is not turned.
    "soap": (
        jaxlab.optimizers.Recipe("soap", static={"max_size": WIDTH}).build,
        {"learning_rate": 1e-2, "fallback_learning_rate": 1e-2},
    ),
}


def shares(leaf: jax.Array) -> int:
    """Into how many parts an array is cut."""
    return leaf.size // leaf.addressable_shards[0].data.size


def assert_equal_trees(found, wanted, *, rtol: float, atol: float) -> None:
    """Leaf by leaf; the one that differs is named."""
    for name, one, other in zip(tree.names(wanted), jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)  # noqa: PLW2901
        np.testing.assert_allclose(
            np.asarray(one, np.float64), np.asarray(other, np.float64), rtol=rtol, atol=atol, err_msg=name
        )
