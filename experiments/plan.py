"""On which TPU slice does my language model fit, under which plan, and how fast would it train?

    python -m experiments.plan
    python -m experiments.plan --model 1B --chip v5e:4x4 --layout data=2,fsdp=8 --remat dots --accumulate 4
    python -m experiments.plan --model 1B --chip v5e:4x4 --search
    python -m experiments.plan --resume runs/plan/2026-01-31-120000

Compiles the real training step (the GPT of experiments.pretrain in one loop over layers, bfloat16 with float32 master
weights, Muon and AdamW) for slices that are not here, and reads from the executable what each chip would hold,
compute, read, and send. Step time, tokens a second and MFU follow by a roofline, which is an estimate
(jaxlab/aot/roofline.py). A step that the compiler refuses, because it needs more memory than a chip has, is an answer,
too.

By default a model of 7 billion parameters on eight chips of two kinds, on one of which it fits. --search tries mesh
shapes, stages of ZeRO, what the backward pass makes again, and micro-batches; it leaves out what arithmetic alone shows
to be too large or too slow, compiles the most promising --tries of the rest, and names the fastest that fits.

Needs libtpu, in an environment of its own (.github/requirements/tpu.txt); no TPU. What is compiled is kept in
plans.jsonl: --resume goes on where a search was stopped. Writes results.json, report.html and the plots. Compiling
a step takes about two minutes of one core, whatever the number of layers; most that do not fit are refused in seconds.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments import cli, plan_page, plan_search, study
from experiments.plan_step import Choice, Training, compiled, layout_of
from jaxlab import aot
from jaxlab.core import hyper
from jaxlab.models.remat import REMATS
from jaxlab.models.sizes import shape_of
from jaxlab.report.results import plain
from jaxlab.sharding.mesh import parse

EACH = 8
"""Sequences of a step for each chip, unless --batch says otherwise."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What is to be trained, where, and how."""

    model: str = "7B"
    """Parameters, such as 124M, 1B or 7B."""
    chip: tuple[str, ...] = ("v5p:2x2x2", "v5e:2x4")
    """Slices: a generation of TPU and a shape."""
    layout: str = "fsdp=-1"
    """The mesh, as axis=size pairs of data, fsdp and tensor; -1 takes the chips that are left."""
    zero: int | None = None
    """Stage of ZeRO; by default 3 with an axis fsdp, else 0."""
    remat: str = "full"
    """What of a block the backward pass makes again: none, dots or full."""
    accumulate: int = 1
    """Micro-batches of a step."""
    batch: int | None = None
    """Sequences of a step on all chips together; by default 8 for each chip."""
    context: int = 2048
    """Tokens of a sequence."""
    optimizer: str = "muon"
    """Muon has AdamW for all that is no matrix."""
    vocabulary: int = 50_304
    """Tokens that there are."""
    chunk_size: int | None = None
    """Make logits of so many tokens at a time; by default of all of a micro-batch."""
    search: bool = False
    """Try layouts, stages, remat and micro-batches, instead of those given."""
    tries: int = 6
    """Plans that a search compiles at most, on each slice."""
    seed: int = 0
    """No figure depends on it: no parameter is ever made."""
    out: Path | None = None
    """Where to write; by default runs/plan/<time>."""
    resume: Path | None = None
    """A folder of a search that was stopped; all other options are that one's."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked: what to train on each slice, and how where it is said."""

    config: Config
    out: Path
    trainings: dict[str, Training]
    choices: dict[str, Choice]


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without compiling."""
    if config.resume is not None:
        config = cli.saved_config(config)
    if not config.chip:
        raise ValueError("chip = []: accepted is at least one slice, such as v5e:4x4")
    hyper.one_of("remat", config.remat, REMATS)
    for name in ("context", "accumulate", "tries", "vocabulary"):
        hyper.integer(name, getattr(config, name), at_least=1)
    for name in ("batch", "chunk_size"):
        hyper.integer(name, 1 if getattr(config, name) is None else getattr(config, name), at_least=1)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**16)
    shape = shape_of(config.model, config.vocabulary)
    trainings, choices = {}, {}
    for where in dict.fromkeys(config.chip):
        count = aot.slice_of(where).devices
        batch = EACH * count if config.batch is None else config.batch
        trainings[where] = Training(shape, config.optimizer, batch, config.context, config.chunk_size)
        assert trainings[where].recipe
        choices[where] = choice_of(config, where)
    out = config.resume or cli.new_folder(config.out, "plan")
    for where, choice in choices.items():
        devices = aot.devices_of(where)
        if not config.search:
            layout_of(trainings[where], choice, devices)
    return Plan(config, out, trainings, choices)


def choice_of(config: Config, where: str) -> Choice:
    """The plan that the options name, its mesh and stage spelled out."""
    sizes = parse(config.layout, aot.slice_of(where).devices)
    mesh = ",".join(f"{name}={size}" for name, size in sizes.items())
    zero = (3 if sizes.get("fsdp", 1) > 1 else 0) if config.zero is None else config.zero
    return Choice(where, mesh, zero, config.remat, config.accumulate)


@dataclasses.dataclass
class Kept:
    """What has been compiled, in a file that grows a line at a time."""

    path: Path
    entries: list[dict[str, Any]]

    @classmethod
    def at(cls, path: Path) -> "Kept":
        """What is there; a last line that a killed run left unfinished is none."""
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return cls(path, [json.loads(line) for line in lines])

    def of(self, training: Training, choice: Choice) -> dict[str, Any]:
        """A plan's entry, compiled unless it is there."""
        for entry in self.entries:
            if all(entry[name] == value for name, value in choice._asdict().items()):
                return entry
        entry = plain(compiled(training, choice))
        self.entries.append(entry)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        return entry


def run(plan: Plan) -> None:
    """Compiles, and writes the page."""
    console, began, config = Console(), time.perf_counter(), plan.config
    cli.remember(plan.out, config, "experiments.plan")
    kept = Kept.at(plan.out / "plans.jsonl")
    found: dict[str, plan_search.Found] = {}
    with study.progress_bar(console, "plans") as bar:
        for where, training in plan.trainings.items():
            if config.search:
                found[where] = plan_search.search(training, where, config.tries, kept.of, bar)
            else:
                task = bar.add_task(where, total=1)
                found[where] = plan_search.Found([kept.of(training, plan.choices[where])])
                bar.advance(task)
    console.print(plan_page.table_of(found))
    results = cli.findings(
        "plan",
        plan_page.question(config.model, list(found), config.search),
        config,
        plan_page.answer(plan.trainings, found),
        seconds=time.perf_counter() - began,
        compile_seconds=sum(entry["compile_seconds"] for entry in kept.entries),
        numbers=plan_page.numbers_of(found),
        sections=plan_page.sections_of(plan.trainings, found),
    )
    results["command"] = cli.remembered(plan.out)["command"]
    results["config"] |= {"resume": None, "out": None}
    cli.finish(results, plan.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
