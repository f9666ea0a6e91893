"""Successive halving against a plain transcription, patience against curves whose end is known."""

import itertools

import numpy as np
import pytest

from jaxlab.optimizers import Recipe
from jaxlab.sweep import run_population, seed_keys
from jaxlab.sweep.pruning import Patience, SuccessiveHalving


def transcription(curves, steps, eta, rungs, *, higher_is_better):
    """Algorithm 1 on curves [points][seeds][step] in plain Python; returns the last step of each point's members.

    A member with NaN has diverged. Keeps a list of who is alive, which the object does not.
    """
    points, seeds = len(curves), len(curves[0])
    alive = list(range(points))
    ended = {}
    for j, k in enumerate(range(rungs, 0, -1)):
        mark = -(-steps // eta**k)
        keep = -(-points // eta ** (j + 1))
        ranked = []
        for point in alive:
            values = [curve[mark] for curve in curves[point] if not np.isnan(curve[mark])]
            if values:
                mean = sum(values) / len(values)
                ranked.append((seeds - len(values), -mean if higher_is_better else mean, point))
        ranked.sort()
        for _, _, point in ranked[keep:]:
            ended[point] = mark
        alive = [point for _, _, point in ranked[:keep]]
    return [ended.get(point, steps) for point in range(points)]


def played(halving, curves, every):
    """Asks the object at each evaluation, NaN for who has ended; returns the last step of each point."""
    points, seeds, _ = curves.shape
    ended = np.full(points * seeds, halving.steps)
    for step in range(every, halving.steps + 1, every):
        seen = np.where(ended < step, np.nan, curves[:, :, step].reshape(-1))
        mask = halving(step, {"score": seen})
        assert not (mask & np.isnan(seen)).any()
        ended[mask] = step
    return ended.reshape(points, seeds).min(axis=1).tolist()


@pytest.mark.parametrize(
    ("points", "seeds", "eta"), [(8, 1, 2), (8, 3, 2), (6, 2, 2), (9, 2, 3), (1, 2, 2), (11, 1, 4)]
)
@pytest.mark.parametrize("higher", [True, False])
def test_it_ends_whom_the_algorithm_ends(points, seeds, eta, higher):
    rng = np.random.default_rng(points)
    for trial in range(10):
        curves = rng.integers(0, 4, (points, seeds, 33)).astype(float)  # many ties
        if trial % 2:
            for point, seed in itertools.product(range(points), range(seeds)):
                if rng.random() < 0.3:
                    curves[point, seed, rng.integers(1, 33) :] = np.nan
        halving = SuccessiveHalving("score", higher, steps=32, points=points, seeds=seeds, eta=eta)
        expected = transcription(curves.tolist(), 32, eta, halving.rungs, higher_is_better=higher)
        assert played(halving, curves, every=1) == expected


def test_rungs_sizes_and_cost_are_known_beforehand():
    halving = SuccessiveHalving("score", True, steps=1_000, points=8, seeds=3)
    assert (halving.marks, halving.left, halving.rungs) == ((125, 250, 500), (4, 2, 1), 3)
    assert halving.member_steps == 3 * (8 * 125 + 4 * 125 + 2 * 250 + 1 * 500)
    late = SuccessiveHalving("score", True, steps=1_000, points=8, seeds=3, rungs=1)
    assert (late.marks, late.left, late.member_steps) == ((500,), (4,), 3 * (8 * 500 + 4 * 500))
    assert SuccessiveHalving("score", True, steps=3, points=64).marks == (2,)  # no rung before step 1
    assert SuccessiveHalving("score", True, steps=100, points=1).marks == ()
    assert SuccessiveHalving("score", True, steps=100, points=8, rungs=0)(99, {"score": np.ones(8)}).sum() == 0


def test_a_rung_between_two_evaluations_is_asked_at_the_later():
    halving = SuccessiveHalving("score", True, steps=40, points=2)
    scores = {"score": np.array([0.0, 1.0])}
    assert halving.marks == (20,)
    assert [halving(step, scores).tolist()[0] for step in (15, 30)] == [False, True]


def test_the_last_evaluation_ends_nobody():
    halving = SuccessiveHalving("score", True, steps=40, points=2)
    assert not halving(40, {"score": np.array([0.0, 1.0])}).any()


def test_patience_ends_what_has_stopped_improving():
    curves = np.array(
        [
            [5.0, 4.0, 3.0, 2.0, 1.0, 0.5],  # improves to the end
            [5.0, 4.0, 4.0, 4.5, 4.0, 3.0],  # two without: ends at the fourth
            [5.0, np.nan, np.nan, np.nan, np.nan, np.nan],  # diverged: not patience's to end
            [5.0, 4.9, 4.8, 4.7, 4.6, 4.5],  # too little each time
        ]
    )
    patience = Patience("loss", higher_is_better=False, evaluations=2, at_least=0.5)
    said = np.stack([patience(step, {"loss": curves[:, step]}) for step in range(6)], axis=1)
    assert [row.argmax() if row.any() else None for row in said] == [None, 3, None, 2]
    up = Patience("gain", higher_is_better=True, evaluations=2, at_least=0.5)
    assert (np.stack([up(step, {"gain": -curves[:, step]}) for step in range(6)], axis=1) == said).all()


def test_patience_is_rebuilt_from_the_past_and_forgets_what_comes_after():
    rng = np.random.default_rng(0)
    curves = rng.random((5, 12))
    one, other = (Patience("loss", higher_is_better=False, evaluations=3) for _ in range(2))
    said = [one(step, {"loss": curves[:, step]}).tolist() for step in range(12)]
    assert any(map(any, said))
    assert [one(step, {"loss": curves[:, step]}).tolist() for step in range(12)] == said  # a population of its own
    assert [one(step, {"loss": curves[:, step]}).tolist() for step in range(7, 12)] == said[7:]  # from a checkpoint
    assert [other(step, {"loss": curves[:, step]}).tolist() for step in range(12)] == said


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SuccessiveHalving("loss", False, steps=0, points=2), "steps = 0"),
        (lambda: SuccessiveHalving("loss", False, steps=8, points=0), "points = 0"),
        (lambda: SuccessiveHalving("loss", False, steps=8, points=2, seeds=0), "seeds = 0"),
        (lambda: SuccessiveHalving("loss", False, steps=8, points=2, eta=1), "eta = 1"),
        (lambda: SuccessiveHalving("loss", False, steps=8, points=4, rungs=3), "rungs = 3: accepted is .* at most 2"),
        (lambda: SuccessiveHalving("loss", False, 8, 2)(4, {"loss": np.ones(3)}), r"shape \(3,\): accepted is \(2,\)"),
        (lambda: SuccessiveHalving("los", False, 8, 2)(4, {"loss": np.ones(2)}), "did you mean 'loss'"),
        (lambda: Patience("loss", higher_is_better=False, evaluations=0), "evaluations = 0"),
        (lambda: Patience("loss", higher_is_better=False, evaluations=1, at_least=-1.0), "at_least = -1.0"),
        (lambda: Patience("loss", higher_is_better=False, evaluations=1)(0, {"loss": np.ones(())}), "one axis"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_in_a_population_the_best_survives_and_steps_are_saved():
    """The same members with and without halving: who is left is who wins, and has the same score."""
    rates = np.array([1e-4, 0.1, 1e-3, 1e-2])
    members = {"hyperparams": {"learning_rate": np.repeat(rates, 2)}, "keys": seed_keys([0, 1] * 4)}
    halving = SuccessiveHalving("mse", False, steps=80, points=4, seeds=2)
    whole = run_population("line", Recipe("sgd").build, **members, steps=80, eval_every=20)
    halved = run_population("line", Recipe("sgd").build, **members, steps=80, eval_every=20, stop=halving)
    scores = whole.validation["mse"][:, -1].reshape(4, 2).mean(axis=1)
    assert scores.argmin() == 1
    assert halved.ended.reshape(4, 2).tolist() == [[20, 20], [80, 80], [20, 20], [40, 40]]
    assert halved.ended.sum() == halving.member_steps < whole.ended.sum() == 8 * 80
    np.testing.assert_allclose(halved.validation["mse"][2:4, -1], whole.validation["mse"][2:4, -1], rtol=1e-5)
    assert np.isnan(halved.validation["mse"][[0, 1, 4, 5, 6, 7], -1]).all()
