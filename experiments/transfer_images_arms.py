"""The methods that ``experiments.transfer --images`` compares, as arms of a study.

Light ones learn from features that were computed once. The others are those of :mod:`experiments.transfer_arms`, which
train the network, a part of it or something beside it, and compute it on images in every step.
"""

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Int, Key, PyTree

from experiments import study
from experiments.transfer_arms import BATCH_ROWS, METHODS, RECIPE
from experiments.transfer_network import Base, Network
from experiments.transfer_subject import Rows, Subject
from jaxlab import report, tasks
from jaxlab.images import Images
from jaxlab.models import MLP, pure

Part = dict[str, Array]
EVALUATIONS = 2
PROBE, RANDOM, FROZEN = "linear probe", "random weights", "frozen base"
HIDDEN = 64
LIGHT = {
    PROBE: ("a linear head on the base's features", (), "features"),
    RANDOM: ("the control: a linear probe on features of the same network at random weights", (), "random"),
    FROZEN: ("a head with a hidden layer on the base's features", (HIDDEN,), "features"),
}
"""The methods that take features which were computed once: what they do, hidden layers of the head, which features."""
LIGHT_RATES = (0.0001, 0.0006, 0.004, 0.025, 0.16)
"""Of these, far apart: a probe on good features learns fast, one on bad ones is best when it hardly learns."""
HEAVY = tuple(name for name in METHODS if name not in LIGHT)
"""The methods that train the network, or part of it, or something beside it."""


def subject_of(network: Network, base: Base, images: Images, data: tuple[Part, Part]) -> Subject:
    """What all methods are asked about; ``data`` are pool and test in rows, with their features."""
    classes = len(images.classes)
    head = pure(lambda rngs: MLP((network.width, classes), rngs=rngs))

    def init(key: Key[Array, ""]) -> PyTree:
        below, above = jax.random.split(key)
        return {"base": network.fresh(below), "head": head.init(above)}

    return Subject(
        name=f"photographs of {images.name}",
        description=images.describe(),
        init=init,
        base=network.features,
        head=head.apply,
        weights=base.params,
        depths=network.depths,
        adapted=network.adapted,
        pool=data[0],
        test=data[1],
    )


def about_of(method: str) -> str:
    """What a method does."""
    return LIGHT[method][0] if method in LIGHT else METHODS[method].about


@functools.lru_cache(maxsize=16)
def head_of(method: str, width: int, classes: int) -> dict[str, Any]:
    """``init`` and loss of a head on features; the same ones for the same head, so that budgets share programs."""
    _, hidden, part = LIGHT[method]
    model = pure(lambda rngs: MLP((width, *hidden, classes), rngs=rngs))
    return {"init": model.init, "loss": Rows(model.apply, part)}


def arm_of(name: str, subject: Subject, budget: int, steps: int) -> study.Arm:
    """A method with so many photographs of each class; all others of the pool validate."""
    way = None if name in LIGHT else METHODS[name]
    width = subject.pool["features"].shape[-1]
    task = tasks.Task(
        name=subject.name,
        description=f"{subject.description}; {budget} of each class train, drawn anew with every seed",
        data=subject.pool,
        test=subject.test,
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        validation_fraction=1 - budget / subject.rows,
        **(head_of(name, width, subject.classes) if way is None else way.given(subject)),
    )
    return study.Arm(
        name=name,
        task=task,
        build=RECIPE.build if way is None else way.build(subject),
        points={"learning_rate": LIGHT_RATES if way is None else way.rates},
        hyperparams={**({} if way is None else way.numbers(steps)), "total_steps": steps},
        steps=steps,
        batch_size=min(budget, BATCH_ROWS),
        optimizer=RECIPE.optimizer,
        schedule=RECIPE.schedule,
        reference="" if way is None else way.reference,
    )


def named_by(arm: study.Arm, found: report.Study, protocol: study.Protocol) -> Int[np.ndarray, "seeds n"]:
    """The classes that the report's probes name on the test: the same runs again, in the program that they had."""
    history = study.reported_again(arm, found, protocol)
    loss: Any = arm.task.loss
    inputs = arm.task.test[loss.part][:, 0]
    return np.asarray(jax.vmap(loss.apply, (0, None))(history.states.params, inputs).argmax(-1))
