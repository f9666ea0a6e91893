"""How well does a language model learn this text?

    python -m experiments.pretrain
    python -m experiments.pretrain --size 10M --context 512 --text my/folder --tokenizer tokenizer.json
    python -m experiments.pretrain --size 1B --scan --remat dots --chunk-size 4096 --layout fsdp=-1
    python -m experiments.pretrain --resume runs/pretrain/2026-01-31-120000
    python -m experiments.pretrain --resume runs/pretrain/2026-01-31-120000 --layout data=-1

Trains a decoder-only transformer (RMSNorm, rotary positions, normalised queries and keys, squared ReLU) to predict
the next token of a folder of text, by default the source of Python's standard library, byte by byte, by Muon and AdamW
with a learning rate that rises, stays and falls (WSD). One file in ten, chosen by a hash of its path, is held out; bits
a byte compare between tokenizers.

Batches are a function of the text, the seed and the step, read ahead from memory-mapped token files. Every so often the
held-out loss, gradients, parameters and activations are logged (log.jsonl), texts are written (samples/), and the state
is saved while training goes on.

SIGTERM and Ctrl-C finish the step, save, and end the process with exit code 143 or 130, which tell a scheduler that the
run is not complete: SLURM's and Kubernetes' restarts go on with --resume DIR. A run that was stopped, or killed at any
moment, ends with the bits that it would have had: the same parameters, whose SHA-256 is in results.json. It refuses to
go on with other text, another tokenizer or damaged token files. Under another layout its sums are in another order.

Several processes, one for each host, are started alike, with --out; jaxlab.sharding.start finds the others.
"""

import sys
import time
from typing import Any

import jax
from rich.console import Console
from rich.markup import escape

from experiments import cli, pretrain_text
from experiments.pretrain_log import Log
from experiments.pretrain_loop import Loop, Meter
from experiments.pretrain_observer import Observer
from experiments.pretrain_page import Page, describe
from experiments.pretrain_plan import Config, Plan, prepare
from experiments.pretrain_programs import digest
from experiments.train import lies
from jaxlab.core import hyper
from jaxlab.text import Stream
from jaxlab.train import Checkpoints, TrainState, abstract_state, init_run
from jaxlab.train.stopping import Stopping


def run(plan: Plan) -> None:
    """Trains, evaluates, writes the page; or stops where a signal asks for it, with everything saved."""
    began, config, programs = time.perf_counter(), plan.config, plan.programs
    first = jax.process_index() == 0
    console = Console(quiet=not first)
    if first:
        cli.remember(plan.out, config, "experiments.pretrain")
    tokens = plan.source.tokens()
    identity = pretrain_text.remember(plan.source, tokens, plan.out)
    try:
        stream = Stream(tokens.training, config.context, config.batch_size, config.seed)
    except ValueError as error:
        raise hyper.RunError(str(error)) from error
    about = describe(plan, tokens, stream.steps_per_epoch)
    for name, words in about:
        console.print(f"[bold]{name}[/]: {escape(words)}", highlight=False, soft_wrap=True)

    with (
        Checkpoints(plan.out / "checkpoints", config.keep) as checkpoints,
        Log(plan.out if first else None, console, config.steps, tensorboard=config.tensorboard) as log,
        Stopping() as stopping,
    ):
        state, past = begin(plan, checkpoints)
        if past and past["layout"] != lies(programs.layout):
            console.print(f"now {lies(programs.layout)}, until here {past['layout']}", highlight=False)
        log.begin(int(state.step))
        meter = Meter(
            config.batch_size * config.context,
            tokens.training.bytes_per_token,
            plan.shape.flops_per_token(config.context),
            **past.get("meter", {}),
        )
        programs.clock.compiling += past.get("compiling", 0.0)
        step = programs.step(state, programs.put(stream.batch(int(state.step))))
        observer = Observer(plan, tokens.held_out, state)

        def seconds() -> float:
            return past.get("seconds", 0.0) + time.perf_counter() - began

        def save(number: int, state: TrainState, *, wait: bool) -> None:
            spent = {"seconds": seconds(), "compiling": programs.clock.compiling, "meter": meter.note()}
            checkpoints.save(number, state, note={**spent, "layout": lies(programs.layout)}, wait=wait)

        loop = Loop(
            steps=config.steps,
            evaluate_every=plan.evaluate_every,
            log_every=max(1, plan.evaluate_every // 10),
            batches=lambda number: programs.batches(stream, number),
            step=step,
            evaluate=observer.evaluate,
            save=save,
            profile=plan.out / "profile" if config.profile else None,
        )
        state = loop.run(state, log, meter, stopping)
        checkpoints.wait()
        if stopping.received is not None:
            done = int(state.step)
            saved = "all is saved" if done else "there is nothing to save"
            console.print(f"stopped after step {done} of {config.steps}, {saved}; --resume {plan.out} goes on")
            sys.exit(128 + stopping.received)
        score, samples = observer.score(state), observer.write(state)
        page = Page(about, log.records, score, samples, observer.judged(samples), digests(identity, state))
    if first:
        finish(plan, page, seconds(), console)


def begin(plan: Plan, checkpoints: Checkpoints) -> tuple[TrainState, dict[str, Any]]:
    """The state to go on from, and what was noted beside it: the newest checkpoint, or a fresh one and nothing.

    Raises:
      RunError: the checkpoint is damaged, or another run's.
    """
    config, programs = plan.config, plan.programs
    key, init = jax.random.key(config.seed), jax.jit(programs.model.init)
    parts = {"key": key, "policy": programs.policy}
    saved = config.resume is not None and checkpoints.steps()
    if programs.layout is None:
        state = init_run(programs.clock.compile(init, key), programs.build, plan.hyperparams, **parts)
    elif not saved:
        state = init_run(init, programs.build, plan.hyperparams, layout=programs.layout, **parts)
    else:
        # Of a model that fills its devices there is no room for two.
        state = abstract_state(init, programs.build, plan.hyperparams, layout=programs.layout, **parts)
    if programs.layout is None:
        # As what is restored lies: on this very device, so that both run the same program.
        state = jax.device_put(state, jax.devices()[0])
    if not saved:
        return state, {}
    try:
        state, past = checkpoints.restore(state), checkpoints.note()
    except (ValueError, OSError) as error:
        raise hyper.RunError(str(error)) from error
    if int(state.step) > config.steps:
        raise hyper.RunError(
            f"{plan.out} is at step {int(state.step)}, beyond the {config.steps} steps of the run: accepted is the "
            "config.json that it wrote"
        )
    return state, past


def digests(identity: dict[str, Any], state: TrainState) -> dict[str, str]:
    """SHA-256 of what went in and of what came out."""
    return {
        "text": identity["corpus"]["digest"],
        "tokenizer": identity["tokenizer"]["digest"],
        **{f"{side.replace('_', '-')} tokens": found for side, found in identity["tokens"].items()},
        "final parameters": digest(state.params),
    }


def finish(plan: Plan, page: Page, seconds: float, console: Console) -> None:
    """Writes results and page, shows a text, says the verdict."""
    for sample in page.samples[1:2]:
        console.print(f"[bold]It writes[/], among others:\n{escape(sample)}", highlight=False)
    results = cli.findings(
        "pretrain",
        "How well does a language model learn this text?",
        plan.config,
        page.answer(),
        seconds=seconds,
        compile_seconds=plan.programs.clock.compiling,
        numbers=page.numbers(),
        sections=page.sections(),
    )
    command = cli.remembered(plan.out)["command"]
    cli.finish({**results, "command": command, "digests": page.digests}, plan.out, console)


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
