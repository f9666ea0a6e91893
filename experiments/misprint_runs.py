"""The runs behind ``experiments.misprints``: small descents, one function for each statement."""

import math
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from scipy.stats import binomtest
from sklearn.datasets import load_diabetes

from experiments.misprint_sums import Shown, number
from jaxlab import schedules
from jaxlab.optimizers import adam, gradient_descent, newton, rmsprop, scale_by_adam
from jaxlab.regularizers import l1, l2, proximal_l1
from jaxlab.report.sections import Chart, Series
from jaxlab.tasks.quadratics import Quadratic
from jaxlab.train import init_state, make_run
from jaxlab.train.stopwatch import Stopwatch


def adam_step_size(clock: Stopwatch) -> Shown:
    """Adam as printed, at its first step; and without bias correction, the division left out."""
    gradient, b1, b2 = np.array([1.0, -2.0, 0.5]), 0.9, 0.999
    first_moment = np.zeros(3)
    with np.errstate(divide="ignore"):
        rate = 1 / ((1 - b1) * first_moment)
    printed = rate * (1 - b1) * gradient / (np.sqrt((1 - b2) * gradient**2) + 1e-8)
    steps = np.arange(1, 5_001)
    bare = (1 - b1**steps) / np.sqrt(1 - b2**steps)  # the averages of a constant gradient 1, not corrected
    right = -np.diff(descend(clock, adam(1.0, b1, b2), lambda x: x, jnp.zeros(()), steps.size))
    at = np.unique(np.geomspace(1, steps.size, 60).astype(int)) - 1
    return Shown(
        gradient.size,
        [
            number("finite after Adam's first step", np.isfinite(printed).sum(), "of 3 parameters", "as printed"),
            number(
                "longest step", bare.max(), "learning rates", f"without bias correction, at step {bare.argmax() + 1}"
            ),
            number("longest step in jaxlab", right.max(), "learning rates", "with bias correction"),
        ],
        [
            chart(
                "adam_steps",
                ("Adam under a constant gradient", "The right length is one learning rate at every step."),
                ("Step", "Length of the step, learning rates"),
                {"not corrected": (steps[at], bare[at]), "jaxlab": (steps[at], right[at])},
                logs="x",
            )
        ],
    )


def well(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """A double well: the minimum near x = -1 is the lower one."""
    return (x**2 - 1) ** 2 + 0.3 * x


def local_minima(clock: Stopwatch, seed: int, starts: int) -> Shown:
    """Gradient descent from everywhere in [-2, 2]: how often it ends in the worse of two minima."""
    x = jax.random.uniform(jax.random.key(seed), (starts,), minval=-2.0, maxval=2.0)
    ends = descend(clock, gradient_descent(0.02), lambda x: jnp.sum(well(x)), x, 500)[-1]
    worse = int(np.sum(ends > 0))
    low, high = binomtest(worse, starts).proportion_ci()
    lowest, other = (float(well(jnp.asarray(end))) for end in (ends.min(), ends.max()))
    order = np.argsort(x)[:: max(1, starts // 200)]
    return Shown(
        0,
        [
            number("starts that end in the worse minimum", worse / starts, "of all", "a double well", (low, high)),
            number("loss left there", other - lowest, "", "above that of the better minimum"),
        ],
        [
            chart(
                "double_well",
                ("Where gradient descent ends", "f(x) = (x^2 - 1)^2 + 0.3 x, whose better minimum is the left one."),
                ("Start", "End"),
                {"runs": (np.asarray(x)[order], ends[order])},
                kind="points",
            )
        ],
    )


def second_order(clock: Stopwatch) -> Shown:
    """A rotated quadratic of condition 100: steps of Newton, and of Adam and RMSprop with their best rates."""
    function, steps = Quadratic(100.0), 1_000
    batch, start = function.data(1), function.init(jax.random.key(0))["x"]

    def loss(x: Array) -> Array:
        return function({"x": x}, batch, None)[0]

    gaps = {"Newton": values(clock, newton(), loss, start, 20)}
    for name, factory in (("Adam", adam), ("RMSprop", rmsprop)):
        runs = [
            values(clock, factory(schedules.cosine(rate, steps)), loss, start, steps) for rate in (0.03, 0.1, 0.3, 1.0)
        ]
        gaps[name] = min(runs, key=steps_to_millionth)
    tx = scale_by_adam()
    state = [tx.update(jnp.full((), scale), tx.init(jnp.zeros(())))[1] for scale in (1.0, 10.0)]
    small, large = (float(optax.tree_utils.tree_get(one, "v")) for one in state)
    return Shown(
        10,
        [
            number("growth of Adam's v", large / small, "times", "when loss and second derivatives grow tenfold"),
            number("Adam's steps", steps_to_millionth(gaps["Adam"]), "steps", "to 1e-6, with the best of four rates"),
            number("RMSprop's steps", steps_to_millionth(gaps["RMSprop"]), "steps", "likewise"),
            number("Newton's steps", steps_to_millionth(gaps["Newton"]), "steps", "with the second derivatives"),
        ],
        [
            chart(
                "second_order",
                ("A rotated quadratic", "Its condition is 100. Newton's method uses second derivatives."),
                ("Step", "Value above the minimum"),
                {name: (np.arange(1, run.size), np.maximum(run[1:], 1e-14)) for name, run in gaps.items()},
                logs="xy",
            )
        ],
    )


def constant_rate(clock: Stopwatch, steps: int = 100) -> Shown:
    """How far the rate of dynamic gradient descent moves in a run: as printed, and with jaxlab's f of the loss."""
    printed = np.full(steps, 0.1 / np.sqrt(steps))  # computed once, before the loop
    tx = gradient_descent(schedules.loss_driven(0.1))
    way = descend(clock, tx, lambda x: x**2, jnp.asarray(2.0), steps)
    rates = (1 - way[1:] / way[:-1]) / 2  # a step on x^2 multiplies x by 1 - 2 rate
    largest = "largest rate over smallest"
    return Shown(
        rates.max() / rates.min(),
        [
            number(f"{largest}, printed", printed.max() / printed.min(), "times", f"in {steps} steps on x^2"),
            number(f"{largest}, jaxlab", rates.max() / rates.min(), "times", "alpha tanh(J), as the formula says"),
        ],
    )


def sparsity(clock: Stopwatch, strength: float = 0.1) -> Shown:
    """Zeros among the ten weights of a linear model of diabetes, after descent with L1 and with L2."""
    bunch: Any = load_diabetes()
    x = jnp.asarray((bunch.data - bunch.data.mean(0)) / bunch.data.std(0))
    y = jnp.asarray((bunch.target - bunch.target.mean()) / bunch.target.std())

    def loss(w: Array) -> Array:
        return jnp.mean((x @ w - y) ** 2) / 2

    plain = gradient_descent(0.1)
    ways = {"L1": optax.chain(l1(strength), plain), "L2": optax.chain(l2(strength), plain)}
    ways["proximal L1"] = proximal_l1(plain, strength)
    zeros = {name: np.sum(descend(clock, tx, loss, jnp.zeros(10), 5_000)[-1] == 0) for name, tx in ways.items()}
    return Shown(
        zeros["proximal L1"],
        [number(f"zeros with {name}", count, "of 10 weights", "diabetes") for name, count in zeros.items()],
        [],
    )


def too_large(clock: Stopwatch, steps: int = 200) -> Shown:
    """The training loss on a quadratic just above and just below the greatest stable rate, 2 / L with L = 1."""
    function = Quadratic(100.0)
    batch, start = function.data(1), function.init(jax.random.key(0))["x"]
    runs = {
        f"{part:g} of the limit": values(
            clock, gradient_descent(2 * part), lambda x: function({"x": x}, batch, None)[0], start, steps
        )
        for part in (0.5, 0.99, 1.01)
    }
    _, below, above = runs.values()
    return Shown(
        0,
        [
            number("growth at 1.01 of the limit", above[-1] / above[0], "times", f"training loss after {steps} steps"),
            number("growth at 0.99 of the limit", below[-1] / below[0], "times", f"training loss after {steps} steps"),
        ],
        [
            chart(
                "too_large",
                ("Around the limit 2 / L", "Training loss of gradient descent on a quadratic of condition 100."),
                ("Step", "Training loss"),
                {name: (np.arange(steps + 1), run) for name, run in runs.items()},
                logs="y",
            )
        ],
    )


def swallowed(clock: Stopwatch, steps: int = 1_000) -> Shown:
    """A thousand steps of 0.001 from 1: in bfloat16 alone, and by jaxlab's mixed precision."""
    one = jnp.ones((), jnp.bfloat16)
    low = one
    for _ in range(steps):
        low = low - jnp.asarray(0.001, jnp.bfloat16) * one
    state = init_state(jnp.ones(()), gradient_descent, 0.001, key=jax.random.key(0), policy="bfloat16")
    train = make_run(
        lambda x, batch, key: (x, {}), gradient_descent, batch_size=1, steps=steps, policy="bfloat16"
    )  # a loss whose gradient is 1
    mixed = clock.run(train, state, jnp.zeros(1))[0].params
    return Shown(
        1,
        [
            number("way in bfloat16", float(one - low), "of 1", f"{steps} steps of 0.001 from 1"),
            number("way with float32 parameters", 1 - mixed, "of 1", "mixed precision: computed in bfloat16"),
        ],
    )


def rmsprop_rate(clock: Stopwatch, steps: int = 100) -> Shown:
    """The factor on RMSprop's gradient in a run on x^2 / 2 from 1, learning rate 0.01."""
    way = descend(clock, rmsprop(0.01), lambda x: x**2 / 2, jnp.ones(()), steps)
    factor = -np.diff(way) / way[:-1]
    return Shown(1, [number("RMSprop's rate, largest over smallest", factor.max() / factor.min(), "times", "one run")])


def descend(
    clock: Stopwatch, tx: optax.GradientTransformation, loss: Callable[[Array], Array], start: Array, steps: int
) -> np.ndarray:
    """The parameters before every step and after the last."""
    grad, update = jax.grad(loss), cast("Any", optax.with_extra_args_support(tx).update)

    def body(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], Array]:
        x, state = carry
        g = grad(x)
        updates, state = update(
            g,
            state,
            x,
            value=loss(x),
            grad=g,
            value_fn=loss,
            hvp_fn=lambda x, vector: jax.jvp(grad, (x,), (vector,))[1],
        )
        return (jnp.add(x, updates), state), x

    run = jax.jit(lambda start: jax.lax.scan(body, (start, tx.init(start)), length=steps))
    (last, _), way = clock.run(run, start)
    return np.concatenate([np.asarray(way), np.asarray(last)[None]])


def values(
    clock: Stopwatch, tx: Any, loss: Callable[[Array], Array], start: Array, steps: int
) -> Float[np.ndarray, " steps"]:
    """The loss before every step and after the last."""
    return np.asarray(jax.vmap(loss)(jnp.asarray(descend(clock, tx, loss, start, steps))))


def steps_to_millionth(gaps: Float[np.ndarray, " steps"]) -> float:
    """After how many steps a gap is below 1e-6 for the first time; infinite where it never is."""
    below = gaps < 1e-6
    return float(below.argmax()) if below.any() else math.inf


def chart(
    name: str,
    words: tuple[str, str],
    axes: tuple[str, str],
    lines: dict[str, tuple[np.ndarray, np.ndarray]],
    *,
    logs: str = "",
    kind: Any = "line",
) -> Chart:
    """A chart from arrays: title and caption, names of the axes, which of them are logarithmic."""
    series = [Series(name=key, x=x.tolist(), y=y.tolist(), kind=kind) for key, (x, y) in lines.items()]
    return Chart(
        name=name,
        title=words[0],
        caption=words[1],
        x=axes[0],
        y=axes[1],
        series=series,
        x_log="x" in logs,
        y_log="y" in logs,
    )
