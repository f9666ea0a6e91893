"""The ways to reuse a trained network that ``experiments.transfer`` compares, as arms of a study.

A :class:`Method` is one way to train the network of a :class:`~experiments.transfer_subject.Subject` with few labels;
:data:`METHODS` has all of them. :func:`arm_of` makes a method an arm.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from experiments import study
from experiments.transfer_subject import Subject
from jaxlab import modifiers, tasks, transfer
from jaxlab.optimizers import Recipe
from jaxlab.train.state import Build

RECIPE = Recipe("adam", "cosine")
SCRATCH = "scratch"
BATCH_ROWS = 5
"""Images of each class in a batch, where there are so many to train with."""
RANK = 4
"""Of LoRA's adapters."""
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
"""Learning rates that a method tries, unless its own lie elsewhere; as many for each."""


# Equal builds share programs, so each is a value, not a new function.
@dataclasses.dataclass(frozen=True)
class LayerWise:
    """Adam with shorter steps for lower layers."""

    depths: tuple[tuple[str, int | None], ...]

    def __call__(self, numbers: Mapping[str, Any]) -> Any:
        """``hyperparams -> GradientTransformation``."""
        rest = {name: number for name, number in numbers.items() if name != "ratio"}
        return modifiers.layer_wise_decay(RECIPE.build(rest), self.depths, numbers["ratio"])


@dataclasses.dataclass(frozen=True)
class Gradual:
    """Adam on the head first, then on one depth more every so many steps."""

    depths: tuple[tuple[str, int | None], ...]

    def __call__(self, numbers: Mapping[str, Any]) -> Any:
        """``hyperparams -> GradientTransformation``."""
        rest = {name: number for name, number in numbers.items() if name != "every"}
        return modifiers.gradual_unfreezing(RECIPE.build(rest), self.depths, numbers["every"])


def towards_start(numbers: Mapping[str, Any]) -> Any:
    """Adam, and a pull of the base towards what it was: L2-SP."""
    rest = {name: number for name, number in numbers.items() if name != "pull"}
    return modifiers.decay_to_init(RECIPE.build(rest), numbers["pull"], (("^base/", True), ("", False)))


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to train with few labels.

    Attributes:
      about: what it does, for the page.
      given: ``subject -> `` the fields of a task that are its own: ``init``, ``loss``, ``start``, ``frozen``.
      build: ``subject -> (hyperparams -> GradientTransformation)``.
      numbers: ``steps -> `` hyperparameters beside the learning rate.
      rates: learning rates that it tries.
      reference: where it is from.
    """

    about: str
    given: Callable[[Subject], dict[str, Any]]
    build: Callable[[Subject], Build] = lambda _: RECIPE.build
    numbers: Callable[[int], dict[str, float]] = lambda _: {}
    rates: tuple[float, ...] = RATES
    reference: str = ""


def _scratch(subject: Subject) -> dict[str, Any]:
    return {"init": subject.init, "loss": subject.whole}


def _warm(subject: Subject) -> dict[str, Any]:
    return {**_scratch(subject), "start": {"base": subject.weights}}


def _frozen(subject: Subject) -> dict[str, Any]:
    return {**_scratch(subject), "frozen": {"base": subject.weights}}


def _adapted(subject: Subject) -> dict[str, Any]:
    init = transfer.LoraInit(subject.init, RANK, subject.adapted)
    return {"init": init, "loss": transfer.LoraLoss(subject.whole), "frozen": {"base": {"base": subject.weights}}}


def _probe(subject: Subject) -> dict[str, Any]:
    init, loss = subject.probe
    return {"init": init, "loss": loss}


METHODS: dict[str, Method] = {
    SCRATCH: Method("the whole network from fresh weights", _scratch),
    "linear probe": Method(
        "a linear head on features that the base computed once; the base is gone",
        _probe,
        rates=(0.003, 0.01, 0.03, 0.1, 0.3),
    ),
    "frozen base": Method("a new head with a hidden layer; the base runs forward and never changes", _frozen),
    "gradual unfreezing": Method(
        "the head first, then one layer of the base more after every tenth of the run",
        _warm,
        lambda subject: Gradual(tuple(subject.depths)),
        lambda steps: {"every": steps / 10},
        reference="Howard and Ruder 2018, arXiv:1801.06146",
    ),
    "LoRA": Method(
        f"a new head, and adapters of rank {RANK} beside the base's kernels, which stay",
        _adapted,
        reference="Hu et al. 2021, arXiv:2106.09685",
    ),
    "layer-wise rates": Method(
        "all of it, each layer with half the learning rate of the one above",
        _warm,
        lambda subject: LayerWise(tuple(subject.depths)),
        lambda _: {"ratio": 0.5},
        reference="Clark et al. 2020, arXiv:2003.10555",
    ),
    "L2-SP": Method(
        "all of it, the base pulled back to where it began",
        _warm,
        lambda _: towards_start,
        lambda _: {"pull": 0.1},
        reference="Li et al. 2018, arXiv:1802.01483",
    ),
    "full fine-tuning": Method("all of it, from the base's weights and a new head", _warm),
}
"""By name; the first is what all others are held against."""
USUAL = (SCRATCH, "linear probe", "frozen base", "gradual unfreezing", "LoRA", "full fine-tuning")


def arm_of(
    subject: Subject,
    method: str,
    budget: int,
    *,
    validation: int,
    steps: int,
) -> study.Arm:
    """A method with so many labels for each class.

    Args:
      budget, validation: rows of the pool that train, and that validate.
      steps: of a run.
    """
    way = METHODS[method]
    pool, test = subject.featured
    rows = budget + validation
    task = tasks.Task(
        name=subject.name,
        description=f"{subject.description}; {budget} labels for each class, drawn anew with every seed",
        data=jax.tree.map(lambda leaf: leaf[:rows], pool),
        test=test,
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        validation_fraction=validation / rows,
        **way.given(subject),
    )
    return study.Arm(
        name=method,
        task=task,
        build=way.build(subject),
        points={"learning_rate": way.rates},
        hyperparams={**way.numbers(steps), "total_steps": steps},
        steps=steps,
        batch_size=min(budget, BATCH_ROWS),
        optimizer=RECIPE.optimizer,
        schedule=RECIPE.schedule,
        reference=way.reference,
    )
