"""Reduction on a plateau against PyTorch, and against its rules in float64."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers, schedules

TORCH = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_schedules.json").read_text())
LOSSES = TORCH["reduce_on_plateau"]["losses"]


@jax.jit
def rates(losses, hyperparams):
    """The rate of every step, of one compiled program for all settings."""
    tx = schedules.reduce_on_plateau(**hyperparams)

    def step(state, loss):
        _, state = tx.update(jnp.ones(2), state, value=loss)
        return state, state.learning_rate

    return jax.lax.scan(step, tx.init(jnp.ones(2)), losses)[1]


DEFAULTS = {
    "learning_rate": TORCH["peak"],
    "factor": 0.1,
    "patience": 10,
    "rtol": 1e-4,
    "atol": 0.0,
    "cooldown": 0,
    "floor": 0.0,
    "every": 1,
}


def numbers(**changed):
    return {name: float(value) for name, value in (DEFAULTS | changed).items()}


def of_torch(options):
    named = {"min_lr": "floor", "threshold": "rtol"}
    if options.get("threshold_mode") == "abs":
        named["threshold"] = "atol"
        options = {"rtol": 0.0, **options}
    return {named.get(name, name): value for name, value in options.items() if name != "threshold_mode"}


@pytest.mark.parametrize("run", TORCH["reduce_on_plateau"]["runs"], ids=lambda run: str(run["options"]))
def test_pytorch(run):
    found = rates(np.array(LOSSES, np.float32), numbers(**of_torch(run["options"])))
    # A rate that is reduced down to float32's smallest numbers is rounded there.
    np.testing.assert_allclose(found, run["rates"], rtol=2e-6, atol=1e-30)


def test_defaults_are_pytorchs():
    found = [float(x) for x in rates(np.ones(40, np.float32), numbers())]
    tx = schedules.reduce_on_plateau(TORCH["peak"])
    state, eager = tx.init(jnp.ones(2)), []
    for _ in range(40):
        _, state = tx.update(jnp.ones(2), state, value=1.0)
        eager.append(float(state.learning_rate))
    assert eager == found
    # One reading sets the best, ten are borne, the eleventh reduces.
    np.testing.assert_allclose(found, 0.05 * 0.1 ** (np.arange(40) // 11), rtol=1e-6)


def transcription(losses, learning_rate, factor, patience, rtol, atol, cooldown, floor, every):
    """The rules of the reduction, with a reading every so many steps, in float64."""
    rate, best, bad, rest, window, found = learning_rate, np.inf, 0, 0, [], []
    for loss in losses:
        window.append(loss)
        if len(window) == every:
            mean, window = np.mean(window), []
            if mean < best * (1 - rtol) - atol:
                best, bad = mean, 0
            else:
                bad += 1
            if rest > 0:
                rest, bad = rest - 1, 0
            if bad > patience:
                rate, rest, bad = max(rate * factor, floor), cooldown, 0
        found.append(rate)
    return found


@pytest.mark.parametrize("every", [1, 2, 7])
@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("cooldown", [0, 3])
def test_transcription(every, patience, cooldown):
    rng = np.random.default_rng(0)
    losses = (2 * np.exp(-np.arange(200) / 30) + 0.2 * rng.standard_normal(200)).astype(np.float32)
    setting = numbers(factor=0.7, patience=patience, cooldown=cooldown, floor=1e-3, every=every, rtol=0.01, atol=0.02)
    wanted = transcription(losses.astype(np.float64), **setting)
    assert len(set(wanted)) > 2
    np.testing.assert_allclose(rates(losses, setting), wanted, rtol=3e-6)


def test_a_floor_above_the_rate_raises_nothing():
    found = rates(np.ones(30, np.float32), numbers(floor=1.0, patience=0))
    assert set(found.tolist()) == {float(np.float32(TORCH["peak"]))}


def test_is_the_learning_rate_of_any_optimizer():
    tx = optimizers.adam(schedules.reduce_on_plateau(0.5, factor=0.5, patience=0))
    params = {"w": jnp.ones(3)}
    state = tx.init(params)
    for loss, wanted in ((2.0, 0.5), (1.0, 0.5), (1.0, 0.25)):
        updates, state = tx.update({"w": jnp.ones(3)}, state, params, value=loss)
        assert float(schedules.effective_learning_rate(state)) == wanted
        np.testing.assert_allclose(updates["w"], -wanted, rtol=1e-5)
    with pytest.raises(ValueError, match=r"value = None: .* call tx\.update\(updates, state, params, value=loss\)"):
        tx.update({"w": jnp.ones(3)}, state, params)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", -1),
        ("factor", 1.0),
        ("patience", -1),
        ("rtol", 1.0),
        ("atol", -1),
        ("every", 0),
        ("floor", -1),
    ],
)
def test_bad_numbers_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        schedules.reduce_on_plateau(**{"learning_rate": 0.1, name: value})
