"""Which statements of the founding texts are wrong, and what shows it?

    python -m experiments.misprints

Some of what the five founding texts print is wrong. Each statement here implies a number; a run or an exact
computation gives the one that comes out. It counts as wrong if they differ (where there is chance, if the 95% interval
leaves the implied one out). Beside each stands what is right, and the call that does it in jaxlab.

Writes results.json, report.html and the plots. On two CPU cores it takes about half a minute.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from experiments import cli
from experiments import misprint_runs as runs
from experiments import misprint_sums as sums
from experiments.misprint_sums import Shown
from jaxlab.core import hyper
from jaxlab.report.sections import Section
from jaxlab.train.stopwatch import Stopwatch


@dataclasses.dataclass(frozen=True)
class Config:
    """What may be varied: all else is exact."""

    starts: int = 2_000
    """Of gradient descent in the double well."""
    seed: int = 0
    """Of these starts."""
    out: Path | None = None
    """Where to write; by default runs/misprints/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked."""

    config: Config
    out: Path


@dataclasses.dataclass(frozen=True)
class Misprint:
    """A statement of the texts.

    Attributes:
      name: short.
      text: which of the five, as they are numbered.
      printed, right: what the text says and what is so, in words and formulas.
      instead: jaxlab's call.
      show: computes what decides.
    """

    name: str
    text: str
    printed: str
    right: str
    instead: str
    show: Callable[[], Shown]


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without computing."""
    hyper.integer("starts", config.starts, at_least=10)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**32 - 1)
    return Plan(config, cli.new_folder(config.out, "misprints"))


def misprints_of(config: Config, clock: Stopwatch) -> list[Misprint]:
    """All statements, those about algorithms first, then code, then tables, then words."""
    return [
        Misprint(
            "Adam's step size",
            "text 3",
            "The rate of step t is 1 / ((1 - b1^t) m_0), with m_0 the first moment before the first step.",
            "m_0 is 0, so the first step is infinite. The paper divides both moments by 1 - b^t and multiplies by a "
            "learning rate, which the printed formula lacks. Without the correction of both moments steps are up to "
            "6.6 times too long.",
            "jaxlab.optimizers.adam(learning_rate)",
            functools.partial(runs.adam_step_size, clock),
        ),
        Misprint(
            "never stuck in a local minimum",
            "text 3",
            "Gradient descent does not get stuck in local minima, because it always follows the steepest descent.",
            "It goes down into the valley where it starts, and stays there, best or not. What helps is to start often "
            "and keep the best.",
            "jaxlab.sweep.run_population(task, build, hyperparams, keys, steps=...)",
            functools.partial(runs.local_minima, clock, config.seed, config.starts),
        ),
        Misprint(
            "Adam and RMSprop as second-order methods",
            "text 3",
            "They use second derivatives, which v averages: v = b2 v + (1 - b2) g^2.",
            "v averages the squared gradient, a first derivative. Multiply the loss by 10: second derivatives grow 10 "
            "times, v 100 times. Newton's method solves a quadratic in one step, however it is rotated.",
            "jaxlab.optimizers.newton(), gauss_newton(), lbfgs()",
            functools.partial(runs.second_order, clock),
        ),
        Misprint(
            "RMSprop's rate as fixed",
            "text 3",
            "RMSprop differs from Adam in that its learning rate is fixed.",
            "Its own formula, alpha / (sqrt(s_t) + eps), changes with every gradient. What Adam adds is momentum and "
            "the correction of both averages.",
            "jaxlab.optimizers.rmsprop(learning_rate)",
            functools.partial(runs.rmsprop_rate, clock),
        ),
        Misprint(
            "the random slice",
            "text 1",
            "A batch of m examples is X[r : r + m] with r drawn below m, and a column of m ones is put before it.",
            "With all 100 examples as m, only r = 0 gives m rows; every other slice runs past the data and does not "
            "fit the ones. With m = 32, batches lie within the first 63 rows. Before that the code stops: m was made "
            "a float.",
            "jaxlab.train.data.batch_indices(key, step, examples=n, batch_size=b)",
            sums.random_slice,
        ),
        Misprint(
            "the regularization function",
            "text 1",
            "It returns sum(theta^2) / 2m + lambda sum(theta^2) / 2m.",
            "The first term should be the loss: as it stands a penalty remains where lambda is 0, and the data do not "
            "occur. And m is defined nowhere, so the function stops with a NameError.",
            "jaxlab.regularizers.l2(strength), l2_penalty(params, strength)",
            sums.penalty_without_strength,
        ),
        Misprint(
            "dynamic gradient descent",
            "text 1",
            "The code is to adjust the rate to the loss, alpha_t = alpha f(J), and takes a decay as an argument.",
            "It uses alpha / sqrt(number of steps) throughout: no loss is computed, and the decay is never used.",
            "jaxlab.optimizers.gradient_descent(jaxlab.schedules.loss_driven(alpha, f=f))",
            functools.partial(runs.constant_rate, clock),
        ),
        Misprint(
            "an epoch of one batch",
            "text 3",
            "The linear regression trains for 1,000 epochs, in each of which it takes one random batch of 32.",
            "An epoch is a pass over all 100 examples: 1,000 such batches are 320 of them. And as printed the class "
            "stops: a vector of 100 numbers and one weight have no dot product.",
            "python -m experiments.linear_regression",
            sums.epoch_of_one_batch,
        ),
        Misprint(
            "the table of step decay",
            "text 4",
            "From 0.01, a tenth after every 1,000: 0.001 at epoch 1000, the first epoch being 1.",
            "Counted from 1, the first 1,000 epochs are 1 to 1000, and 0.001 begins with epoch 1001.",
            "jaxlab.schedules.step_decay(0.01, every=1000)",
            sums.step_table,
        ),
        Misprint(
            "the table of exponential decay",
            "text 4",
            "0.99 with a step size of 1,000: 0.0099 at epoch 2, about 0.0037 at epoch 1000.",
            "0.99 at every epoch, as the second row has it, gives 4.4e-7 at epoch 1000; 0.0037 belongs to epoch 100. "
            "0.99 in every 1,000, as the step size says, would give 0.0099 there.",
            "jaxlab.schedules.exponential(0.01, 0.99, transition_steps=1)",
            sums.exponential_table,
        ),
        Misprint(
            "the table of cosine decay",
            "text 4",
            "From 0.01 to 0 in 10,000: 0.009945 at epoch 2, about 0.0001 at epoch 10000.",
            "A cosine begins and ends flat: 0.00999999975 at epoch 2, 2.5e-10 at epoch 10000.",
            "jaxlab.schedules.cosine(0.01, total_steps=10000)",
            sums.cosine_table,
        ),
        Misprint(
            "zeros from the L1 step",
            "texts 1 and 4",
            "Descent along the gradient of loss and L1 penalty makes some weights zero.",
            "The penalty's optimum has zeros, but steps along its gradient jump across them. The proximal step, which "
            "stops at zero, reaches them.",
            "jaxlab.regularizers.proximal_l1(optimizer, strength)",
            functools.partial(runs.sparsity, clock),
        ),
        Misprint(
            "too large a learning rate",
            "texts 2 and 3",
            "It makes the model converge too fast, or overfit.",
            "Overfitting is a low training loss. Above 2 / L, with L the largest curvature, the training loss itself "
            "grows without bound; here 1% above.",
            "jaxlab.optimizers.gradient_descent(rate) with rate below 2 / L",
            functools.partial(runs.too_large, clock),
        ),
        Misprint(
            "sums over workers and machines",
            "text 5",
            "Data parallelism: the gradient is the sum of the workers' gradients. Model parallelism: theta is the sum "
            "of the pieces theta_j that the machines hold.",
            "The loss is a mean, so its gradient is the mean of theirs: with the sum the greatest stable learning rate "
            "is n times smaller. The pieces are different parameters: theta is all of them side by side.",
            "jax.lax.pmean(gradients, axis)",
            sums.summed_gradients,
        ),
        Misprint(
            "mixed precision as a plain step",
            "text 5",
            "Parameters are updated by theta - alpha gradient, in whatever precision they have.",
            "In bfloat16 1 - 0.001 rounds to 1, and parameters never move. Mixed precision keeps them in float32 and "
            "computes in bfloat16; that is all there is to it, and the formula lacks it.",
            "jaxlab.train.make_train_step(loss, build, policy='bfloat16')",
            functools.partial(runs.swallowed, clock),
        ),
        Misprint(
            "log loss for regression",
            "text 2",
            "Log loss is for regression and takes the difference of logarithms.",
            "Log loss is the cross entropy of two classes. A difference of logarithms needs targets above 0, which "
            "a regression may not have.",
            "jaxlab.losses.mse, mae or huber; msle for targets above -1; log_loss for probabilities",
            sums.logarithm_of_targets,
        ),
    ]


def run(plan: Plan) -> None:
    """Computes what decides about every statement, writes the page."""
    console, clock, began = Console(), Stopwatch(), time.perf_counter()
    plan.out.mkdir(parents=True, exist_ok=True)
    all_shown = []
    for misprint in misprints_of(plan.config, clock):
        shown = misprint.show()
        all_shown.append((misprint, shown))
        found = shown.numbers[0]
        console.print(
            f"{misprint.name}: {found['name']} {found['value']:.4g}, implied {shown.implied:.4g}", highlight=False
        )
    results = cli.findings(
        "misprints",
        "Which statements of the founding texts are wrong, and what shows it?",
        plan.config,
        verdict_of(all_shown),
        seconds=time.perf_counter() - began,
        compile_seconds=clock.compiling,
        numbers=[shown.numbers[0] for _, shown in all_shown],
        sections=[overview(all_shown), *(section_of(misprint, shown) for misprint, shown in all_shown)],
    )
    cli.finish(results, plan.out, console)


def verdict_of(all_shown: list[tuple[Misprint, Shown]]) -> str:
    """How many statements are wrong, and which."""
    wrong = [misprint.name for misprint, shown in all_shown if shown.wrong]
    stands = [misprint.name for misprint, shown in all_shown if not shown.wrong]
    rest = f" Not shown to be wrong: {', '.join(stands)}." if stands else ""
    return f"{len(wrong)} statements of the texts are wrong, each shown by a number. These: {', '.join(wrong)}.{rest}"


def overview(all_shown: list[tuple[Misprint, Shown]]) -> Section:
    """All statements in one table."""
    return {
        "title": "All at a glance",
        "text": [],
        "tables": [
            {
                "title": "Each statement implies a number; beside it is the one that comes out.",
                "columns": ["Statement", "In", "What is counted", "Implied", "Found", "Unit"],
                "rows": [
                    [misprint.name, misprint.text, found["name"], float(shown.implied), found["value"], found["unit"]]
                    for misprint, shown in all_shown
                    for found in shown.numbers[:1]
                ],
            }
        ],
        "charts": [],
    }


def section_of(misprint: Misprint, shown: Shown) -> Section:
    """One statement: what is printed, what is right, the numbers, and the call to use."""
    return {
        "title": misprint.name[0].upper() + misprint.name[1:],
        "text": [
            f"Printed in {misprint.text}: {misprint.printed}",
            f"Right: {misprint.right}",
            f"In jaxlab: {misprint.instead}",
        ],
        "tables": [
            {
                "title": "What comes out.",
                "columns": ["Number", "Value", "Unit", "Meaning"],
                "rows": [[one["name"], one["value"], one["unit"], one["meaning"]] for one in shown.numbers],
            }
        ],
        "charts": list(shown.charts),
    }


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
