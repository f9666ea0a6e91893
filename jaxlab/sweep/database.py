"""The one door to Optuna's storages: opens any of its URLs, says in one line what is wrong, and retries what is locked.

Optuna keeps trials in a database that its dashboard shows; who works on what is decided in
:mod:`jaxlab.sweep.storage`, which loads this module when it is first used: importing Optuna takes 0.4 s.
"""

import contextlib
import logging
import os
import random
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from jaxlab.core import hyper
from jaxlab.core.space import Choice, LogUniform, OneMinusLog, SearchSpace, Uniform

PATIENCE = 10.0
"""Seconds for which a locked file or a silent server is asked again."""

_RUNNING, _FINISHED = TrialState.RUNNING, (TrialState.COMPLETE, TrialState.PRUNED)

_ACCEPTED = "accepted is such as sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"

_T = TypeVar("_T")


class Database:
    """Studies and trials at a URL, or in this process's memory.

    Attributes:
      shown: the URL as errors may show it: without password and options.

    Raises:
      TypeError: the URL is no text.
      ValueError: it names no database, or one that cannot be opened, or that stays locked for :data:`PATIENCE`.
    """

    def __init__(self, url: str | None) -> None:
        self.shown = "memory"
        self._secrets: list[str] = []
        self._storage: BaseStorage = InMemoryStorage()
        self._engine: sqlalchemy.Engine | None = None
        self._process = os.getpid()
        self._studies: dict[int, Study] = {}
        if url is None:
            return
        parsed = _parse(url)
        self.shown = parsed.set(query={}).render_as_string(hide_password=True)
        options = [str(value) for value in parsed.query.values()]
        self._secrets = [secret for secret in (parsed.password, *options) if secret]
        if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
            return
        storage = self._open(url, parsed)
        self._storage, self._engine = storage, storage.engine
        weakref.finalize(self, storage.engine.dispose)

    def _open(self, url: str, parsed: sqlalchemy.URL) -> RDBStorage:
        try:
            parsed.get_dialect().import_dbapi()
        except NoSuchModuleError:
            raise ValueError(f"storage = {self.shown}: unknown kind of database; {_ACCEPTED}") from None
        except ImportError as error:
            raise ValueError(f"storage = {self.shown}: its driver is not installed ({error}); {_ACCEPTED}") from None
        pool, options = None, {"connect_args": {"connect_timeout": int(PATIENCE)}, "pool_pre_ping": True}
        if parsed.get_backend_name() == "sqlite":
            self._check_file(Path(str(parsed.database)))
            pool = _one_connection(parsed)
            options = {"pool": pool}
        template = url.replace("{", "{{").replace("}", "}}")  # Optuna formats its URLs.
        try:
            return self._ask(lambda: RDBStorage(template, engine_kwargs=options))
        except (ValueError, RuntimeError) as error:
            if pool is not None:  # Nobody else knows of its file.
                pool.dispose()
            if isinstance(error, ValueError):
                raise
            # Tables of another version; Optuna says what to do.
            raise ValueError(f"storage = {self.shown}: {error}") from None

    def _check_file(self, file: Path) -> None:
        if file.is_dir():
            raise ValueError(f"storage = {self.shown}: {file} is a folder; accepted is a file")
        if not file.parent.is_dir():
            raise ValueError(f"storage = {self.shown}: there is no folder {file.parent}")

    def study(self, name: str, *, higher_is_better: bool) -> tuple[int, bool]:
        """The id of the study of that name, and whether this call made it."""
        direction = StudyDirection.MAXIMIZE if higher_is_better else StudyDirection.MINIMIZE

        def find_or_make() -> tuple[int, bool]:
            with contextlib.suppress(KeyError):
                return self._storage.get_study_id_from_name(name), False
            with contextlib.suppress(DuplicatedStudyError), quiet():
                return self._storage.create_new_study([direction], name), True
            return self._storage.get_study_id_from_name(name), False

        return self._ask(find_or_make)

    def attributes(self, study: int) -> dict[str, Any]:
        """What is kept with a study."""
        return self._ask(lambda: self._storage.get_study_user_attrs(study))

    def keep(self, study: int, name: str, value: Any) -> None:
        """Keeps a JSON value with a study, in place of what had the name."""
        self._ask(lambda: self._storage.set_study_user_attr(study, name, value))

    def running(self, values: Mapping[str, float], space: SearchSpace, about: Mapping[str, Any]) -> FrozenTrial:
        """A running trial, to be added.

        Raises:
          ValueError: a value that its distribution cannot hold.
        """
        shown_as = {name: _shown_as(name, value, space.get(name)) for name, value in values.items()}
        return create_trial(state=_RUNNING, params=dict(values), distributions=shown_as, user_attrs=dict(about))

    def add(self, study: int, trial: FrozenTrial) -> int:
        """Adds a trial in one transaction: its id."""
        return self._ask(lambda: self._storage.create_new_trial(study, template_trial=trial))

    def trial(self, study: int, number: int) -> int:
        """The id of a trial, from its number in the study: the order in which trials were added."""
        return self._ask(lambda: self._storage.get_trial_id_from_study_id_trial_number(study, number))

    def trials(self, study: int) -> list[FrozenTrial]:
        """All that run or are finished, in order of their numbers; not those that were withdrawn.

        Optuna's study remembers those that have ended, and reads the others alone.
        """
        if study not in self._studies:
            name = self._ask(lambda: self._storage.get_study_name_from_id(study))
            self._studies[study] = self._ask(lambda: Study(name, self._storage))
        found = self._ask(lambda: self._studies[study].get_trials(deepcopy=False, states=(_RUNNING, *_FINISHED)))
        return sorted(found, key=lambda trial: trial.number)

    def finish(self, trial: int, result: Mapping[str, Any], value: float | None) -> bool:
        """Keeps a trial's result, then ends it; False if it was withdrawn meanwhile."""
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        with contextlib.suppress(UpdateFinishedTrialError):
            self._ask(lambda: self._storage.set_trial_user_attr(trial, "result", dict(result)))
            values = None if value is None else [value]
            return self._ask(lambda: self._storage.set_trial_state_values(trial, state, values))
        return False

    def withdraw(self, trial: int) -> None:
        """Ends a running trial without a result, unless it has ended."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self._ask(lambda: self._storage.set_trial_state_values(trial, TrialState.FAIL))

    def _ask(self, call: Callable[[], _T]) -> _T:
        """The call's answer; asked again while others hold the database or make its tables."""
        if self._engine is not None and self._process != os.getpid():
            self._engine.dispose(close=False)  # A forked child leaves its parent's connections alone.
            self._process = os.getpid()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return call()
            except (SQLAlchemyError, StorageInternalError) as error:
                cause = error.__cause__ if isinstance(error, StorageInternalError) else error
                problem = str(getattr(cause, "orig", None) or cause).partition("\n")[0]
            locked = "locked" in problem
            being_made = isinstance(cause, IntegrityError) or "already exists" in problem
            if not (locked or being_made) or time.monotonic() > deadline:
                for secret in self._secrets:
                    problem = problem.replace(secret, "***")
                problem = "is locked by another process" if locked else problem
                raise hyper.RunError(f"storage = {self.shown}: {problem}")
            time.sleep(random.uniform(0.01, 0.1))


def _parse(url: str) -> sqlalchemy.URL:
    if not isinstance(url, str):
        raise TypeError(f"storage = {url!r}: {_ACCEPTED}")
    try:
        return sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        shown = "..." if "@" in url else repr(url)  # There may be a password before an @.
        raise ValueError(f"storage = {shown}: no URL of a database; {_ACCEPTED}") from None


def _one_connection(url: sqlalchemy.URL) -> sqlalchemy.QueuePool:
    """Keeps one connection to a file of SQLite open for the next transaction; a second at a time is closed after it.

    ``synchronous = NORMAL`` waits for the disk less often. Whatever kills a process, what it told is kept; a power cut
    at the wrong moment may damage the file on some old file systems.
    """
    kind = url.get_dialect()
    module: Any = kind.import_dbapi()
    arguments, options = kind().create_connect_args(url)

    def connect() -> Any:
        # Optuna itself asks five times for a new trial.
        connection = module.connect(*arguments, **{"timeout": PATIENCE / 5, **options})
        try:
            connection.execute("PRAGMA synchronous = NORMAL").close()
        except BaseException:
            connection.close()
            raise
        return connection

    return sqlalchemy.QueuePool(connect, pool_size=1, max_overflow=-1)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna announces every new study; here a study is one of many stages."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _shown_as(name: str, value: float, distribution: Any) -> BaseDistribution:
    """The distribution that Optuna shows: the space's own, wide enough for the value."""
    match distribution:
        case Choice(values):
            if value not in values:
                raise ValueError(f"{name} = {value}: accepted is one of {', '.join(map(str, values))}")
            return CategoricalDistribution(values)
        case LogUniform(low, high):
            if value <= 0:
                raise ValueError(f"{name} = {value}: accepted is a number above 0, as its scale is logarithmic")
            return FloatDistribution(min(low, value), max(high, value), log=True)
        case Uniform(low, high) | OneMinusLog(low, high):
            return FloatDistribution(min(low, value), max(high, value))
        case _:
            return FloatDistribution(value, value)
