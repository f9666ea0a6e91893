"""The network of ``experiments.regularization``: L1 on one layer, L2 on another, dropout between, and few images."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optax
from jaxtyping import Array, Key, PyTree

from experiments import study
from jaxlab import optimizers, report, tasks, verdict
from jaxlab.core import hyper
from jaxlab.core.chain import chain
from jaxlab.models import MLP, pure
from jaxlab.regularizers import l1, l2
from jaxlab.report.reading import as_comparison, between, measure_of
from jaxlab.report.sections import Number, Section
from jaxlab.tasks.classification import Classifier
from jaxlab.verdict.measure import enumerate_words

L1_FIRST, L2_SECOND = 0.001, 0.002
"""Keras's l1(0.001) and l2(0.001), which the texts print; its l2 is a sum of squares, ours has half of it."""
ARMS = {
    "none": (0.0, 0.0, 0.0),
    "L1 on layer 1": (L1_FIRST, 0.0, 0.0),
    "L2 on layer 2": (0.0, L2_SECOND, 0.0),
    "L1 and L2": (L1_FIRST, L2_SECOND, 0.0),
    "dropout 0.2": (0.0, 0.0, 0.2),
    "dropout 0.5": (0.0, 0.0, 0.5),
    "all three": (L1_FIRST, L2_SECOND, 0.2),
}
"""L1 on the first layer, L2 on the second, dropout between them."""


# Compiled programs are found again by the identity of their functions: one pair for each rate.
@functools.cache
def network(dropout: float) -> tuple[Callable[..., PyTree], Callable[..., Array]]:
    """``init`` and ``apply`` of the texts' network, made for images of 8 x 8."""
    model = pure(lambda rngs: MLP((64, 128, 10), dropout=dropout, rngs=rngs))

    def apply(params: PyTree, images: Array, key: Key[Array, ""] | None = None) -> Array:
        return model.apply(params, images.reshape(images.shape[0], -1), key)

    return model.init, apply


def penalised_adam(numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """Adam on the loss with an L1 penalty on the first layer's weights and an L2 penalty on the second's."""
    return chain(
        l1([("dense_0/kernel", numbers["l1"]), ("", 0.0)]),
        l2([("dense_1/kernel", numbers["l2"]), ("", 0.0)]),
        optimizers.adam(numbers["learning_rate"]),
    )


def arms_of(
    digits: tasks.Task, images: int, rates: tuple[float, ...], *, steps: int, batch_size: int
) -> list[study.Arm]:
    """Every way to regularize. Strengths are data: arms with the same dropout share their programs."""
    pool, info = len(digits.data["x"]), optimizers.get("adam")
    description = (
        f"{images} of scikit-learn's digits, drawn anew with every seed; {pool - images} more validate, 359 test; "
        "a perceptron with one hidden layer of 128"
    )
    found = []
    for name, (first, second, dropout) in ARMS.items():
        init, apply = network(dropout)
        task = dataclasses.replace(
            digits,
            name="few digits",
            description=description,
            init=init,
            loss=Classifier(apply),
            validation_fraction=1 - images / pool,
            target=None,
        )
        found.append(
            study.Arm(
                name=name,
                task=task,
                build=penalised_adam,
                points={"learning_rate": rates},
                hyperparams={"l1": first, "l2": second},
                steps=hyper.integer("network_steps", steps, at_least=1),
                batch_size=hyper.integer("batch_size", batch_size, at_least=1),
                optimizer="adam",
                reference=info.reference,
                state_bytes_per_param=info.state_bytes_per_param,
            )
        )
    return found


def pairs_of(found: report.Study) -> list[verdict.Comparison]:
    """Every arm against none, told from the arm's side."""
    pairs = [between(found, arm["name"], "none") for arm in found["arms"]]
    return [as_comparison(pair) for pair in pairs if pair is not None]


def against_none(found: report.Study) -> str:
    """The network's verdict: what is better than no regularization, what is worse, what is undecided."""
    pairs, measure = pairs_of(found), measure_of(found)
    parts = []
    for word, said in (("better", "better"), ("worse", "worse"), ("equivalent", "as good"), ("undecided", "undecided")):
        named = [f"{pair.a} ({measure.difference(pair.difference)})" for pair in pairs if pair.verdict == word]
        if named:
            parts.append(f"{said}: {enumerate_words(named)}")
    margin = found.get("margin")
    within = "" if margin is None else f" (differences below {measure.difference(margin).lstrip('+')} do not matter)"
    return f"On few digits{within}, against a network without any of them, {'; '.join(parts)}."


def numbers_of(found: report.Study) -> list[Number]:
    """Every arm's difference to none."""
    measure = measure_of(found)
    return [
        {
            "name": f"{pair.a} - none",
            "value": pair.difference * measure.factor,
            "interval": [end * measure.factor if np.isfinite(end) else None for end in pair.interval],
            "unit": measure.difference_unit,
            "meaning": f"mean difference in test {measure.name}, {pair.verdict}; over seeds",
        }
        for pair in pairs_of(found)
    ]


def section_of(found: report.Study) -> Section:
    """The network's arms, and what each gains."""
    measure = measure_of(found)
    gains = {pair.a: pair for pair in pairs_of(found)}
    rows: list[list[str | float | None]] = []
    for arm in found["arms"]:
        pair = gains.get(arm["name"])
        gain = "" if pair is None else f"{measure.difference(pair.difference)} ({measure.interval(*pair.interval)})"
        numbers = arm["hyperparams"]
        rows.append(
            [
                arm["name"],
                f"{numbers['l1']:g}",
                f"{numbers['l2']:g}",
                f"{numbers['learning_rate']:g}",
                measure.value(arm["report"]["mean"]),
                gain,
                "" if pair is None else pair.verdict,
            ]
        )
    return {
        "title": "A network that could learn its images by heart",
        "text": [
            (
                "The texts put L1 on the first layer's weights, L2 on the second's, and dropout between them, with "
                "strengths of 0.001. Keras's L2 is the sum of squares and ours has half of it, so its 0.001 is our "
                "0.002. The penalties' gradients go through Adam, as in Keras. Rules by path choose the layers."
            )
        ],
        "tables": [
            {
                "title": "Each with its best learning rate. Against none: mean over shared seeds, 95% interval.",
                "columns": ["Arm", "L1", "L2", "Rate", f"Test {measure.name}", "Against none", "Verdict"],
                "rows": rows,
            }
        ],
        "charts": [],
    }
