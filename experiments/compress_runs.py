"""A model made smaller: what is trained, what is cut and rounded, how large its file is, how fast it runs."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from benchmarks.side_by_side import Contestant, race
from experiments.compress_tasks import Setting
from jaxlab import tasks, verdict
from jaxlab.core.cost import bytes_of
from jaxlab.modifiers import prune
from jaxlab.precision import dequantize, quantize, save_weights
from jaxlab.sweep import run_population, seed_keys
from jaxlab.sweep.population import History
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.distilled import Distilled, lesson
from jaxlab.tasks.prediction import NextToken
from jaxlab.train import evaluate, init_run, make_run
from jaxlab.train.state import Build

DENSE, INT8, ALONE, DISTILLED = "dense", "int8", "small, alone", "small, distilled"
INCREASES = 20
"""Mask updates from the first to the one that reaches the sparsity."""
BEGIN, EVERY = 5, 50
"""Pruning begins after a fifth of the steps, and goes on every fiftieth of them: to three fifths."""
CUBIC, AT_ONCE = 3.0, 1e-9
"""Powers of the schedule: Zhu and Gupta's, and one by which nothing is pruned until all is, at the last update."""
TEMPERATURE, ALPHA = 2.0, 0.5
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Plan:
    """One task's comparison, checked and spelled out."""

    task: tasks.Task
    setting: Setting
    sparsities: tuple[float, ...]
    seeds: int
    steps: int
    margin: float
    rounds: int


@dataclasses.dataclass(frozen=True)
class Arm:
    """A way to make the model smaller, and what it came to.

    Attributes:
      metric: on the test set, by seed.
      zeros: of all weights, the fraction; the mean over seeds.
      file, memory: bytes of the first seed's model, in its file and where it is called.
    """

    metric: np.ndarray
    zeros: float
    file: int
    memory: int


@dataclasses.dataclass(frozen=True)
class Found:
    """All that was found on a task.

    Attributes:
      arms: by name, the first what the others are held against.
      judged: each arm that may stand in the dense model's place, against it.
      pairs: by name, two arms and what was found of the first against the second.
      seconds: of one call, round by round; empty where nothing was timed.
      compiling: seconds.
    """

    plan: Plan
    arms: Mapping[str, Arm]
    judged: Mapping[str, verdict.Comparison]
    pairs: Mapping[str, verdict.Comparison]
    seconds: Mapping[str, list[float]]
    compiling: float


def pruned_name(sparsity: float, how: str = "pruned") -> str:
    """An arm's name.

    >>> pruned_name(0.9), pruned_name(0.9, "cut")
    ('pruned 90%', 'cut 90%')
    """
    return f"{how} {100 * sparsity:g}%"


@functools.cache
def pruning(build: Build, steps: int) -> Build:
    """The task's recipe, pruned; ``sparsity`` and ``power`` are two of its numbers."""
    begin, every = steps // BEGIN, max(1, steps // EVERY)

    def pruned(hyperparams: Mapping[str, Any]) -> optax.GradientTransformation:
        own = {name: hyperparams[name] for name in ("sparsity", "power")}
        others = {name: value for name, value in hyperparams.items() if name not in own}
        return prune(build(others), begin=begin, every=every, increases=INCREASES, **own)

    return pruned


def train(plan: Plan, asked: Sequence[tuple[float, float]], keys: Array) -> tuple[list[list], History]:
    """Every seed at every sparsity and power in one program: the final parameters of each; None where it diverged."""
    task, steps = plan.task, plan.steps
    sparsities, powers = (np.repeat(values, plan.seeds) for values in zip(*asked, strict=True))
    numbers = {**numbers_of(task, steps), "sparsity": sparsities, "power": powers}
    history = run_population(
        task,
        pruning(task.recipe.build, steps),
        numbers,
        keys[np.tile(np.arange(plan.seeds), len(asked))],
        steps=steps,
        layout=plan.setting.layout,
    )

    def final(place: int) -> PyTree:
        if history.ended[place] < steps:
            return None
        return jax.tree.map(lambda leaf: leaf[place], history.states.params)

    return [[final(i * plan.seeds + seed) for seed in range(plan.seeds)] for i in range(len(asked))], history


def numbers_of(task: tasks.Task, steps: int) -> dict[str, float]:
    """The task's own hyperparameters, their lengths scaled with the run."""
    return task.recipe.hyperparams(task.default_hyperparams(steps))


def teach(plan: Plan, teachers: Sequence[PyTree], keys: Array) -> dict[str, list]:
    """The smaller model of each seed, alone and with that seed's dense model as its teacher: one compiled program."""
    task, steps = plan.task, plan.steps
    assert plan.setting.student is not None
    (init, apply), dense = plan.setting.student, _of_a_model(task.loss)
    run = make_run(
        Distilled(apply, dense.apply),
        task.recipe.build,
        batch_size=task.batch_size,
        steps=steps,
        validation_fraction=task.validation_fraction,
        has_state=True,
    )
    start = jax.jit(
        lambda key, said: init_run(init, task.recipe.build, numbers_of(task, steps), key=key, model_state=said)
    )

    def taught(teacher: PyTree, key: Array, alpha: float) -> PyTree:
        # A teacher that diverged teaches nothing, and its seed is lost for both.
        if teacher is None:
            return None
        state, _ = run(start(key, lesson(teacher, TEMPERATURE, alpha)), task.data)
        return jax.device_get(state.params)

    return {
        arm: [taught(teacher, key, alpha) for teacher, key in zip(teachers, keys, strict=True)]
        for arm, alpha in ((ALONE, 0.0), (DISTILLED, ALPHA))
    }


def cut(params: PyTree, sparsity: float) -> PyTree:
    """A trained model's smallest weights set to zero, without any training after it."""
    return jax.device_get(_cut(params, sparsity))


@jax.jit
def _cut(params: PyTree, sparsity: Array) -> PyTree:
    tx = prune(optax.set_to_zero(), sparsity, begin=1, every=1, increases=0)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    return optax.apply_updates(params, updates)


def scores(task: tasks.Task, loss: Callable[..., Any], found: Sequence[PyTree]) -> np.ndarray:
    """The task's metric of each model on the test set; NaN where a run diverged."""
    score = _score(loss)
    return np.array([np.nan if params is None else float(score(params, task.test)[task.metric]) for params in found])


@functools.cache
def _score(loss: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(lambda params, test: evaluate(loss, dequantize(params), test))


def student_loss(plan: Plan) -> Callable[..., Any]:
    """The task's loss of the smaller model."""
    assert plan.setting.student is not None
    return dataclasses.replace(_of_a_model(plan.task.loss), apply=plan.setting.student[1])


def _of_a_model(loss: Any) -> NextToken | Classifier:
    assert isinstance(loss, NextToken | Classifier)
    return loss


def zeros_of(params: PyTree) -> float:
    """The fraction of all weights that is zero."""
    every = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(dequantize(params))])
    return float(np.mean(every == 0))


def measured(
    plan: Plan, found: Mapping[str, Sequence[PyTree]], folder: Path, losses: Mapping[str, Callable[..., Any]]
) -> dict[str, Arm]:
    """Every arm's score, and the size of its first model's file."""
    arms = {}
    for name, models_of in found.items():
        whole = [params for params in models_of if params is not None]
        path = folder / f"{name.replace(', ', '-').replace(' ', '-').replace('%', '')}.safetensors"
        about = {"task": plan.task.name, "arm": name, "steps": plan.steps}
        arms[name] = Arm(
            scores(plan.task, losses.get(name, plan.task.loss), models_of),
            float(np.mean([zeros_of(params) for params in whole])) if whole else 0.0,
            save_weights(path, whole[0], about) if whole else 0,
            bytes_of(whole[0]) if whole else 0,
        )
    return arms


def times(plan: Plan, found: Mapping[str, Sequence[PyTree]], losses: Mapping[str, Any]) -> dict[str, list[float]]:
    """Seconds of one evaluation of a batch by each arm's first model, all in turn."""
    batch = jax.tree.map(lambda x: x[: plan.setting.speed_batch], plan.task.test)

    def contestant(name: str) -> Contestant:
        loss, params = losses.get(name, plan.task.loss), jax.device_put(found[name][0])
        call = jax.jit(lambda params, batch: loss(dequantize(params), batch, None)[1]).lower(params, batch).compile()
        return lambda: jax.block_until_ready(call(params, batch))

    names = [name for name in found if found[name][0] is not None]
    if DENSE not in names:
        return {}
    # A turn takes some milliseconds.
    repeats = 20 if bytes_of(found[DENSE][0]) < 2**17 else 2
    return race({name: functools.partial(contestant, name) for name in names}, plan.rounds, repeats=repeats)


def compress(plan: Plan, seed: int, folder: Path, say: Callable[[str], None]) -> Found:
    """Trains, cuts, rounds, teaches, measures and judges, on one task."""
    keys = seed_keys([1_000 * seed + i for i in range(plan.seeds)])
    most = max(plan.sparsities)
    asked = [(0.0, CUBIC), *((s, CUBIC) for s in plan.sparsities), (most, AT_ONCE)]
    (dense, *pruned, at_once), history = train(plan, asked, keys)
    gradual = dict(zip(plan.sparsities, pruned, strict=True))
    say(f"{plan.task.name}: dense and pruned, {history.run_seconds:.0f} s")

    def rounded(found: Sequence[PyTree]) -> list[PyTree]:
        return [None if params is None else quantize(params) for params in found]

    found: dict[str, Sequence[PyTree]] = {DENSE: dense, INT8: rounded(dense)}
    found |= {pruned_name(s): gradual[s] for s in plan.sparsities}
    found |= {f"{pruned_name(s)}, int8": rounded(gradual[s]) for s in plan.sparsities}
    losses: dict[str, Callable[..., Any]] = {}
    if plan.setting.student is not None:
        found |= teach(plan, dense, keys)
        losses = dict.fromkeys((ALONE, DISTILLED), student_loss(plan))
        say(f"{plan.task.name}: a smaller model, alone and distilled")
    candidates = list(found)
    found[pruned_name(most, "at once")] = at_once
    found |= {
        pruned_name(s, "cut"): [None if params is None else cut(params, s) for params in dense] for s in plan.sparsities
    }

    folder.mkdir(parents=True)
    arms = measured(plan, found, folder, losses)
    timed = [DENSE, INT8, pruned_name(most), *[DISTILLED] * (DISTILLED in found)]
    seconds = times(plan, {name: found[name] for name in timed}, losses) if plan.rounds else {}
    return Found(plan, arms, judge(plan, arms, candidates), pairs_of(plan, arms), seconds, history.compile_seconds)


def judge(plan: Plan, arms: Mapping[str, Arm], candidates: Sequence[str]) -> dict[str, verdict.Comparison]:
    """Every candidate against the dense model, with Holm's correction over all of them."""
    compared = verdict.comparisons(
        {name: arms[name].metric for name in candidates},
        higher_is_better=plan.task.higher_is_better,
        margin=plan.margin,
        level=LEVEL,
        baseline=DENSE,
    )
    return {one.a: one for one in compared}


def pairs_of(plan: Plan, arms: Mapping[str, Arm]) -> dict[str, verdict.Comparison]:
    """Gradual pruning against that at once and after training, distilled against alone: each a question of its own."""
    most = max(plan.sparsities)
    asked = [(pruned_name(most), pruned_name(most, "at once"))]
    asked += [(pruned_name(s), pruned_name(s, "cut")) for s in plan.sparsities]
    asked += [(DISTILLED, ALONE)] * (DISTILLED in arms)
    found = {}
    for a, b in asked:
        pair = {name: arms[name].metric for name in (a, b)}
        (found[f"{a} / {b}"],) = verdict.comparisons(
            pair, higher_is_better=plan.task.higher_is_better, margin=plan.margin, level=LEVEL
        )
    return found
