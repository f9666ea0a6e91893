"""Trials that outlive a process and are shared by several: nothing is done twice, nothing is lost.

Optuna keeps them, in a SQLite file or in any database it knows, where its dashboard shows them. Claims are
jaxlab's own. A claim is one transaction, a new running trial that names its point and its worker; the trial
with the lowest number wins the point, and who lost withdraws. So no two living workers hold one point, whatever
the order in which they ask. A trial whose worker died is withdrawn by whoever claims next.
"""

import copy
import importlib
import math
import threading
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from jaxlab.core import hyper
from jaxlab.core.space import SearchSpace
from jaxlab.sweep.plain import difference, plain
from jaxlab.sweep.worker import Worker, here

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from jaxlab.sweep.database import Database

SILENCE = 600.0
"""Seconds of silence after which a worker on another machine is taken for dead."""

BEAT = 60.0
"""Seconds between two signs of life."""

CLAIM = "claim"
"""The attribute of a trial that says which point it is and who holds it: one, because each costs a statement or two."""


class Finished(NamedTuple):
    """A trial that was told.

    Attributes:
      values: its point's hyperparameters.
      value: what was to be made small or large; None if the run diverged.
      result: what was told, as JSON reads it back.
    """

    values: dict[str, float]
    value: float | None
    result: dict[str, Any]


class Storage:
    """Where stages keep their trials.

    Args:
      url: ``sqlite:///FILE`` for processes of one machine; ``postgresql+psycopg://...`` or any other URL that Optuna
        takes for several machines; None for this process's memory.

    Raises:
      ValueError: it cannot be opened; one line says why, and shows no password.

    >>> stage = Storage().stage("tune", {"task": "digits"})
    >>> stage.claim({0: {"learning_rate": 0.1}, 1: {"learning_rate": 0.2}})
    [0, 1]
    >>> stage.tell(0, {"loss": [2.0, 0.5]}, 0.5)
    >>> stage.finished()[0].result
    {'loss': [2.0, 0.5]}
    """

    def __init__(self, url: str | None = None) -> None:
        self._database: Database = importlib.import_module("jaxlab.sweep.database").Database(url)

    def stage(
        self,
        name: str,
        identity: Mapping[str, Any],
        space: SearchSpace | None = None,
        *,
        higher_is_better: bool = False,
    ) -> "Stage":
        """The trials of one part of a study, begun here or found where another process left them.

        Args:
          name: within the storage; it is the name of Optuna's study.
          identity: JSON-like; all that must be the same for trials to belong together.
          space: how Optuna shows the hyperparameters. Values may lie outside, where a grid was widened.
          higher_is_better: what Optuna's dashboard takes for the best; a part of the identity.

        Raises:
          ValueError: there are trials of another identity, or of another direction, under this name; says what
            differs. A name under which nothing was tried yet is free.
        """
        database = self._database
        mine = plain({"higher_is_better": higher_is_better, **identity}, "identity")
        study, is_new = database.study(name, higher_is_better=higher_is_better)
        found = None if is_new else _identity(database, study)
        # Who made it may have been killed before it could say, or have only looked. Its direction stays.
        free = found is None or (found["higher_is_better"] == higher_is_better and not database.trials(study))
        if free and found != mine:
            database.keep(study, "identity", mine)
            found = mine
        stage = Stage(database, name, study, mine, space or {})
        stage.check(found or mine)
        return stage


class Stage:
    """The trials of one part of a study. As a context, it gives back at its end what was claimed and not told."""

    def __init__(
        self, database: "Database", name: str, study: int, identity: Mapping[str, Any], space: SearchSpace
    ) -> None:
        self._database = database
        self._name = name
        self._study = study
        self._identity = dict(identity)
        self._space = space
        self._begun = False
        self._claimed: dict[int, int] = {}
        self._claiming = threading.Lock()
        self._beaten = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def check(self, found: Mapping[str, Any]) -> None:
        """Refuses another identity than this stage's.

        Raises:
          ValueError: says what differs.
        """
        differs = difference(found, self._identity)
        if differs:
            where, theirs, ours = differs
            raise ValueError(
                f"storage = {self._database.shown}: {self._name} was begun with {where} = {theirs}, here it is {ours}; "
                "accepted is the same, or another storage"
            )

    def claim(self, points: Mapping[int, Mapping[str, float]]) -> list[int]:
        """Takes those points that are neither finished nor being worked on by a living process, also this one.

        Args:
          points: number of the point to its hyperparameters.

        Returns:
          The numbers of the points that are now this stage's to work on, in order.

        Raises:
          ValueError: a hyperparameter that is no finite number, or none that its distribution can hold; a first claim
            where another identity has meanwhile begun. Then nothing is claimed.
        """
        wanted = {hyper.integer("point", point, at_least=0): _values(point, points[point]) for point in sorted(points)}
        self.beat()
        with self._claiming:
            if not self._begun:
                self.check(_identity(self._database, self._study) or self._identity)
            self._begun = True
            return self._claim(wanted)

    def _claim(self, wanted: Mapping[int, Mapping[str, float]]) -> list[int]:
        taken = self._bury()
        mine = {point: uuid.uuid4().hex for point in wanted if point not in taken}
        me = here()
        trials = [
            self._database.running(wanted[point], self._space, {CLAIM: {"point": point, "worker": me, "token": claim}})
            for point, claim in mine.items()
        ]
        for point, trial in zip(mine, trials, strict=True):
            self._claimed[point] = self._database.add(self._study, trial)
        winners = self._bury() if mine else {}
        for point, claim in mine.items():
            if point not in winners or winners[point].user_attrs[CLAIM]["token"] != claim:
                self._database.withdraw(self._claimed.pop(point))
        return [point for point in mine if point in self._claimed]

    def tell(self, point: int, result: Mapping[str, Any], value: float | None) -> None:
        """Finishes a point. If others took this process for dead and the point for theirs, it is they who finish it.

        Args:
          point: one that was claimed here.
          result: JSON-like; arrays become lists, and what is not finite None.
          value: what is to be made small or large; None, or not finite, if the run diverged.

        Raises:
          ValueError: the point is not claimed here, or the result is not like JSON.
        """
        if point not in self._claimed:
            held = ", ".join(map(str, sorted(self._claimed))) or "none is"
            raise ValueError(f"point = {point}: accepted is one that is claimed and not told: {held}")
        if value is not None and not math.isfinite(value):
            value = None
        kept = plain(result, "result")
        self._database.finish(self._claimed[point], kept, None if value is None else float(value))
        del self._claimed[point]

    def finished(self) -> dict[int, Finished]:
        """Every point that was told, by whomever, in order."""
        told = {point: trial for point, trial in self._sorted()[0].items() if trial.state.is_finished()}
        return {
            point: Finished(dict(trial.params), trial.value, copy.deepcopy(trial.user_attrs["result"]))
            for point, trial in sorted(told.items())
        }

    def running(self) -> dict[int, dict[str, float]]:
        """Every point that a living process works on, this one too, with its hyperparameters, in order."""
        live = sorted(self._sorted()[0].items())
        return {point: dict(trial.params) for point, trial in live if not trial.state.is_finished()}

    def release(self) -> None:
        """Gives back what was claimed and not told."""
        while self._claimed:
            self._database.withdraw(self._claimed.popitem()[1])

    def beat(self) -> None:
        """A sign of life for workers on other machines: call it often from long runs, it speaks once a minute."""
        if time.monotonic() - self._beaten >= BEAT:
            self._database.keep(self._study, _pulse(here()), time.time())
            self._beaten = time.monotonic()

    def _bury(self) -> "dict[int, FrozenTrial]":
        """Withdraws what dead workers left: the trials that hold the points then.

        What a worker told just before it died may be missing in what was read before it was found dead: read again.
        """
        while True:
            holders, orphans = self._sorted()
            if not orphans:
                return holders
            for trial in orphans:
                self._database.withdraw(self._database.trial(self._study, trial.number))

    def _sorted(self) -> "tuple[dict[int, FrozenTrial], list[FrozenTrial]]":
        """The trial that holds each point, the first that is finished or has a living worker; those of dead workers."""
        alive: dict[Worker, bool] = {}
        holders: dict[int, FrozenTrial] = {}
        orphans = []
        for trial in self._database.trials(self._study):
            claim = trial.user_attrs.get(CLAIM)
            if claim is None:  # Not jaxlab's: added by hand.
                continue
            point = claim["point"]
            if not trial.state.is_finished():
                worker = Worker(*claim["worker"])
                if worker not in alive:
                    alive[worker] = self._alive(worker)
                if not alive[worker]:
                    orphans.append(trial)
                    continue
            holders.setdefault(point, trial)
        return holders, orphans

    def _alive(self, worker: Worker) -> bool:
        known = worker.alive()
        if known is not None:
            return known
        last = self._database.attributes(self._study).get(_pulse(worker), 0.0)
        return time.time() - last < SILENCE


def _values(point: int, values: Mapping[str, Any]) -> dict[str, float]:
    """Hyperparameters as Python's numbers."""
    checked = plain(values, f"point {point}")
    for name, value in checked.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"point {point}: {name} = {values[name]}: accepted is a finite number")
    return {name: checked[name] for name in sorted(checked)}


def _pulse(worker: Worker) -> str:
    return f"alive: {worker.place}, process {worker.pid}, {worker.started}"


def _identity(database: "Database", study: int) -> dict[str, Any] | None:
    """What a study was begun with. Who finds a study a moment after its birth waits for its maker to say."""
    for wait in (0.0, 0.05, 0.2, 1.0, 2.0):
        time.sleep(wait)
        found = database.attributes(study).get("identity")
        if found is not None:
            return found
    return None
