"""The table of the law suite: every registered transform, and the one tree that all of them meet.

A transform joins by being registered. A new kind of transform (modifiers, loss-driven schedules) joins with
one function here that turns its registry into subjects.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxlab import modifiers, optimizers, precision, regularizers, schedules
from jaxlab.core import hyper

ALTERNATIVES = {
    "line_search": "none",
    "memory_size": 3,
    "nesterov": True,
    "centered": True,
    "decay_mask": "matrices",
    "relative_step": True,
    "min_factored": 2,
    "layer_axes": (("fourth", 1), ("fifth", 2), ("", 0)),
    "state_dtype": "bfloat16",
    "use_bias_correction": True,
    "safeguard_warmup": True,
    "layerwise": True,
    "use_fstar": True,
    "estimator": "gnb",
    "spatial_average": False,
    "layouts": (("high/2", "brbc"), ("fifth", "others")),
    "fallback": "lion",
    "coefficients": "polar_express",
    "steps": 3,
    "scaling": "moonshot",
    "compute_dtype": "bfloat16",
    "graft": "rmsprop",
    "root": 2,
    "refresh": 3,
    "block_size": 2,
    "max_size": 4,
    "whiten": "gradient",
    "one_sided": True,
    "scope": "global",
    "axis": 0,
    "debias": False,
    "mask": None,
}
"""The other value of each static argument: one subject each, beside the one with the defaults."""

LAYOUTS = (("high/2", "rrrc"), ("fifth", "bbbrc"))
"""What optimizers of matrices are told of the one tree: of its leaves with four and five axes nobody can tell."""

AMPLIFIED = 30.0
"""How many times rounding grows where small singular values are raised to those of the large ones."""

BESIDE = {"memory_size": {"line_search": "none"}}
"""What such a subject goes without: the search is the same whatever it follows, and slow to compile."""

OFF_BY_DEFAULT = {"momentum": 0.8, "b3": 0.9, "growth_rate": 2.0}
"""Numbers whose default is None: what they are when they are on."""

AT_REST = {
    "sparsity": 0.0,
    "initial_sparsity": 0.0,
    "weight_decay": 0.0,
    "strength": 0.0,
    "noise_multiplier": 0.0,
    "radius": 1e6,
    "low": -1e6,
    "high": 1e6,
}
"""What must hold for a transform to move nothing where the gradient is zero: no force, constraints kept already."""

REQUIRED = {"strength": 0.1, "radius": 0.5, "low": 0.1, "high": 0.5}
"""The numbers of regularizers that have no default."""

MASKED = ("l1", "gradient_noise", "proximal_l1", "box")
"""Masks are the mechanism's: one regularizer of each mechanism stands for all."""

_WAITS = {"factor": 0.5, "patience": 1.0, "rtol": 0.05, "atol": 1.0, "cooldown": 1.0, "floor": 0.0}
LOSS_DRIVEN = {
    # The loss of part of a tree is another: not so its rate, where that has a highest value.
    "loss_driven": (("", {}, {"f": lambda loss: jnp.minimum(loss, 1.0)}),),
    # Half the squared norm of a gradient over its square is a half, below this cap.
    "polyak": (("", {"learning_rate": 0.8}, {}),),
    # The length of a reading counts before the first is complete, all other numbers after several.
    "reduce_on_plateau": (
        ("", _WAITS, {"every": 1.0}),
        ("-every", {"every": 4.0}, {**_WAITS, "patience": 0.0}),
    ),
}
"""Loss-driven schedules whose defaults do not show in a few steps: label, numbers, and numbers that are kept."""


MODIFIED = {
    "cautious": {"min_mean": 0.9},
    "clip_adaptive": {"clipping": 0.1},
    "clip_update_rms": {"max_rms": 0.5},
    "cautious_decay": {"weight_decay": 0.1},
    "decay_to_init": {"weight_decay": 0.1},
    "gradual_unfreezing": {"every": 2.0},
    "lookahead": {"every": 4.0},
    "mup": {"growth": 3.0},
    "prune": {"sparsity": 0.8, "initial_sparsity": 0.2, "begin": 2.0, "every": 4.0, "increases": 2.0},
    "swa": {"start": 2.0, "every": 4.0},
    "track_noise_scale": {"every": 4.0},
    "skip_spikes": {"sigmas": 1.0, "decay": 0.5, "warmup_steps": 3.0},
}
"""Numbers of modifiers whose defaults do not show in a few steps."""

DEPTHS = (("fifth|data", 0), ("low", 1), ("", None))
ROLES = (("low|bias", "input"), ("fifth", "output"), ("", "hidden"))
GROUPS = (("third|tensor", "frozen"), ("low|bias", "other"), ("", "own"))
"""Rules for the names of the one tree and of the law of layouts."""

AROUND_SGD = ("clip_by_value", "clip_by_global_norm", "clip_adaptive", "centralise")
"""What shortens gradients, or leaves nothing but rounding of them: Adam would undo the one and blow up the other."""

WHOLE = ("clip_by_global_norm", "private", "dog", "dadapt_sgd")
"""What looks at all leaves at once: without one of them the others' updates are others."""

CURVED = ("sophia", "adahessian")
"""What asks for curvature: that of a loss which is not the same everywhere, or all of them would be 1."""

BY_STATIC = {"estimator": ("sampled_grad_fn", "key")}
"""What a static argument's other value needs."""

SHOWS = {"sophia": {"gamma": 30.0}, "dadapt_sgd": {"momentum": 0.9}}
"""Numbers of optimizers whose defaults do not show in a few steps."""

UNDER_WAY = ("prodigy", "dadapt_adam", "dadapt_sgd")
"""What waits for gradients that point one way, and for parameters that follow them: see :func:`_downhill`."""

WITHOUT = ("dog",)
"""What weighs the size of all parameters that have a gradient, be it zero."""

STACKED = tuple(name for name in optimizers.names() if "layouts" in optimizers.get(name).static)
"""What works on stacks of matrices, spread over the devices."""

COUPLED = ("gauss_newton", "lbfgs", "newton")
"""What computes one direction for all leaves at once: leaving one out changes how the others are rounded."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """One transform under the laws.

    Attributes:
      name: for the test's id.
      build: ``build(hyperparams) -> transform``, traceable.
      hyperparams: every number it takes.
      plain: whether all static arguments have their defaults; laws about containers take these alone.
      needs_params: whether ``update`` must be given the parameters.
      low_bit: whether its state, or its arithmetic, is rounded to bfloat16.
      amplified: how many times the maths itself lets rounding grow.
      needs: extra arguments without which ``update`` refuses; under the laws they come from :func:`objective`.
      nightly: whether it stands trial at night alone.
    """

    name: str
    build: Callable[[Mapping], optax.GradientTransformationExtraArgs] = dataclasses.field(compare=False)
    hyperparams: Mapping[str, float] = dataclasses.field(compare=False)
    plain: bool
    needs_params: bool
    low_bit: bool = False
    amplified: float = 1.0
    needs: tuple[str, ...] = ()
    nightly: bool = False

    def __post_init__(self):
        if self.needs:
            bare = self.build
            object.__setattr__(self, "build", lambda hyperparams: with_objective(bare(hyperparams), self.needs))

    def transform(self) -> optax.GradientTransformationExtraArgs:
        """Built from numbers, as a user does it."""
        return self.build(self.hyperparams)


def objective(gradient, params) -> dict:
    r"""A loss with the given gradient at the given parameters, :math:`f(x) = \tfrac12 \lVert x - p + g \rVert^2`.

    As the extra arguments that a training step passes. Its residuals are :math:`\sqrt{m / 2}\,(x - p + g)` for
    ``m`` parameters, so that their mean square is the loss.
    """
    full = hyper.arithmetic_dtype()
    present = [i for i, g in enumerate(jax.tree.leaves(gradient, is_leaf=_is_absent)) if g is not None]

    def leaves(values):
        column = jax.tree.leaves(values, is_leaf=_is_absent)
        return [jnp.asarray(column[i], full) for i in present]

    slopes = leaves(gradient)
    here = [0 * g for g in slopes] if params is None else leaves(params)

    def off(x):
        return [a - p + g for a, p, g in zip(leaves(x), here, slopes, strict=True)]

    def half_square(values):
        return sum((jnp.sum(jnp.square(leaf)) for leaf in values), jnp.zeros((), full)) / 2

    def residual_fn(x):
        flat = jnp.concatenate([jnp.zeros(0, full), *(jnp.ravel(_whole(leaf)) for leaf in off(x))])
        return jnp.sqrt(flat.size / 2) * flat

    def value_fn(x):
        return half_square(off(x))

    return {
        "value": half_square(slopes),
        "grad": gradient,
        "value_fn": value_fn,
        "grad_fn": jax.grad(value_fn),
        "hvp_fn": lambda x, vector: vector,
        "residual_fn": residual_fn,
        # Three examples, whose mean is the gradient.
        "per_example_grad_fn": lambda x: jax.tree.map(
            lambda g: jnp.stack([g / 2, g, 3 * g / 2]), jax.grad(value_fn)(x)
        ),
        "sampled_grad_fn": lambda x, key: _filled(gradient, x),
        "key": jax.random.key(0),
    }


def _filled(gradient, like):
    """Zeros where there is no gradient."""
    return jax.tree.map(
        lambda g, p: g if g is not None or p is None else jnp.zeros_like(p), gradient, like, is_leaf=_is_absent
    )


def _whole(leaf):
    """On explicit mesh axes only what lies on every device can be flattened."""
    place = jax.typeof(leaf).sharding
    explicit = AxisType.Explicit in place.mesh.axis_types
    return jax.sharding.reshard(leaf, NamedSharding(place.mesh, PartitionSpec())) if explicit else leaf


def with_objective(tx, needs: tuple[str, ...]) -> optax.GradientTransformationExtraArgs:
    """A transform that is given what it needs, so that laws need not know of it."""

    def update(grads, state, params=None, **extra):
        known = objective(grads, params)
        return tx.update(grads, state, params, **extra | {name: known[name] for name in needs})

    return optax.GradientTransformationExtraArgs(tx.init, update)


def _is_absent(x) -> bool:
    return x is None


def _optimizers() -> Iterator[Subject]:
    for name in optimizers.names():
        info = optimizers.get(name)
        numbers = {key: value for key, value in info.hyperparams.items() if value is not None}
        optional = {key: OFF_BY_DEFAULT[key] for key in info.hyperparams if key not in numbers}
        # A weight decay of zero by default would hide the decay from the laws.
        # A line search tries the whole step first: the synthetic objective's minimum, at a rate of 1.
        rate = 1.0 if {"value", "value_fn"} & {*info.needs} or name in UNDER_WAY else 0.1
        numbers = {"learning_rate": rate} | numbers | ({"weight_decay": 0.1} if "weight_decay" in numbers else {})
        numbers |= SHOWS.get(name, {})

        told = {"layouts": LAYOUTS} if "layouts" in info.static else {}
        defaults = inspect.signature(info.factory).parameters

        def subject(label, static, hyperparams, name=name, info=info, told=told):
            return Subject(
                name=f"{name}{label}",
                build=lambda h: _around(name)(info.factory(**h, **(told | static))),
                hyperparams=hyperparams,
                plain=not label,
                needs_params=info.needs_params,
                low_bit="bfloat16" in (static.get("state_dtype"), static.get("compute_dtype")),
                amplified=AMPLIFIED if "layouts" in info.static else 1.0,
                needs=(*info.needs, *(need for key in static for need in BY_STATIC.get(key, ()))),
            )

        yield subject("", {}, numbers)
        for key, value in optional.items():
            yield subject(f"-{key}", {}, numbers | {key: value})
        for key in info.static:
            # What is on by default has off as its other value.
            other = False if defaults[key].default is True else ALTERNATIVES[key]
            yield subject(f"-{key}={other}", {key: other} | BESIDE.get(key, {}), numbers | optional)


def _around(name: str) -> Callable:
    return _downhill if name in UNDER_WAY else _curved if name in CURVED else lambda tx: tx


def _curved(tx) -> optax.GradientTransformationExtraArgs:
    """A transform that is told of a diagonal Hessian, 1 and the size of the gradient."""

    def update(grads, state, params=None, **extra):
        def hvp_fn(x, vector):
            return jax.tree.map(lambda v, g: v * (1 + jnp.abs(jnp.asarray(g, v.dtype))), vector, _filled(grads, x))

        return tx.update(grads, state, params, **extra | {"hvp_fn": hvp_fn})

    return optax.GradientTransformationExtraArgs(tx.init, update)


def _downhill(tx) -> optax.GradientTransformationExtraArgs:
    """A transform whose gradients are all positive, and whose parameters lie down from where they were at ``init``."""

    def update(grads, state, params=None, **extra):
        sizes = jax.tree.map(jnp.abs, grads)
        there = params
        if params is not None:
            full = hyper.arithmetic_dtype()  # a compiler may leave out roundings in between
            there = jax.tree.map(
                lambda p, g: p if g is None else jnp.asarray(p, full) - jnp.tanh(jnp.asarray(g, full)),
                params,
                sizes,
                is_leaf=_is_absent,
            )
        return tx.update(sizes, state, there, **extra)

    return optax.GradientTransformationExtraArgs(tx.init, update)


def _regularizers() -> Iterator[Subject]:
    for name in regularizers.names():
        info = regularizers.get(name)
        numbers = {key: REQUIRED[key] if value is None else value for key, value in info.hyperparams.items()}
        around = (optimizers.sgd(0.1),) if info.place == "around" else ()
        for label, mask in (("", None), ("-matrices", "matrices"))[: 2 if name in MASKED else 1]:
            yield Subject(
                name=f"{name}{label}",
                build=lambda h, info=info, around=around, mask=mask: info.factory(*around, **h, mask=mask),
                hyperparams=numbers,
                plain=not label,
                needs_params=info.needs_params,
            )


def _schedules() -> Iterator[Subject]:
    """Those that follow the loss."""
    for name in schedules.names():
        info = schedules.get(name)
        if info.takes_loss:
            first, *parameters = inspect.signature(info.factory).parameters.values()
            defaults = {p.name: p.default for p in parameters if p.name in info.parameters}
            for label, numbers, kept in LOSS_DRIVEN.get(name, (("", {}, {}),)):
                hyperparams = {first.name: 0.1} | {key: defaults[key] for key in defaults if key not in kept} | numbers
                yield Subject(
                    name=f"{name}{label}",
                    build=lambda h, info=info, kept=kept: info.factory(**h, **kept),
                    hyperparams=hyperparams,
                    plain=not label,
                    needs_params=False,
                    needs=("value", "grad"),
                )


def _modifiers() -> Iterator[Subject]:
    """Each around one optimizer; around another one, and with its static arguments off their defaults, at night.

    The optimizer's learning rate is a number like theirs.
    """
    for name in modifiers.names():
        info = modifiers.get(name)
        numbers = {key: value for key, value in info.hyperparams.items() if value is not None} | MODIFIED.get(name, {})
        inner, other = ("sgd", "adam") if name in AROUND_SGD else ("adam", "sgd")
        alternatives = {key: ALTERNATIVES[key] for key in info.static if key in ALTERNATIVES}
        cases = [("", inner, {}), (f"-{other}", other, {})]
        cases += [(f"-{key}={value}", inner, {key: value}) for key, value in alternatives.items()]
        for label, around, static in cases:
            yield Subject(
                name=f"{name}{label}",
                build=lambda h, name=name, around=around, static=static: _modified(name, around, **h, **static),
                hyperparams={"learning_rate": 0.1} | numbers,
                plain=not label,
                needs_params=info.needs_params,
                low_bit=static.get("state_dtype") == "bfloat16",
                needs=info.needs,
                nightly=bool(label),
            )


def _modified(name: str, inner: str, learning_rate, **arguments) -> optax.GradientTransformationExtraArgs:
    factory, own = modifiers.get(name).factory, optimizers.get(inner).factory
    # Of two rates in one state the first alone would be found: these are optax's, which keep none.
    if name == "groups":
        return factory({"own": own(learning_rate), "other": optax.sgd(0.1), "frozen": None}, GROUPS)
    if name == "graft":
        return factory(own(0.1), optax.sgd(learning_rate), **arguments)
    if name in ("layer_wise_decay", "gradual_unfreezing"):
        return factory(own(learning_rate), DEPTHS, **arguments)
    if name == "mup":
        return factory(own(learning_rate), ROLES, **arguments)
    if name == "prune":
        return factory(own(learning_rate), **{"layouts": LAYOUTS} | arguments)
    tx = factory(own(learning_rate), **arguments)
    return _elsewhere(tx) if name == "decay_to_init" else tx


def _elsewhere(tx) -> optax.GradientTransformationExtraArgs:
    """A transform that sees parameters which have moved since ``init``: under most laws they stand still."""

    def update(grads, state, params=None, **extra):
        return tx.update(grads, state, jax.tree.map(lambda p: 2 * p, params), **extra)

    return optax.GradientTransformationExtraArgs(tx.init, update)


def _loss_scaled() -> Subject:
    """Around Adam; the laws' gradients are those of the loss times 2."""

    def build(hyperparams):
        return precision.loss_scaled(optimizers.adam(hyperparams["learning_rate"]), precision.LossScale(2.0))

    return Subject("loss_scaled", build, {"learning_rate": 0.1}, plain=True, needs_params=False)


SUBJECTS = (*_optimizers(), *_regularizers(), *_schedules(), *_modifiers(), _loss_scaled())
PLAIN = tuple(subject for subject in SUBJECTS if subject.plain)

# Rounding is the engine's: beside the laws of numbers, which all stand, one optimizer with a signed and an unsigned
# slot stands for all that are stored low-bit.
ROUNDED = tuple(subject for subject in SUBJECTS if subject.name == "adam-state_dtype=bfloat16")
# State with fewer axes than its parameter, for the law of layouts.
FACTORED = tuple(subject for subject in SUBJECTS if subject.name == "adafactor-min_factored=2")
# Of eight rows of four columns, in the law of layouts, half of a basis is made of rounding, and the largest part of an
# inverse root: there sides of four stand trial, and blocks of two.
DEGENERATE = ("soap", "shampoo")
OF_FULL_RANK = tuple(one for one in SUBJECTS if one.name in ("soap-max_size=4", "shampoo-block_size=2"))
DISTINCT = (*(subject for subject in SUBJECTS if not subject.low_bit), *ROUNDED)


def stand_trial(subjects: tuple[Subject, ...]):
    """Decorates a law: one test for each subject, those with static arguments off their defaults
    marked as variants, those that are for the night as such."""
    marks = [
        pytest.mark.nightly if subject.nightly else () if subject.plain else pytest.mark.variant for subject in subjects
    ]
    params = [pytest.param(one, id=one.name, marks=mark) for one, mark in zip(subjects, marks, strict=True)]
    return pytest.mark.parametrize("subject", params)


# The one tree: every rank from 0 to 5, a size of zero, every pair of dtypes that gradient and parameter have.
_LEAVES = {
    "scalar": ((), "float32", "float32"),
    "empty": ((0, 3), "float32", "float32"),
    "vector": ((5,), "bfloat16", "bfloat16"),
    "matrix": ((3, 4), "float16", "float16"),
    "third": ((3, 4), "float32", "bfloat16"),
    "fourth": ((2, 1, 3, 2), "bfloat16", "float32"),
    "fifth": ((1, 2, 1, 3, 2), "float16", "float32"),
}


def gradients(seed: int, scale: float = 1.0) -> dict:
    """The tree of gradients: another one for each seed."""
    rng = np.random.default_rng(seed)
    flat = {name: rng.standard_normal(shape) * scale for name, (shape, _, _) in _LEAVES.items()}
    return _nested({name: jnp.asarray(flat[name], dtype) for name, (_, dtype, _) in _LEAVES.items()})


def constant_gradients(value: float) -> dict:
    """The tree of gradients, the same number everywhere: the nearest finite one where the dtype has it not."""

    def one(leaf):
        limit = float(jnp.finfo(leaf.dtype).max)
        return jnp.full_like(leaf, np.clip(value, -limit, limit) if np.isfinite(value) else value)

    return jax.tree.map(one, gradients(0))


def parameters() -> dict:
    """The tree of parameters: fresh buffers at every call, which may be donated."""
    rng = np.random.default_rng(1000)
    flat = {name: rng.standard_normal(shape) for name, (shape, _, _) in _LEAVES.items()}
    return _nested({name: jnp.asarray(flat[name], dtype) for name, (_, _, dtype) in _LEAVES.items()})


def _nested(leaves: dict) -> dict:
    """Dicts, lists and tuples in one another."""
    low, high = [leaves[name] for name in ("scalar", "empty", "vector")], ("matrix", "third", "fourth")
    return {"low": low, "high": tuple({"kernel": leaves[name]} for name in high), "fifth": leaves["fifth"]}


@dataclasses.dataclass
class Program:
    """A compiled ``step(hyperparams, grads, state, params) -> (updates, state)``, and how often it was traced."""

    step: Callable
    traces: list


@functools.cache
def program(subject: Subject) -> Program:
    """The program that all laws about this subject share."""
    traces = []

    def step(hyperparams, grads, state, params):
        traces.append(hyperparams)
        return subject.build(hyperparams).update(grads, state, params)

    return Program(jax.jit(step), traces)


def run(subject: Subject, sequence: list, hyperparams: Mapping | None = None) -> tuple[list, object]:
    """The shared program over a sequence of gradients from a fresh state: all updates, and the last state."""
    numbers = hyper.canonical(dict(hyperparams or subject.hyperparams))
    state, params, updates = subject.build(numbers).init(parameters()), parameters(), []
    for grads in sequence:
        update, state = program(subject).step(numbers, grads, state, params)
        updates.append(update)
    return updates, state


def assert_near(actual, wanted, low_bit: bool = False, amplified: float = 1.0) -> None:
    """Leaf by leaf: the same structure and dtypes, and a difference of a few units in the last place.

    Two programs of the same arithmetic differ by fused operations; where state is rounded stochastically to
    bfloat16 that may tip a value to its other neighbour, and of matrices made orthogonal it grows.
    """
    assert jax.tree.structure(actual) == jax.tree.structure(wanted)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(actual), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype, path
        if not jnp.issubdtype(a.dtype, jnp.floating):
            np.testing.assert_array_equal(a, b)
            continue
        ulp = float(jnp.finfo(jnp.bfloat16 if low_bit else a.dtype).eps)
        x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.linalg.norm(x - y) <= 8 * amplified * ulp * np.linalg.norm(y) + 1e-12, (path, x, y)
        assert np.all(np.isfinite(x)), path


def types(tree) -> list:
    """Structure, shapes, dtypes and weak types."""
    return [jax.tree.structure(tree), *(jax.typeof(leaf) for leaf in jax.tree.leaves(tree))]
