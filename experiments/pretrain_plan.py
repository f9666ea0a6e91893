"""What may be asked of a pretraining run, checked before anything is compiled or written."""

import dataclasses
from pathlib import Path

import jax

from experiments import cli, pretrain_recipe, pretrain_text
from experiments.pretrain_log import summary_writer
from experiments.pretrain_memory import check_room
from experiments.pretrain_programs import Programs, check_batch, layout_of, remembering_norms
from jaxlab import sharding
from jaxlab.core import hyper
from jaxlab.models.gpt import SCANNED
from jaxlab.models.language import LanguageLoss
from jaxlab.models.sizes import GPTShape, shape_of
from jaxlab.optimizers import Recipe
from jaxlab.precision import as_policy
from jaxlab.train.stopwatch import Stopwatch


@dataclasses.dataclass(frozen=True)
class Config:
    """What to train, on what, and how."""

    size: str = pretrain_recipe.SIZE
    """How many parameters, such as 1M, 124M or 7B; the shape follows."""
    context: int = pretrain_recipe.CONTEXT
    """Tokens of a training example."""
    batch_size: int = pretrain_recipe.BATCH_SIZE
    """Examples of a step, over all devices."""
    accumulate: int = 1
    """Cut the batch into so many parts, one after the other, for less memory."""
    steps: int = pretrain_recipe.STEPS
    """Of the run."""
    text: Path | None = None
    """A folder; by default the source of Python's standard library without its tests."""
    tokenizer: Path | None = None
    """A file of Hugging Face's tokenizers, such as tokenizer.json; by default every byte is a token."""
    cache: Path | None = None
    """A folder for token files that several runs share; by default the run's own."""
    optimizer: str = "muon"
    """One that is registered; muon and adamw have numbers of their own here."""
    schedule: str = "wsd"
    """Of the learning rate."""
    hyperparams: dict[str, float] = dataclasses.field(default_factory=dict)
    """Numbers in place of the recipe's: --hyperparams learning_rate 0.01 weight_decay 0.1."""
    activation: str = "relu2"
    """Of the feed-forward layers: relu2, swiglu or gelu."""
    tied: bool = False
    """Whether the head is the embedding."""
    scan: bool = False
    """One loop over the layers: compiles fast, however many there are; somewhat slower on a CPU."""
    remat: str = "none"
    """What the backward pass makes again, for less memory: none, dots (cheap) or full (least memory)."""
    z_loss: float = 1e-4
    """Strength of the penalty on large logits."""
    chunk_size: int | None = None
    """Make the logits of so many tokens at a time; by default of all at once."""
    precision: str = "auto"
    """float32, bfloat16 or float16 compute, or auto: what suits the device."""
    layout: str | None = None
    """Devices as a mesh with axes data, fsdp, sequence, tensor, such as data=2,fsdp=4 (-1: all that are left)."""
    zero: int | None = None
    """The stage of ZeRO with --layout, 0 to 3; by default 3 over fsdp, else 0."""
    seed: int = 0
    """Initial parameters and the order of the text follow from it."""
    evaluations: int = 12
    """How often the run is evaluated and saved."""
    samples: int = 8
    """Texts that are written at every evaluation; 0 for none."""
    sample_tokens: int = 512
    """Length of each."""
    tensorboard: bool = False
    """Write event files, too."""
    profile: bool = False
    """Record what the devices do in a few steps, for TensorBoard or Perfetto, into the run's folder."""
    keep: int = 3
    """How many of the newest checkpoints stay."""
    out: Path | None = None
    """Where to write; by default runs/pretrain/<time>."""
    resume: Path | None = None
    """A folder of a run that was stopped; all other options but --layout and --zero are that run's."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked and spelled out."""

    config: Config
    source: pretrain_text.Source
    shape: GPTShape
    recipe: Recipe
    hyperparams: dict[str, float]
    programs: Programs
    out: Path

    @property
    def evaluate_every(self) -> int:
        """Steps between two evaluations."""
        return -(-self.config.steps // self.config.evaluations)


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    sharding.start()
    if config.resume is not None:
        config = cli.saved_config(config, beside=("layout", "zero"))
    # What the run remembers holds wherever it is resumed.
    paths = {name: getattr(config, name) for name in ("text", "tokenizer", "cache")}
    config = dataclasses.replace(config, **{name: path and Path(path).absolute() for name, path in paths.items()})
    for name in ("steps", "context", "batch_size", "sample_tokens", "keep"):
        hyper.integer(name, getattr(config, name), at_least=1)
    hyper.integer("evaluations", config.evaluations, at_least=1, at_most=config.steps)
    hyper.integer("samples", config.samples, at_least=0)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**32 - 1)
    policy = as_policy(config.precision)
    config = dataclasses.replace(config, precision=policy.compute)
    recipe, hyperparams = pretrain_recipe.recipe(
        config.optimizer, config.schedule, config.hyperparams, steps=config.steps, scan=config.scan
    )
    if config.tensorboard:
        summary_writer()
    out = _folder(config)
    _check_apart(config.text, out)
    source = pretrain_text.read(config.text, config.tokenizer, config.cache or out / "tokens")
    pretrain_text.check_length(source, config.context, config.batch_size)
    if config.resume is not None:
        pretrain_text.check_unchanged(source, out)
    shape = shape_of(config.size, source.tokenizer.vocabulary, activation=config.activation, tied=config.tied)
    model = shape.model(scan=config.scan, remat=config.remat)
    loss = LanguageLoss(model, z_loss=config.z_loss, chunk_size=config.chunk_size)
    scanned = SCANNED if config.scan else None
    layout = layout_of(config.layout, config.zero, model, scanned=scanned, heads=shape.kv_heads)
    check_batch(layout, config.batch_size, config.accumulate, config.context)
    build = remembering_norms(recipe.build)
    programs = Programs(model, loss, build, policy, config.accumulate, layout, Stopwatch())
    check_room(config.size, programs, hyperparams)
    return Plan(config, source, shape, recipe, hyperparams, programs, out)


def _folder(config: Config) -> Path:
    """The run's folder; the first process makes it."""
    if config.resume is not None:
        return config.resume
    if jax.process_count() > 1 and config.out is None:
        raise ValueError("out = None: accepted where there are several processes is a folder that all of them see")
    if jax.process_index() and config.out is not None:
        return config.out
    return cli.new_folder(config.out, "pretrain")


def _check_apart(text: Path | None, out: Path) -> None:
    """Refuses a run's folder inside its text: its log would be text, and text that has changed is not gone on with."""
    if text is None or not out.resolve().is_relative_to(text.resolve()):
        return
    inside = out.resolve().relative_to(text.resolve())
    if not any(part.startswith(".") for part in inside.parts):
        raise ValueError(
            f"out = {str(out)!r} lies in the text's folder {str(text)!r}, where what the run writes would be text: "
            "accepted is an out elsewhere"
        )
