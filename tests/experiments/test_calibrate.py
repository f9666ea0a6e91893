"""The short form end to end; broken rules caught, on scores that are drawn and not trained; counts against scipy."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments import calibrate, calibrate_gates
from experiments.calibrate_gates import Effect, Rate
from jaxlab import report, tasks, verdict

SMALL = calibrate.Config(task="breast_cancer", steps=40, large=1_000)
TASK = tasks.get("breast_cancer")
HONEST = verdict.comparisons


def with_changes(**changes):
    return dataclasses.replace(SMALL, **changes)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("calibrate") / "out"
    # A seed whose rates lie well inside: on another machine a few of the runs come out otherwise.
    calibrate.run(calibrate.prepare(with_changes(out=out, planted=0.3, seed=3)))
    assert (out / "report.html").read_text().count("<svg") == 2
    return report.load(out)


def test_the_short_form_holds_all_gates(results):
    rows = results["sections"][0]["tables"][0]["rows"]
    assert [row[-1] for row in rows] == ["holds"] * 4
    assert [row[3] for row in rows] == [800, 200, 200, 800]
    assert results["verdict"].startswith("Yes: ")
    numbers = {number["name"]: number for number in results["numbers"]}
    one, eight = numbers["false winners, one pair"], numbers["false winners, 8 names"]
    assert one["interval"][0] <= 5.0
    assert eight["interval"][0] <= 5.0
    assert numbers["false winners, bootstrap"]["interval"][0] > 10.0
    predicted, found = numbers["power predicted"], numbers["power found"]
    assert 60.0 < predicted["value"] < 90.0
    assert found["interval"][0] <= predicted["value"] <= found["interval"][1]
    assert numbers["coverage, real difference"]["interval"][1] >= 95.0


def test_an_interval_that_covers_nought_is_a_comparison_without_a_winner(results):
    # Of two finite samples the t test calls a winner exactly where its interval leaves out 0.
    numbers = {number["name"]: number["value"] for number in results["numbers"]}
    assert numbers["false winners, one pair"] + numbers["coverage, no difference"] == pytest.approx(100.0)


class Drawn(calibrate.Lab):
    """Scores that are normal: one part of the seed's, one of its own, worse by the part that the rate is smaller."""

    def train(self, title, part, seeds):
        parts = np.broadcast_to(part, len(seeds))
        scores = np.empty(len(seeds))
        for i, (share, seed) in enumerate(zip(parts, seeds, strict=True)):
            common = np.random.default_rng([7, seed]).normal()
            own = np.random.default_rng([8, seed, round(1000 * share)]).normal()
            scores[i] = 0.9 + 0.01 * (common + own - 4.0 * (1.0 - share))
        self.runs += len(seeds)
        return {"accuracy": scores}


def gates_of(folder):
    """The rows of the table of gates."""
    return dict(report.load(folder))["sections"][0]["tables"][0]["rows"]


def outcome(tmp_path, **changes):
    """What the drawn scores come to: the exit code's message, and what stands in the results."""
    out = tmp_path / "out"
    plan = calibrate.prepare(with_changes(out=out, names=4, repetitions=100, **changes))
    with pytest.raises(SystemExit) as stopped:
        calibrate.run(plan)
    failed = [row[0] for row in gates_of(out) if row[-1] == "FAILS"]
    assert report.load(out)["verdict"].startswith(f"No: {len(failed)} of 4 gates failed.")
    assert str(stopped.value.code).startswith("failed: ")  # a message, so the exit code is 1
    return failed


@pytest.fixture
def drawn(monkeypatch):
    def write(found, out):
        """Without the page, which is drawn once, above."""
        report.save(found, out / "results.json")
        return out / "report.html"

    monkeypatch.setattr(calibrate, "Lab", Drawn)
    monkeypatch.setattr(report, "write", write)
    return monkeypatch


def uncorrected(arms, higher_is_better, margin=None, level=0.95):
    found = HONEST(arms, higher_is_better, margin, level)
    signs = ["better" if (one.difference > 0) == higher_is_better else "worse" for one in found]
    return [
        dataclasses.replace(one, verdict=sign if one.p < 0.05 else "undecided")
        for one, sign in zip(found, signs, strict=True)
    ]


def bootstrapped(arms, higher_is_better, margin=None, level=0.95):
    found = HONEST(arms, higher_is_better, margin, level)
    differences = np.array([np.subtract(arms[one.a], arms[one.b]) for one in found])
    called = calibrate_gates.bootstrap_winners(differences)
    signs = ["better" if (one.difference > 0) == higher_is_better else "worse" for one in found]
    return [
        dataclasses.replace(one, verdict=sign if winner else "undecided")
        for one, sign, winner in zip(found, signs, called, strict=True)
    ]


def timid(arms, higher_is_better, margin=None, level=0.95):
    return HONEST(arms, higher_is_better, margin, 0.99)


def test_what_is_right_holds_every_gate(drawn, tmp_path):
    calibrate.run(calibrate.prepare(with_changes(out=tmp_path / "out", names=4, repetitions=100)))
    assert report.load(tmp_path / "out")["verdict"].startswith("Yes: ")


def test_many_pairs_without_a_correction_are_caught(drawn, tmp_path):
    drawn.setattr(verdict, "comparisons", uncorrected)
    assert outcome(tmp_path) == ["False winners, all pairs of 4 names"]


def test_the_bootstrap_is_caught_as_the_rule(drawn, tmp_path):
    drawn.setattr(verdict, "comparisons", bootstrapped)
    assert {"False winners, one pair", "False winners, all pairs of 4 names"} <= set(outcome(tmp_path))


def test_a_rule_that_finds_less_than_was_said_is_caught(drawn, tmp_path):
    drawn.setattr(verdict, "comparisons", timid)
    assert outcome(tmp_path) == ["A real difference found"]


def test_a_control_that_is_not_caught_is_a_failure(drawn, tmp_path):
    drawn.setattr(calibrate_gates, "bootstrap_winners", lambda differences, level=0.95: differences[:, 0] > np.inf)
    assert outcome(tmp_path) == ["False winners of the percentile bootstrap, which must be caught"]


def test_skewed_differences_make_the_promise_rough_and_say_so(drawn, tmp_path, capsys):
    class Skewed(Drawn):
        """Once in fifty seeds a smaller rate loses everything."""

        def train(self, title, part, seeds):
            scores = super().train(title, part, seeds)["accuracy"]
            rare = np.array([np.random.default_rng([9, seed]).random() < 0.02 for seed in seeds])
            return {"accuracy": scores - (1.0 - np.broadcast_to(part, len(seeds))) * 30.0 * rare}

    drawn.setattr(calibrate, "Lab", Skewed)
    assert outcome(tmp_path, planted=0.3) == ["A real difference found"]
    assert "differences are skewed by -7." in capsys.readouterr().out.replace("\n", " ")


def test_winners_are_counted_as_scipy_counts_them():
    scores = np.random.default_rng(0).normal(size=(40, 5, 4))  # of an odd number of names one stays alone
    found = calibrate.same_recipe("accuracy", scores, TASK)
    pairs = scores[:, :4].reshape(-1, 2, 4)
    p = np.array([stats.ttest_rel(*pair).pvalue for pair in pairs])
    np.testing.assert_allclose(found.p, p, rtol=1e-9)
    assert found.pair == Rate(int((p < 0.05).sum()), 80)
    smallest = [min(stats.ttest_rel(names[a], names[b]).pvalue for a in range(5) for b in range(a)) for names in scores]
    assert found.uncorrected == Rate(int((np.array(smallest) < 0.05).sum()), 40)
    np.testing.assert_allclose(found.p_every, np.minimum(1.0, 10 * np.array(smallest)), rtol=1e-9)
    assert found.every == Rate(int((found.p_every < 0.05).sum()), 40)


def test_a_rate_has_the_exact_interval():
    rate = Rate.of([True] * 17 + [False] * 183)
    assert rate.value == 0.085
    assert rate.interval == pytest.approx((stats.beta.ppf(0.025, 17, 184), stats.beta.ppf(0.975, 18, 183)))
    assert str(Rate(0, 10)) == "0% (0% to 30.8%)"


def test_the_power_of_a_measured_difference_is_that_of_normal_draws():
    rng = np.random.default_rng(1)
    differences = 0.3 + 0.2 * rng.normal(size=50_000)
    effect = Effect.of(differences)
    p = stats.ttest_1samp(differences.reshape(-1, 5), 0.0, axis=1)
    found = np.mean((p.pvalue < 0.05) & (p.statistic > 0))
    assert effect.power(5) == pytest.approx(found, abs=0.015)  # three standard errors of 10,000 tests
    low, high = Effect(0.3, 0.2, 0.0, 500).power_interval(5)
    sizes = [Effect.of(some).size for some in differences.reshape(100, 500)]
    inside = [low <= verdict.power(size, 5) <= high for size in sizes]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.07)


@pytest.mark.parametrize("lost", ["one recipe, many names", "measures a difference", "looks for it"])
def test_diverged_runs_are_refused_with_a_sentence(lost, drawn, tmp_path, capsys):
    class Diverging(Drawn):
        def train(self, title, part, seeds):
            scores = super().train(title, part, seeds)
            if title == lost:
                scores["accuracy"][::100] = np.nan
            return scores

    drawn.setattr(calibrate, "Lab", Diverging)
    with pytest.raises(SystemExit, match="2"):
        calibrate.run(calibrate.prepare(with_changes(out=tmp_path / "out", names=2, repetitions=100, large=200)))
    assert "runs diverged: accepted are" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "lien"}, "did you mean 'line'"),
        ({"steps": 0}, "steps = 0"),
        ({"repetitions": 99}, "repetitions = 99: accepted is .* at least 100"),
        ({"repetitions": 3_000}, "repetitions = 3000, names = 8, seeds = 5: accepted are 100,000 runs"),
        ({"names": 1}, "names = 1"),
        ({"seeds": 2}, "seeds = 2"),
        ({"seeds": 30}, "seeds = 30"),
        ({"large": 8_000}, "large = 8000: accepted is .* at most 7900"),
        ({"planted": 1.0}, r"planted = 1\.0: accepted is a number above 0 other than 1"),
        ({"planted": -0.5}, r"planted = -0\.5"),
        ({"seed": -1}, "seed = -1"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        calibrate.prepare(with_changes(**changes))
    assert not list(tmp_path.iterdir())
