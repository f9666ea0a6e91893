"""The law found again where it holds, misses that count, noise against NumPy, and the whole on a small line."""

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from scipy import stats

from experiments import batch_size
from experiments.critical_batch import Law, fit, geometric, noise_of
from jaxlab import report, tasks
from jaxlab.train.data import split_indices

SMALL = batch_size.Config(
    tasks=("line",),
    target=0.05,
    batch_sizes=(1, 8),
    learning_rates=(0.05, 0.2),
    full_steps=20,
    examples=100,
    selection_seeds=1,
    report_seeds=3,
    noise_points=2,
)


def with_changes(**changes):
    return dataclasses.replace(SMALL, **changes)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("batch_size") / "out"
    batch_size.run(batch_size.prepare(with_changes(out=out)))
    assert (out / "report.html").read_text().count("<svg") == 3
    return report.load(out)


def test_the_answer_is_a_critical_batch_size_with_an_interval(results):
    numbers = {number["name"].removesuffix(", line"): number for number in results["numbers"]}
    fitted, predicted = numbers["critical batch size"], numbers["noise scale"]
    assert fitted["interval"][0] < fitted["value"] < fitted["interval"][1]
    # Geometric means: the mean of ratios is the ratio of means, and E_min is S_min times B_crit.
    assert numbers["predicted / fitted"]["value"] == pytest.approx(predicted["value"] / fitted["value"])
    assert numbers["fewest examples"]["value"] == pytest.approx(numbers["fewest steps"]["value"] * fitted["value"])
    assert results["verdict"].startswith(f"The critical batch size is {fitted['value']:.3g} examples (95% interval ")


def test_every_batch_size_is_there_the_full_one_last(results):
    (table,) = results["sections"][0]["tables"]
    assert [row[0] for row in table["rows"]] == ["1", "8", "640"]
    for size, _, steps, _, examples, seconds, missed in table["rows"]:
        assert examples == pytest.approx(int(size) * steps)
        assert seconds > 0
        assert missed == "0 of 3"
    charts = {chart["name"]: chart for chart in results["sections"][0]["charts"]}
    assert set(charts) == {"steps-line", "examples-line", "noise-line"}
    assert all(chart["y_log"] for chart in charts.values())


def test_steps_are_counted_to_the_first_evaluation_at_the_target():
    losses = np.array([[0.5, 0.2, 0.3], [0.5, 0.4, np.nan], [0.1, 0.1, 0.1]])
    history = SimpleNamespace(steps=np.array([4, 8, 10]), validation={"loss": losses})
    assert batch_size.steps_to(history, 0.2).tolist() == [8, math.inf, 4]


def test_the_fit_finds_the_law_that_made_the_steps():
    law, sizes = Law(12.5, 40.0), [1, 2, 4, 8, 16, 64, 256, 1024]
    found = fit(sizes, law.steps_at(np.array(sizes)).tolist(), [10_000] * 8)
    assert found == pytest.approx(law, rel=1e-6)
    assert found.examples == pytest.approx(500.0, rel=1e-6)
    assert found.steps_at(40) == pytest.approx(25.0, rel=1e-6)  # twice the fewest at the critical size


def test_the_fit_is_least_squares_of_logarithms():
    rng = np.random.default_rng(0)
    sizes = np.array([1, 4, 16, 64, 256])
    steps = Law(20.0, 30.0).steps_at(sizes) * np.exp(0.2 * rng.normal(size=5))
    found = fit(sizes.tolist(), steps.tolist(), [10_000] * 5)

    def cost(law):
        return np.sum(np.log(law.steps_at(sizes) / steps) ** 2)

    near = [Law(found.steps * a, found.batch * b) for a in (0.98, 1, 1.02) for b in (0.98, 1, 1.02)]
    assert min(map(cost, near)) == cost(found)


def test_a_missed_target_is_many_steps_and_not_left_out():
    sizes, law = [1, 8, 64, 512], Law(10.0, 50.0)
    steps = law.steps_at(np.array(sizes)).tolist()  # 510 with single examples
    missed = [math.inf, *steps[1:]]
    assert fit(sizes, missed, [400] * 4) == pytest.approx(law, rel=1e-6)  # it would have missed indeed
    pulled = fit(sizes, missed, [5_000] * 4)
    assert pulled.batch > 1.5 * law.batch
    assert all(map(math.isnan, fit(sizes, [math.inf] * 3 + [10.0], [400] * 4)))


def test_geometric_mean_and_interval():
    values = [3.0, 5.0, 8.0, 4.0]
    logs = np.log(values)
    low, high = stats.t.interval(0.95, 3, logs.mean(), stats.sem(logs))
    mean, interval = geometric(values)
    assert mean == pytest.approx(stats.gmean(values))
    assert interval == pytest.approx((math.exp(low), math.exp(high)))
    mean, interval = geometric([3.0, math.nan])
    assert math.isnan(mean)
    assert interval == (0.0, math.inf)


def test_the_noise_scale_of_a_line_is_numpys():
    task = tasks.get("line")
    x, y = (np.asarray(task.data[name], np.float64)[:, 0] for name in ("x", "y"))
    keys = jax.random.split(jax.random.key(3), 2)
    slopes, offsets = np.array([0.5, 1.9], np.float32), np.array([0.0, 1.1], np.float32)
    params = {"dense_0": {"kernel": slopes[:, None, None], "bias": offsets[:, None]}}
    found = noise_of(task, params, keys)
    for member in range(2):
        training = np.asarray(split_indices(keys[member], np.arange(640), pool=800))
        residual = slopes[member] * x[training] + offsets[member] - y[training]
        gradients = 2 * residual[:, None] * np.stack([x[training], np.ones(640)], axis=1)
        wanted = gradients.var(axis=0).sum() / np.sum(gradients.mean(axis=0) ** 2)
        assert float(found[member]) == pytest.approx(wanted, rel=1e-4)


def test_softmax_regression_on_the_digits_is_linear_in_its_parameters():
    task = batch_size.digits_softmax()
    params = task.init(jax.random.key(0))
    doubled = jax.tree.map(lambda leaf: 2 * leaf, params)
    images = task.data["x"][:3]
    np.testing.assert_allclose(
        batch_size.softmax_logits(doubled, images), 2 * batch_size.softmax_logits(params, images), rtol=1e-5
    )
    tasks.check(task, jax.random.key(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ()}, r"tasks = \(\): accepted is at least one"),
        ({"tasks": ("lien",)}, "did you mean 'line'"),
        ({"target": 0.0}, r"target = 0\.0: accepted is a number in"),
        ({"batch_sizes": (0,)}, "batch_sizes = 0"),
        ({"batch_sizes": (641,)}, "batch_sizes = 641: accepted is .* at most 640"),
        ({"learning_rates": ()}, r"learning_rates = \(\): accepted is at least one"),
        ({"learning_rates": (-1.0,)}, r"learning_rate = -1\.0"),
        ({"full_steps": 0}, "full_steps = 0"),
        ({"examples": 0}, "examples = 0"),
        ({"noise_points": 0}, "noise_points = 0"),
        ({"report_seeds": 0}, "report_seeds = 0"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        batch_size.prepare(with_changes(**changes))
    assert not list(tmp_path.iterdir())
