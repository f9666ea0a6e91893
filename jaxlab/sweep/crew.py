"""Who of a population has a place in the program, and whose states wait on the host."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxlab.sweep.beginning import Beginning
from jaxlab.sweep.program import (
    MEMBER,
    SHARED,
    STATES,
    Pieces,
    Program,
    Shared,
    compile_pieces,
    put,
    shapes,
    to_evaluate,
)
from jaxlab.train import data as examples_of
from jaxlab.train.state import TrainState
from jaxlab.train.stopwatch import Stopwatch


class Seen(NamedTuple):
    """What a stretch showed of those who have a place, in the order of ``members``."""

    members: Int[np.ndarray, " seated"]
    loss: Float[np.ndarray, " seated"]
    metrics: dict[str, Float[np.ndarray, " seated"]]
    skipped: Int[np.ndarray, " seated"]


class Crew:
    """Members in groups, one group at a time on the devices.

    A single group stays on the devices from one stretch to the next. Several take turns: for every stretch
    each is put there, advanced, and fetched. A group with fewer members than places fills them with copies of
    its own, whose results nobody reads; so every group runs in the same executables.

    Args:
      program: what is compiled.
      clock: counts.
      beginning: of all members.
      shared: the task's, on every device whole.
      size: places a device.
      groups: how many, equally large.

    Attributes:
      live: who still trains. The states of the others are those of the step where they ended.
      done: steps taken.
      states: on the host, all members; as of the last :meth:`fetch`.
    """

    def __init__(
        self,
        program: Program,
        clock: Stopwatch,
        beginning: Beginning,
        shared: Shared,
        size: int,
        groups: int,
    ) -> None:
        self.program, self.clock, self.beginning = program, clock, beginning
        members = len(beginning.keys)
        self.size, self.groups = size, np.array_split(np.arange(members), groups)
        self.live = np.ones(members, bool)
        self.done = 0
        self.shared = shared
        self._kinds = shapes(program, program.mesh.size, beginning)[1]
        self.states = jax.tree.map(
            lambda leaf: np.empty((members, *leaf.shape[1:]), leaf.dtype) if leaf.ndim else np.zeros((), leaf.dtype),
            jax.eval_shape(_words, self._kinds),
        )
        self._held: TrainState | None = None
        self._pieces: Pieces | None = None

    def pieces(self) -> Pieces:
        """The executables of this size."""
        if self._pieces is None:
            places = self.size * self.program.mesh.size
            self._pieces = compile_pieces(self.program, places, self.beginning, self.shared, self.clock)
        return self._pieces

    def advance(self, steps: int) -> list[Seen]:
        """Trains every group for so many steps and validates it."""
        pieces, seen, turns = self.pieces(), [], len(self.groups) > 1
        for group in self.groups:
            states = self._held if self._held is not None else self._seated(group)
            states, loss = self.clock.call(pieces.advance, states, self.shared, np.int32(steps))
            metrics = self.clock.call(pieces.validate, to_evaluate(states), states.key, self.shared)
            seen.append(Seen(group, *_first(len(group), (loss, metrics, states.skipped))))
            if turns:
                self._write(group, states)
            else:
                self._held = states
            del states, loss, metrics  # or they would still be there when the next group takes its places
        self.done += steps
        return seen

    def score(self, test: PyTree) -> dict[str, Float[np.ndarray, " members"]]:
        """Every metric on the test set; NaN for members without a place."""
        score = self.program.score(examples_of.count(self.shared.data))
        shared, scores = self.shared._replace(data=put(self.program.mesh, test, SHARED)), {}
        for group in self.groups:
            states = self._held if self._held is not None else self._seated(group)
            metrics = self.clock.run(score, to_evaluate(states), shared)
            for name, value in _first(len(group), metrics).items():
                scores.setdefault(name, np.full(self.live.shape, np.nan, value.dtype))[group] = value
            del states, metrics
        return scores

    def end(self, members: Bool[np.ndarray, " members"]) -> None:
        """These train no more; their states are kept as they are now."""
        self.fetch()
        self.live = self.live & ~members

    def compact(self) -> None:
        """Closes places that the living do not need: whole groups first, then half of the places, and half again.

        Sizes are the first one halved so and so many times, so few executables serve whoever ends when. Places
        that were spare from the beginning are no reason to compile another size.
        """
        alive, devices = np.flatnonzero(self.live), self.program.mesh.size
        seated = sum(map(len, self.groups))
        groups, size = -(-len(alive) // (self.size * devices)), self.size
        while groups == 1 and size > 1 and 2 * len(alive) <= seated and len(alive) <= size // 2 * devices:
            size //= 2
        if groups and (groups, size) != (len(self.groups), self.size):
            self.fetch()
            self._held, self._pieces, self.size = None, None, size
            self.groups = np.array_split(alive, groups)

    def take_up(
        self,
        states: TrainState,
        done: int,
        size: int,
        groups: list[list[int]],
        live: Bool[np.ndarray, " members"],
    ) -> None:
        """Goes on from states that were saved, everyone in the place that was theirs."""
        self.states, self.done, self.size, self.live = states, done, size, live
        self.groups = [np.array(group) for group in groups]

    def fetch(self) -> None:
        """Copies the living's states to the host, where they are not there anyway."""
        if self._held is not None:
            self._write(self.groups[0], self._held)

    def result(self) -> TrainState:
        """The states of all members: NumPy arrays, and typed keys."""
        self.fetch()
        return _keyed(self.states, self._kinds)._replace(step=np.int32(self.done))

    def _seated(self, group: np.ndarray) -> TrainState:
        places = np.resize(group, self.size * self.program.mesh.size)
        if not self.done:
            beginning = put(self.program.mesh, tuple(self.beginning.of(places)), MEMBER)
            return self.clock.run(self.program.start(), *beginning)
        chosen = jax.tree.map(lambda leaf: leaf[places], self.states._replace(step=None))
        states = _keyed(chosen._replace(step=np.int32(self.done)), self._kinds)
        return put(self.program.mesh, states, STATES)

    def _write(self, group: np.ndarray, fresh: TrainState) -> None:
        """Writes what the living of a group have become into the states on the host."""
        which = self.live[group]

        def write(old: np.ndarray, new: Array) -> None:
            if old.ndim:
                old[group[which]] = np.asarray(new)[: len(group)][which]

        jax.tree.map(write, self.states, _words(fresh))


def _first(count: int, tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.array(leaf)[:count], tree)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _words(tree: Any) -> Any:
    """Typed keys as the integers that NumPy can hold."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _keyed(tree: Any, kinds: Any) -> Any:
    """The integers as typed keys again, where ``kinds`` has them."""

    def one(leaf: np.ndarray, kind: jax.ShapeDtypeStruct) -> Any:
        if not _is_key(kind):
            return leaf
        return jax.random.wrap_key_data(jnp.asarray(leaf), impl=jax.random.key_impl(jnp.empty((), kind.dtype)))

    return jax.tree.map(one, tree, kinds)
