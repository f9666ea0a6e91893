"""What several studies say together: whom nobody beats, anywhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxlab.verdict.measure import enumerate_few

Study = tuple[Sequence[str], Sequence[Mapping[str, Any]]]
"""The arms of a study, and its comparisons as results.json has them."""


def beaten(arms: Sequence[str], comparisons: Sequence[Mapping[str, Any]]) -> set[str]:
    """The arms that another one is shown to be better than.

    >>> sorted(beaten(["adam", "sgd"], [{"a": "adam", "b": "sgd", "verdict": "better"}]))
    ['sgd']
    """
    lost = {pair["b"] if pair["verdict"] == "better" else pair["a"] for pair in comparisons if _decided(pair)}
    return lost & set(arms)


def over_studies(studies: Sequence[Study], noun: str = "optimizer") -> str:
    """One to two sentences on several studies of the same arms.

    No test is made across studies: tasks and horizons are chosen, not drawn. What is counted is in how many studies an
    arm is shown to be worse than another.

    Raises:
      ValueError: no studies.

    >>> one = (["adam", "sgd"], [{"a": "adam", "b": "sgd", "verdict": "better"}])
    >>> over_studies([one, one])
    'Over 2 studies adam is nowhere shown to be worse than another optimizer. sgd is beaten in 2.'
    """
    if not studies:
        raise ValueError("studies is empty: accepted is at least one")
    names = list(dict.fromkeys(name for arms, _ in studies for name in arms))
    losses = {name: sum(name in beaten(arms, pairs) for arms, pairs in studies) for name in names}
    unbeaten = [name for name in names if not losses[name]]
    lead = f"Over {len(studies)} studies"
    if unbeaten:
        verb = "is" if len(unbeaten) == 1 else "are"
        said = [f"{lead} {enumerate_few(unbeaten)} {verb} nowhere shown to be worse than another {noun}."]
    else:
        fewest = min(losses.values())
        best = [name for name in names if losses[name] == fewest]
        verb = "is" if len(best) == 1 else "are"
        said = [f"{lead} every {noun} is beaten somewhere: {enumerate_few(best)} {verb} in {fewest}, the fewest."]
    rest = sorted((name for name in names if losses[name]), key=lambda name: losses[name])
    if unbeaten and rest:
        counts = [f"{name} is beaten in {losses[name]}" for name in rest]
        said.append(f"{enumerate_few(counts)}.")
    return " ".join(said)


def _decided(pair: Mapping[str, Any]) -> bool:
    return pair["verdict"] in ("better", "worse")
