"""Every modifier around every optimizer trains a small problem, with all that a training step passes.

Each pair is one program: least squares from a few learning rates side by side, of which the best counts, as users tune
this one knob. Every day a diagonal through the pairs, where every modifier and every optimizer is met; all of them by
``pytest -m nightly``.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers
from jaxlab.train import init_state, step_fn

RATES = np.float32([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
STEPS = 25
FALLS_TO = 0.7
"""The part of the first loss that the best of the rates must come below."""

NUMBERS = {
    "clip_adaptive": {"clipping": 0.1},
    "ema": {"decay": 0.9},
    "swa": {"start": 5.0},
    "private": {"clip_norm": 10.0, "noise_multiplier": 0.01},
    "prune": {"sparsity": 0.17, "begin": 5.0, "every": 2.0, "increases": 3.0},
}
"""Arguments of modifiers that have no default, or whose default is for longer runs."""

BEGINNINGS = {"d0": 1e-2, "reps_rel": 1e-2}
"""How far the optimizers that find their own rate go at first: by default so little that they need longer to begin."""

REASONS = {}
"""Why a pair is left out: the reason, and ``(modifier, optimizer) -> bool``. No other reason is one."""

PAIRS = list(itertools.product(modifiers.names(), optimizers.names()))


def _daily() -> set[tuple[str, str]]:
    columns, rows = modifiers.names(), optimizers.names()
    return {(columns[i % len(columns)], rows[i % len(rows)]) for i in range(max(len(columns), len(rows)))}


def reason_against(modifier: str, optimizer: str) -> str | None:
    return next((reason for reason, holds in REASONS.items() if holds(modifier, optimizer)), None)


class LeastSquares:
    """A line through points that lie on one. It tells its residuals, for those who ask."""

    def residuals(self, params, batch, key):
        return batch["x"] @ params["body"]["kernel"] + params["bias"] - batch["y"]

    def __call__(self, params, batch, key):
        return jnp.mean(self.residuals(params, batch, key) ** 2), {}


def _problem():
    rng = np.random.default_rng(0)
    x, start, way = rng.standard_normal((16, 3)), rng.standard_normal((3, 2)) / 2, rng.standard_normal((3, 2))
    # The way to the solution has no mean over the inputs: centralised steps get there, too.
    y = x @ (start + way - way.mean(0)) + 0.5
    batch = {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(y, jnp.float32)}
    params = {"bias": jnp.full(2, 0.1), "body": {"kernel": jnp.asarray(start, jnp.float32)}}
    return params, batch


def around(modifier: str, tx: optax.GradientTransformation) -> optax.GradientTransformation:
    factory = modifiers.get(modifier).factory
    if modifier == "groups":
        return factory({"own": tx, "other": optax.sgd(0.05)}, [("bias", "other"), ("", "own")])
    if modifier == "graft":
        return factory(tx, optax.sgd(0.05))
    if modifier == "layer_wise_decay":
        return factory(tx, [("body", 0), ("", None)])
    if modifier == "gradual_unfreezing":
        return factory(tx, [("bias", 0), ("", None)], 3.0)
    if modifier == "mup":
        return factory(tx, [("bias", "input"), ("", "hidden")], 2.0)
    return factory(tx, **NUMBERS.get(modifier, {}))


def _marks(pair: tuple[str, str]):
    return () if pair in _daily() else pytest.mark.nightly


@pytest.mark.parametrize(
    ("modifier", "optimizer"),
    [pytest.param(*pair, id="-".join(pair), marks=_marks(pair)) for pair in PAIRS],
)
def test_every_pair_trains(modifier, optimizer):
    reason = reason_against(modifier, optimizer)
    if reason:
        pytest.skip(reason)
    params, batch = _problem()

    info = optimizers.get(optimizer)
    beginning = {name: value for name, value in BEGINNINGS.items() if name in info.hyperparams}

    def build(hyperparams):
        return around(modifier, info.factory(hyperparams["learning_rate"], **beginning))

    step = step_fn(LeastSquares(), build)

    @jax.jit
    @jax.vmap
    def train(rate):
        state = init_state(params, build, {"learning_rate": rate}, key=jax.random.key(0))
        # The scan refuses a state whose types change.
        state, metrics = jax.lax.scan(lambda state, _: step(state, batch), state, length=STEPS)
        return LeastSquares()(state.params, batch, None)[0], metrics["loss"]

    last, losses = train(RATES)
    assert np.nanmin(last) < FALLS_TO * losses[0, 0], (last, losses[:, 0])


def test_few_pairs_are_left_out():
    out = [pair for pair in PAIRS if reason_against(*pair)]
    assert len(out) < 0.05 * len(PAIRS), out


def test_every_day_meets_every_modifier_and_every_optimizer():
    met = [set(names) for names in zip(*_daily(), strict=True)]
    assert met == [set(modifiers.names()), set(optimizers.names())]
