"""Which layout should a model have on these devices?

    python -m experiments.parallel
    python -m experiments.parallel --model cnn --optimizer muon --axis-types explicit
    python -m experiments.parallel --layouts "data=8 zero=1" "fsdp=4,tensor=2" --precision bfloat16

One model and one batch under every layout that the devices allow: data parallelism, ZeRO's three stages (a mesh axis
``fsdp`` is the third), tensor and sequence parallelism, mixtures; or under those of --layouts, a mesh each and
perhaps a stage of ZeRO behind it. Where there is one device, the processor stands for eight.

Of each layout: whether it trains the same model as one device (parameters after a few steps in float64); the memory
that each device needs, for parameters, gradients, optimizer state and what the compiled step needs meanwhile; what
devices send each other, read from the compiled step, beside the least that the layout has to send; the time of a
step, all layouts in turn, round by round.

Writes results.json, report.html and the plots. It takes 2 minutes of processor time on two CPU cores.
"""

import dataclasses
import time
from pathlib import Path

import jax
from rich.console import Console

from experiments import cli, parallel_advice, parallel_page
from experiments.parallel_layouts import build, devices_here, layouts_for, read
from experiments.parallel_models import SUBJECTS, Subject, subject_of
from experiments.parallel_runs import (
    HYPERPARAMS,
    Found,
    Training,
    difference,
    double_precision,
    first_parameters,
    measure,
    times,
    train,
)
from jaxlab import optimizers
from jaxlab.core import hyper
from jaxlab.precision import as_policy
from jaxlab.sharding import Layout
from jaxlab.sharding.mesh import AXIS_TYPES
from jaxlab.train import init_state, make_train_step


@dataclasses.dataclass(frozen=True)
class Config:
    """What to lay out, and how."""

    model: str = "gpt"
    """gpt, mlp or cnn, each with a batch of random examples."""
    optimizer: str = "adamw"
    """Any of jaxlab's."""
    layouts: tuple[str, ...] = ()
    """Such as "data=8 zero=1" "fsdp=4,tensor=2"; by default every kind that the devices allow."""
    batch_size: int | None = None
    """By default one that all devices divide."""
    steps: int = 5
    """Of the comparison in float64."""
    axis_types: str = "auto"
    """auto: XLA finds the layouts between; explicit: every array's layout is part of its type."""
    precision: str = "float32"
    """Of what is measured: float32, bfloat16 or float16 compute. The comparison is in float64."""
    rounds: int = 9
    """Of the timing, at least 8; 0 times nothing."""
    seed: int = 0
    """Initial parameters and the batch follow from it."""
    out: Path | None = None
    """Where to write; by default runs/parallel/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked."""

    config: Config
    subject: Subject
    training: Training
    layouts: dict[str, Layout]
    one: Layout
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without compiling: every parameter and batch under every layout."""
    hyper.one_of("model", config.model, SUBJECTS)
    hyper.one_of("axis_types", config.axis_types, AXIS_TYPES)
    hyper.integer("steps", config.steps, at_least=1)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**32 - 1)
    if config.batch_size is not None:
        hyper.integer("batch_size", config.batch_size, at_least=1)
    if config.rounds:
        hyper.integer("rounds", config.rounds, at_least=8)
    recipe = optimizers.Recipe(config.optimizer)
    training = Training(recipe.build, recipe.hyperparams(HYPERPARAMS), as_policy(config.precision), config.seed)
    devices = devices_here()
    subject = subject_of(config.model, len(devices), config.batch_size, config.seed)
    texts = config.layouts or tuple(layouts_for(len(devices), sequence="sequence" in subject.axes))
    if twice := sorted({text for text in texts if texts.count(text) > 1}):
        raise ValueError(f"layouts has {twice[0]!r} twice: accepted is each once")
    rules = subject.model.tensor_rules()
    layouts = {text: build(read(text), devices, rules, subject.axes, config.axis_types) for text in texts}
    one = build(read("data=1"), devices, rules, subject.axes, config.axis_types)
    for text, layout in layouts.items():
        try:
            layout.shardings(subject.parameters)
            layout.batch_shardings(subject.batch)
        except ValueError as error:
            raise ValueError(f"layouts: {text!r} does not fit {config.model}: {error}") from None
    check_step(subject, training)
    return Plan(config, subject, training, layouts, one, cli.new_folder(config.out, "parallel"))


def check_step(subject: Subject, training: Training) -> None:
    """Traces one step: an optimizer that asks for what this loss has not says so here."""
    keep = {"key": jax.random.key(0), "policy": training.policy}
    step = make_train_step(subject.loss, training.build, policy=training.policy)

    def one(params: dict, batch: dict) -> object:
        return step(init_state(params, training.build, training.hyperparams, **keep), batch)

    jax.eval_shape(one, subject.parameters, subject.batch)


def run(plan: Plan) -> None:
    """Compares, measures, times, and writes the page."""
    console, began, config = Console(), time.perf_counter(), plan.config
    subject, training = plan.subject, plan.training
    console.print(f"[bold]{parallel_page.devices_in_words(plan.layouts)}[/]", highlight=False)
    console.print(f"{config.model}: {subject.about}; {config.optimizer}, {config.precision}", highlight=False)
    with double_precision():
        params = first_parameters(subject, config.seed)
        base = train(subject, plan.one, training, params, config.steps)
        ends = {}
        for number, (text, layout) in enumerate(plan.layouts.items(), 1):
            ends[text] = base if layout == plan.one else train(subject, layout, training, params, config.steps)
            away, equal = difference(ends[text], base)
            console.print(
                f"{number}/{len(plan.layouts)} {text}: {'equal' if equal else '[red]NOT equal[/]'} ({away:.0e})"
            )
    params = first_parameters(subject, config.seed)
    found: dict[str, Found] = {}
    for text, layout in plan.layouts.items():
        figures = measure(subject, layout, training, params)
        found[text] = Found(text, layout, *difference(ends[text], base), figures)
        console.print(parallel_page.line(found[text]), highlight=False)
    seconds = times({text: one.figures for text, one in found.items()}, config.rounds) if config.rounds else {}
    console.print(parallel_page.terminal(found, seconds))
    results = cli.findings(
        "parallel",
        f"Which layout should a model have on {parallel_page.count_of(plan.layouts)}?",
        config,
        f"{parallel_advice.answer(found, config.steps)} {parallel_page.devices_in_words(plan.layouts)}.",
        seconds=time.perf_counter() - began,
        compile_seconds=sum(one.seconds for one in ends.values()) + sum(one.figures.seconds for one in found.values()),
        numbers=parallel_page.numbers_of(found, seconds),
        sections=parallel_page.sections_of(found, seconds, subject, config),
    )
    plan.out.mkdir(parents=True, exist_ok=True)
    cli.finish(results, plan.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
