"""One argument that lays a training step out over devices: a mesh, rules for tensor parallelism, a ZeRO stage."""

import dataclasses
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from jaxlab.core import hyper, placement, tree
from jaxlab.sharding import zero as zero_stages
from jaxlab.sharding.again import gathered_again
from jaxlab.sharding.constrain import LOGICAL, constrain_tree, hold, logical_spec
from jaxlab.sharding.mesh import AXES, make_mesh
from jaxlab.sharding.rules import Rules, names_of, specs_of


@dataclasses.dataclass(frozen=True, init=False)
class Layout:
    """Where parameters, gradients, optimizer state and batches of a training step lie.

    The batch is cut over the mesh axes ``fsdp`` and ``data`` whatever else holds. What those devices would all keep
    alike, ZeRO shares among them; parameters, which are gathered again and again, only over ``fsdp`` where the mesh has
    it, whose devices lie close together.

    ======  ===================================================  ==================================================
    stage   each device keeps a share of                         sent over these axes, for P bytes of parameters
    ======  ===================================================  ==================================================
    0       nothing: all of everything                           gradients summed: 2 P
    1       optimizer state                                      gradients scattered, parameters gathered: 2 P
    2       and of the gradient, also while it is accumulated    the same, once for each micro-batch
    3       and of the parameters, gathered where they are used  gathered forward and backward, scattered: 3 P
    ======  ===================================================  ==================================================

    In lower precision half of that is sent. Under automatic axes a CPU sums the gradients everywhere and keeps a slice,
    where a TPU scatters them.

    Args:
      mesh: a text (see :func:`~jaxlab.sharding.make_mesh`) or a mesh of one's own.
      rules: ordered ``(regular expression, mesh axes)`` pairs for tensor parallelism
        (:data:`~jaxlab.sharding.rules.Rules`); leaves that none names are whole.
      zero: the stage; by default 3 where the mesh has more than one device along ``fsdp``, else 0.
      batch: logical names of the axes of the batch's leaves, from the first on (:data:`~jaxlab.sharding.LOGICAL`).
      min_size: leaves with fewer elements are not shared by ZeRO.
      scanned: a regular expression of the names of parameters that are stacked over layers, on their first axis, and
        of which the model gathers one layer at a time by itself (:func:`~jaxlab.sharding.constrain.hold_whole`, as
        ``GPT(..., scan=True)`` does, in the backward pass again): at stage 3 no device ever has all layers.

    Raises:
      TypeError, ValueError: of :func:`~jaxlab.sharding.make_mesh`; another stage than 0 to 3, or one above 0 on a mesh
        without ``data`` and ``fsdp``; an unknown logical name; rules of another form; a mesh axis of another name that
        no rule uses. Rules that do not fit the parameters are refused when these are known.

    Reference: Rajbhandari et al., ZeRO, https://arxiv.org/abs/1910.02054, section 5.

    >>> layout = Layout("fsdp=-1")
    >>> layout.axes == {"fsdp": jax.device_count()}, layout.everywhere.is_fully_replicated
    (True, True)
    """

    mesh: Mesh
    rules: Rules
    zero: int
    batch: tuple[str | None, ...]
    min_size: int
    scanned: str | None

    def __init__(
        self,
        mesh: Mesh | str,
        rules: Rules = (),
        *,
        zero: int | None = None,
        batch: tuple[str | None, ...] = ("batch",),
        min_size: int = 1024,
        scanned: str | None = None,
    ) -> None:
        mesh = mesh if isinstance(mesh, Mesh) else make_mesh(mesh)
        if zero is None:
            zero = 3 if mesh.shape.get("fsdp", 1) > 1 else 0
        if isinstance(zero, bool) or not isinstance(zero, int | np.integer) or zero not in zero_stages.STAGES:
            raise ValueError(f"zero = {zero!r}: accepted are 0, 1, 2, 3")
        if zero and not {"data", "fsdp"} & set(mesh.shape):
            raise ValueError(f"zero = {zero}: accepted on a mesh with axis data or fsdp; this one has {_shown(mesh)}")
        if not isinstance(batch, tuple | list):
            raise TypeError(f"batch = {batch!r}: accepted is a tuple of names, such as ('batch', 'sequence')")
        for name in batch:
            if name is not None:
                hyper.one_of("batch", name, LOGICAL)
        hyper.integer("min_size", min_size, at_least=0)
        if scanned is not None:
            tree.check_rules("scanned", ((scanned, ()),), "a regular expression, such as '^blocks/'")
        specs_of({}, rules, dict(mesh.shape))
        named = {name for _, entries in rules for entry in entries for name in names_of(entry)}
        if idle := [name for name in mesh.shape if name not in AXES and name not in named]:
            raise ValueError(
                f"mesh axis {idle[0]!r} of {_shown(mesh)} cuts nothing: accepted are {', '.join(AXES)}, and axes that "
                "rules name"
            )
        if AxisType.Manual in mesh.axis_types:
            raise ValueError(f"mesh = {mesh}: accepted are axis types Auto and Explicit")
        # Tuples throughout, so that a layout has a hash.
        rules = tuple((pattern, tuple(tuple(e) if isinstance(e, list) else e for e in of)) for pattern, of in rules)
        values = {"mesh": mesh, "rules": rules, "zero": int(zero), "batch": tuple(batch), "min_size": min_size}
        values |= {"scanned": scanned}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def axes(self) -> dict[str, int]:
        """The mesh axes and their sizes."""
        return dict(self.mesh.shape)

    @property
    def everywhere(self) -> NamedSharding:
        """All of it on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def shardings(self, params: PyTree[Any], *, stage: int = 3) -> PyTree[NamedSharding]:
        """Where parameters lie between two steps, or what belongs to them.

        Args:
          params: arrays, concrete or abstract; their names and shapes count. In a part of them None has the place of
            what is elsewhere, and the layout may speak of that, too.
          stage: 3 for parameters, 2 for gradients while they are summed, 1 for optimizer state, updates and averages
            of the parameters: shared if the layout's ``zero`` is at least that. 4: what a model computes with.

        Raises:
          ValueError: rules that do not fit the parameters (:func:`~jaxlab.sharding.rules.specs_of`); a ``scanned``
            that is found in no name.
        """
        leaves, treedef = jax.tree.flatten(params)
        names = tree.names(params)
        shapes = {name: np.shape(leaf) for name, leaf in zip(names, leaves, strict=True)}
        every = dict.fromkeys(tree.names(params, is_leaf=tree.is_none)) | shapes
        if self.scanned is not None and names and not any(map(self._is_scanned, every)):
            raise ValueError(f"scanned = {self.scanned!r} matches no parameter: accepted is one that does, or None")
        specs = specs_of(every, self.rules, self.axes)
        among, kept = _shared_axes(self.mesh, stage) if self.zero >= stage else ((), ())
        cut = [self._cut(name, shapes[name], specs[name], among, kept) for name in names]
        return treedef.unflatten([NamedSharding(self.mesh, spec) for spec in cut])

    def state_shardings(self, init: Callable[[PyTree], PyTree], params: PyTree[Any]) -> PyTree[NamedSharding]:
        """Where an optimizer's state lies: where the axes of the parameters that it follows lie.

        JAX itself finds out: on explicit mesh axes layouts are part of an array's type, and ``init`` is traced there,
        without a computation. So it holds for any optimizer and any way of storing state. What ZeRO would share and
        follows no parameter, such as a stack of fewer matrices than devices, is cut as a parameter of its shape.

        Args:
          init: the optimizer's.
          params: arrays, concrete or abstract.
        """
        mesh = AbstractMesh(
            self.mesh.axis_sizes, self.mesh.axis_names, axis_types=(AxisType.Explicit,) * len(self.mesh.axis_names)
        )

        def typed(leaf: Any, own: NamedSharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, own.spec))

        abstract = jax.tree.map(typed, params, self.shardings(params, stage=1))
        with jax.sharding.use_abstract_mesh(mesh):
            state = jax.eval_shape(init, abstract)
        among = _shared_axes(self.mesh, 1)[0] if self.zero else ()

        def further(leaf: jax.ShapeDtypeStruct) -> NamedSharding:
            spec = _spec(leaf)
            used = {name for entry in spec for name in names_of(entry)}
            left = tuple(name for name in among if name not in used)
            return NamedSharding(self.mesh, zero_stages.cut(leaf.shape, spec, left, self.axes, self.min_size))

        return jax.tree.map(further, state)

    def batch_shardings(self, batch: PyTree[Any], what: str = "batch leaf") -> PyTree[NamedSharding]:
        """Where a batch lies; errors call its leaves what they are.

        Raises:
          ValueError: an axis that the mesh does not divide; the leaf is named.
        """
        leaves, treedef = jax.tree.flatten(batch)
        specs = [
            logical_spec(self.batch, np.shape(leaf), self.axes, what=f"{what} {name!r}" if name else what)
            for name, leaf in zip(tree.names(batch), leaves, strict=True)
        ]
        return treedef.unflatten([NamedSharding(self.mesh, spec) for spec in specs])

    def put_batch(self, batch: PyTree[Any]) -> PyTree[Array]:
        """The batch on the devices, each with its part; what lies there already stays.

        Where there are several processes, each has all of the batch, alike, or what
        :func:`~jaxlab.sharding.feed` made of the examples that it loaded.
        """
        return self.put(batch, self.batch_shardings(batch))

    def put(self, values: PyTree[Any], places: PyTree[NamedSharding]) -> PyTree[Array]:
        """Arrays, which all processes have alike, on the devices of all of them.

        Args:
          values: arrays of the host or of the devices.
          places: on the layout's mesh; one for each array, or for all in a branch of the tree.
        """
        if self.everywhere.is_fully_addressable:
            return jax.device_put(values, places)
        return jax.tree.map(lambda place, branch: jax.tree.map(partial(_spread, place), branch), places, values)

    def abstract_batch(self, batch: PyTree[Any]) -> PyTree[jax.ShapeDtypeStruct]:
        """Shapes and layouts of a batch, to compile for: of arrays, or of what has a shape and a dtype."""
        places = self.batch_shardings(batch)
        return jax.tree.map(lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), batch, places)

    def gather(self, params: PyTree[Array]) -> PyTree[Array]:
        """Parameters as a model computes with them: whole along the axes over which ZeRO shares them."""
        if self.zero < 3:
            return params
        # Said twice, before and after: else a compiler gathers sooner, and keeps what it gathered.
        names, (leaves, treedef) = tree.names(params), jax.tree.flatten(params)
        places = zip(*(jax.tree.leaves(self.shardings(params, stage=stage)) for stage in (3, 4)), strict=True)
        gathered = [
            leaf if self._is_scanned(name) else placement.put(hold(leaf, share), whole)
            for name, leaf, (share, whole) in zip(names, leaves, places, strict=True)
        ]
        return treedef.unflatten(gathered)

    def gathering_again(self, loss: Callable[[PyTree[Array]], Any]) -> Callable[[PyTree[Array]], Any]:
        """A loss whose backward pass gathers the parameters again, where stage 3 shares them."""
        return loss if self.zero < 3 or self.scanned else gathered_again(loss)

    def share(self, values: PyTree[Array], *, stage: int) -> PyTree[Array]:
        """Something like the parameters, inside a step, each device with the share that it keeps at that stage."""
        return constrain_tree(values, self.shardings(values, stage=stage))

    def _is_scanned(self, name: str) -> bool:
        return self.scanned is not None and re.search(self.scanned, name) is not None

    def _cut(
        self, name: str, shape: tuple[int, ...], spec: PartitionSpec, among: tuple[str, ...], kept: tuple[str, ...]
    ) -> PartitionSpec:
        """How ZeRO cuts a parameter: of what is stacked over layers each of them, for a loop takes one at a time."""
        if not shape or not self._is_scanned(name):
            return zero_stages.cut(shape, spec, among, self.axes, self.min_size, kept)
        layers, *own = [*spec, *[None] * (len(shape) - len(spec))]
        each = zero_stages.cut(shape[1:], PartitionSpec(*own), among, self.axes, self.min_size, kept)
        return PartitionSpec(layers, *each)

    def share_batch(self, batch: PyTree[Array]) -> PyTree[Array]:
        """The batch, inside a step."""
        return constrain_tree(batch, self.batch_shardings(batch))


def check_layout(layout: Any) -> Layout:
    """A layout, where one might hand in its text or its mesh.

    Raises:
      TypeError: it is none.
    """
    if not isinstance(layout, Layout):
        raise TypeError(f"layout = {layout!r}: accepted is a jaxlab.sharding.Layout, such as Layout('data=-1')")
    return layout


def _shared_axes(mesh: Mesh, stage: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The mesh axes along which ZeRO may share, and those along which it does so at a stage."""
    # In the order of the batch's parts: only then a compiler scatters their sum, instead of giving it to all.
    among = tuple(name for name in ("fsdp", "data") if mesh.shape.get(name, 1) > 1)
    return among, among[:1] if stage >= 3 else among


def _spread(place: NamedSharding, value: Any) -> Array:
    """An array that every process has, on devices of which each has some; nobody compares the copies."""
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return jax.device_put(value, place)
    host = np.asarray(value)
    return jax.make_array_from_callback(host.shape, place, lambda index: host[index])


def _spec(leaf: Any) -> PartitionSpec:
    return PartitionSpec() if leaf.sharding is None else leaf.sharding.spec


def _shown(mesh: Mesh) -> str:
    return ",".join(f"{name}={size}" for name, size in mesh.shape.items())
