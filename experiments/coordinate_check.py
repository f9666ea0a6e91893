"""Does a learning rate tuned on a narrow model hold for a wide one?

    python -m experiments.coordinate_check
    python -m experiments.coordinate_check --widths 64 128 256 512 1024 --optimizer lion

Perceptrons with two hidden layers of each width learn the digits, twice: with the parameters and steps that are usual
(standard parametrization), and with those of the maximal update parametrization, jaxlab.modifiers.mup, whose base is
the narrowest. First the coordinate check: how far a few steps move the coordinates of each layer, against the width.
A slope of 0 in the logarithms means that training looks the same at any width, a slope above 0 that a wide model needs
a smaller learning rate. Then the check of that claim: all widths try the same learning rates, with common seeds.

Writes results.json, report.html and the plots. A minute and a half on two CPU cores.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree
from rich.console import Console

from experiments import cli, study
from jaxlab import tasks, verdict
from jaxlab.core import hyper
from jaxlab.models import MLP, pure
from jaxlab.modifiers import mup, mup_init, roles_of
from jaxlab.optimizers import Recipe
from jaxlab.sweep import run_population, seed_keys, use_every_core
from jaxlab.tasks.classification import Classifier
from jaxlab.train import init_run, make_run

KINDS = {"adam": "adam", "adamw": "adam", "lion": "adam", "sign_descent": "adam", "sgd": "sgd"}
"""How the step of each optimizer depends on the gradient, see jaxlab.modifiers.mup."""
RATES = {"adam": 4e-3, "adamw": 4e-3, "lion": 4e-4, "sign_descent": 4e-4, "sgd": 0.4}
"""The learning rate of the coordinate check, and the middle of those that are tried."""
WAYS = ("standard", "mup")
EXAMPLES = 256
"""Images whose activations are looked at."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Which widths, how long."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Of both hidden layers; the first is the base."""
    optimizer: str = "adam"
    """adam, adamw, lion, sign_descent or sgd."""
    coordinate_steps: int = 10
    """Steps before the coordinates are looked at."""
    steps: int = 150
    """Steps of the runs that try learning rates."""
    points: int = 9
    """Learning rates that every width tries, a factor of 2 apart."""
    seeds: int = 5
    """Initial parameters and batches, the same for all widths and rates."""
    seed: int = 0
    """Another seed, other seeds."""
    out: Path | None = None
    """Where to write; by default runs/coordinate_check/<time>."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A configuration, checked."""

    config: Config
    out: Path


def prepare(config: Config) -> Plan:
    """Checks everything that can be checked without training."""
    use_every_core()
    hyper.one_of("optimizer", config.optimizer, KINDS)
    if len(config.widths) < 2 or list(config.widths) != sorted(set(config.widths)):
        raise ValueError(f"widths = {config.widths}: accepted are at least two, each wider than the one before")
    for width in config.widths:
        hyper.integer("widths", width, at_least=1, at_most=2**16)
    for name, least, most in (("coordinate_steps", 1, None), ("steps", 1, None), ("points", 2, 99), ("seeds", 2, 1000)):
        hyper.integer(name, getattr(config, name), at_least=least, at_most=most)
    hyper.integer("seed", config.seed, at_least=0, at_most=2**16)
    return Plan(config, cli.new_folder(config.out, "coordinate_check"))


@dataclasses.dataclass(frozen=True)
class Model:
    """One width in one parametrization: a task, and how its optimizer is built."""

    task: tasks.Task
    build: Callable[[Mapping[str, Any]], Any]


@dataclasses.dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes:
      coordinates: of each parametrization, how far the steps moved each layer: [widths, seeds, layers].
      losses: on validation data after training: [widths, rates, seeds], infinite where a run diverged.
      rates: the learning rates.
    """

    coordinates: dict[str, Float[np.ndarray, "widths seeds layers"]]
    losses: dict[str, Float[np.ndarray, "widths rates seeds"]]
    rates: Float[np.ndarray, " rates"]


def run(plan: Plan) -> None:
    """Measures both parametrizations at all widths, writes the page."""
    console, began, config = Console(), time.perf_counter(), plan.config
    keys = seed_keys([config.seed * 1_000 + i for i in range(config.seeds)])
    exponents = np.arange(config.points) - (config.points - 1) / 2
    rates = RATES[config.optimizer] * 2.0**exponents
    coordinates: dict[str, list[Any]] = {way: [] for way in WAYS}
    losses: dict[str, list[Any]] = {way: [] for way in WAYS}
    compiling = 0.0
    with study.progress_bar(console) as bar:
        total = bar.add_task("", total=len(WAYS) * len(config.widths))
        for width in config.widths:
            for way in WAYS:
                bar.update(total, description=f"{way}, width {width}")
                model = model_of(way, width, config)
                coordinates[way].append(moved_coordinates(model, keys, config))
                history = run_population(
                    model.task,
                    model.build,
                    {"learning_rate": np.repeat(rates, config.seeds)},
                    jnp.tile(keys, config.points),
                    steps=config.steps,
                )
                loss = history.validation["loss"][:, -1].reshape(config.points, config.seeds)
                losses[way].append(np.where(np.isfinite(loss), loss, np.inf))
                compiling += history.compile_seconds
                bar.advance(total)
    found = Found(
        {way: np.array(values) for way, values in coordinates.items()},
        {way: np.array(values) for way, values in losses.items()},
        rates,
    )
    results = cli.findings(
        "coordinate_check",
        "Does a learning rate tuned on a narrow model hold for a wide one?",
        config,
        answer(found, config),
        seconds=time.perf_counter() - began,
        compile_seconds=compiling,
        numbers=numbers_of(found, config),
        sections=sections_of(found, config),
    )
    plan.out.mkdir(parents=True, exist_ok=True)
    cli.finish(results, plan.out, console)


def model_of(way: str, width: int, config: Config) -> Model:
    """The digits by a perceptron of this width."""
    init, apply = perceptron(width)
    build = Recipe(config.optimizer).build
    if way == "mup":
        base, _ = perceptron(config.widths[0])
        roles, growth = roles_of(*(jax.eval_shape(one, jax.random.key(0)) for one in (base, init)))
        usual_init, usual_build = init, build
        init = lambda key: mup_init(usual_init(key), roles, growth)  # noqa: E731
        build = lambda numbers: mup(usual_build(numbers), roles, growth, KINDS[config.optimizer])  # noqa: E731
    task = dataclasses.replace(tasks.get("digits_mlp"), init=init, loss=Classifier(apply))
    return Model(task, build)


@functools.cache
def perceptron(width: int) -> tuple[Callable[..., PyTree], Callable[..., Array]]:
    """``init`` and ``apply`` of a perceptron with two hidden layers of this width."""
    model = pure(lambda rngs: MLP((64, width, width, 10), rngs=rngs))

    def apply(params: PyTree, images: Array, key: Key[Array, ""] | None = None) -> Array:
        return model.apply(params, images.reshape(images.shape[0], -1), key)

    return model.init, apply


def moved_coordinates(model: Model, keys: Key[Array, " seeds"], config: Config) -> Float[Array, "seeds layers"]:
    """The root mean square of what a few steps add to each layer's coordinates."""
    task, images = model.task, jnp.asarray(model.task.data["x"][:EXAMPLES])
    train = make_run(task.loss, model.build, batch_size=task.batch_size, steps=config.coordinate_steps)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def moved(key: Array, data: PyTree) -> Array:
        begin = init_run(task.init, model.build, {"learning_rate": RATES[config.optimizer]}, key=key)
        before, after = (layers(state.params, images) for state in (begin, train(begin, data)[0]))
        return jnp.stack([jnp.sqrt(jnp.mean((a - b) ** 2)) for a, b in zip(after, before, strict=True)])

    return moved(keys, task.data)


def layers(params: PyTree, images: Array) -> list[Float[Array, "examples units"]]:
    """The coordinates of every layer before its activation; the last are the logits."""
    x, found = images.reshape(images.shape[0], -1), []
    for name in sorted(params):
        found.append(x @ params[name]["kernel"] + params[name]["bias"])
        x = jax.nn.relu(found[-1])
    return found


def slopes(coordinates: Float[np.ndarray, "widths seeds layers"], widths: tuple[int, ...]) -> np.ndarray:
    """The power of the width with which each layer's coordinates grow, for each seed: [seeds, layers]."""
    logs = np.log(coordinates).reshape(len(widths), -1)
    return np.polyfit(np.log(widths), logs, 1)[0].reshape(coordinates.shape[1:])


def drift(losses: Float[np.ndarray, "widths rates seeds"]) -> Float[np.ndarray, " seeds"]:
    """By how many doublings the best learning rate of the widest model lies above that of the narrowest."""
    best = losses.argmin(axis=1)
    return (best[-1] - best[0]).astype(float)


def regret(losses: Float[np.ndarray, "widths rates seeds"]) -> Float[np.ndarray, " seeds"]:
    """What the widest model loses with the rate that is best for the narrowest on average over the seeds."""
    chosen = int(np.median(losses[0], axis=1).argmin())
    return losses[-1][chosen] - losses[-1].min(axis=0)


LAYERS = ("first hidden layer", "second hidden layer", "logits")


def answer(found: Found, config: Config) -> str:
    """The verdict."""
    narrow, wide = config.widths[0], config.widths[-1]
    words = []
    for way in WAYS:
        steepest = slopes(found.coordinates[way], config.widths).mean(axis=0)
        steepest = steepest[np.abs(steepest).argmax()]
        moved = drift(found.losses[way]).mean()
        said = f"moves {'up' if moved > 0 else 'down'} by a factor of {2 ** abs(moved):.2g}" if moved else "stays"
        words.append(
            f"{NAMES[way]}: in the layer where the width counts most, the change of its coordinates goes as the width "
            f"to the power {steepest:+.2f}, and the best learning rate {said} from width {narrow} to {wide}"
        )
    return f"{words[1]}. {words[0]}."


NAMES = {"standard": "The standard parametrization", "mup": "Maximal update parametrization"}


def numbers_of(found: Found, config: Config) -> list[dict[str, Any]]:
    """Slopes, drifts, regrets, with t intervals over the seeds."""
    numbers = []
    for way in WAYS:
        for layer, each in zip(LAYERS, slopes(found.coordinates[way], config.widths).T, strict=True):
            meaning = f"power of the width by which {config.coordinate_steps} steps move it"
            numbers.append(number(f"{way}, {layer}", each, "power", meaning))
        meaning = "doublings of the best learning rate from the narrowest to the widest model"
        numbers.append(
            number(f"{way}, drift of the best learning rate", drift(found.losses[way]), "doublings", meaning)
        )
        meaning = "validation loss that the widest model gives away with the narrowest one's best learning rate"
        numbers.append(number(f"{way}, cost of the narrow model's rate", regret(found.losses[way]), "nats", meaning))
    return numbers


def number(name: str, values: np.ndarray, unit: str, meaning: str) -> dict[str, Any]:
    """The mean of one value a seed, with its interval."""
    finite = bool(np.isfinite(values).all())
    return {
        "name": name,
        "value": float(values.mean()) if finite else None,
        "interval": list(verdict.t_interval(values)) if finite else [None, None],
        "unit": unit,
        "meaning": meaning if finite else f"{meaning}; a run diverged",
    }


def sections_of(found: Found, config: Config) -> list[dict[str, Any]]:
    """The coordinate check, and the loss against the learning rate, one chart for each parametrization."""
    check = [
        {
            "name": f"coordinates_{way}",
            "title": f"{NAMES[way]}: how far {config.coordinate_steps} steps move each layer",
            "caption": "Root mean square change of a coordinate, mean over the seeds. Flat is right: a step does the "
            "same at any width.",
            "x": "width",
            "y": "change of a coordinate",
            "x_log": True,
            "y_log": True,
            "series": [
                {
                    "name": layer,
                    "x": [float(w) for w in config.widths],
                    "y": found.coordinates[way][:, :, i].mean(1).tolist(),
                }
                for i, layer in enumerate(LAYERS)
            ],
        }
        for way in WAYS
    ]
    rates = [
        {
            "name": f"rates_{way}",
            "title": f"{NAMES[way]}: loss after {config.steps} steps",
            "caption": "Validation loss, median over the seeds; a line ends where runs diverge.",
            "x": "learning rate",
            "y": "validation loss",
            "x_log": True,
            "y_log": True,
            "series": [
                {"name": f"width {width}", "x": found.rates.tolist(), "y": finite(np.median(losses, axis=1))}
                for width, losses in zip(config.widths, found.losses[way], strict=True)
            ],
        }
        for way in WAYS
    ]
    words = (
        "The change that a step makes to a layer is a sum over its inputs. Adam moves every weight by the learning "
        "rate, whatever the width, and all these changes agree: the sum grows with the width. The maximal update "
        "parametrization divides the steps of hidden and output weights by the width, and starts the output smaller."
    )
    caveat = (
        "What holds for these perceptrons and this many steps need not hold for every model: run the check on your "
        "own, with jaxlab.modifiers.mup and roles_of. Weight decay, batch size and length of training do not transfer "
        "by width."
    )
    return [
        {"title": "Coordinate check", "text": [words], "tables": [], "charts": check},
        {"title": "Does the learning rate transfer?", "text": [caveat], "tables": [], "charts": rates},
    ]


def finite(values: np.ndarray) -> list[float | None]:
    """Values for a chart, a gap where there is none."""
    return [float(value) if np.isfinite(value) else None for value in values]


if __name__ == "__main__":
    cli.main(Config, prepare, run, __doc__)
