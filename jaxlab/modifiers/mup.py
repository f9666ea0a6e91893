r"""Maximal update parametrization: what is tuned on a narrow model holds for a wide one (Yang et al., 2021)."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from jaxlab.core import hyper, tree
from jaxlab.core.layouts import VECTORS
from jaxlab.core.leafwise import require_real
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import after

ROLES = ("input", "hidden", "output", "fixed")
"""Which axes of a leaf grow with the width: those of its outputs, both, those of its inputs, none."""

RATE_POWERS: Mapping[str, Mapping[str, float]] = {
    "adam": {"input": 0, "hidden": -1, "output": -1, "fixed": 0},
    "sgd": {"input": 1, "hidden": 0, "output": -1, "fixed": 0},
}
"""The power of the growth by which a step is multiplied: table 3 of the paper, by the optimizer's kind and the role."""

INIT_POWERS: Mapping[str, Mapping[str, float]] = {
    "fan_in": {"input": 0, "hidden": 0, "output": -0.5, "fixed": 0},
    "constant": {"input": 0, "hidden": -0.5, "output": -1, "fixed": 0},
}
"""Likewise for an initial value, by how the model's own deviation depends on the fan-in: by its root, or not at all."""


def scale_by_width(
    roles: tree.Rules[str], growth: hyper.Scalar, kind: str = "adam"
) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies directions by what the width asks for, :math:`n^{q}\, d_t`, as a part of a chain.

    Between the direction and a decoupled decay it leaves the decay as it is; :func:`mup` around a whole optimizer
    scales the decay, too.

    Args:
      roles, growth, kind: as in :func:`mup`.

    Raises:
      ValueError, TypeError: as :func:`mup`.

    State: none.

    >>> tx = scale_by_width([("head", "output"), ("", "hidden")], growth=4.0)
    >>> tx.update({"head": jnp.ones(1)}, tx.init({"head": jnp.ones(1)}))[0]["head"].tolist()
    [0.25]
    """
    growth = hyper.number("growth", growth, "(0, inf)")
    powers = RATE_POWERS[hyper.one_of("kind", kind, RATE_POWERS)]
    rules = _checked(roles)

    def init(params: PyTree) -> optax.EmptyState:
        tree.match_rules(rules, tree.names(params))
        return optax.EmptyState()

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.EmptyState]:
        return _scaled(updates, rules, powers, growth), optax.EmptyState()

    return optax.GradientTransformationExtraArgs(init, update)


def mup(
    inner: optax.GradientTransformation, roles: tree.Rules[str], growth: hyper.Scalar, kind: str = "adam"
) -> optax.GradientTransformationExtraArgs:
    r"""Learning rates that need no tuning again when a model is made wider.

    For a model whose widths are :math:`n` times those of the model that was tuned, steps are multiplied by

    .. math::
        \begin{array}{l|ccc}
            & \text{input and vectors} & \text{hidden} & \text{output} \\ \hline
            \text{Adam and its kin} & 1 & 1 / n & 1 / n \\
            \text{SGD} & n & 1 & 1 / n
        \end{array}

    and initial values are those of :func:`mup_init`. Then the change that a step makes to any activation stays of the
    same size, whatever the width; ``python -m experiments.coordinate_check`` measures it. Attention needs scores over
    the size of a head instead of its root, where heads grow (more heads of one size need nothing).

    Table 3 of the paper, which needs no multipliers in the model; so the embedding and the head may not be tied. Muon,
    whose steps have a spectral norm that its ``scaling`` fixes, needs none of this but for its fallback.

    Args:
      inner: any optax optimizer.
      roles: ordered ``(regular expression, role)`` rules over the names of leaves. A role is ``"input"`` (the outputs
        grow: first layers, embeddings, biases, scales), ``"hidden"`` (both sides), ``"output"`` (the inputs grow: the
        head), ``"fixed"``. :func:`roles_of` finds them by comparing two models.
      growth: :math:`n`, above 0; 1 changes nothing.
      kind: ``"adam"`` where the size of a step does not depend on that of the gradient (Adam, Lion, sign descent,
        Adafactor), ``"sgd"`` where it is proportional.

    Raises:
      ValueError: a growth that is not above 0, an unknown role or kind; from ``init``, a leaf without a rule.
      TypeError: roles that are no rules; an ``inner`` that is no transform.

    State: the inner one's.

    Reference: https://arxiv.org/abs/2203.03466, table 3.

    >>> tx = mup(optax.sgd(1.0), [("head", "output"), ("embed", "input"), ("", "hidden")], 2.0, kind="sgd")
    >>> params = {"embed": jnp.ones(1), "dense": jnp.ones(1), "head": jnp.ones(1)}
    >>> {name: float(u[0]) for name, u in tx.update(params, tx.init(params))[0].items()}
    {'dense': -1.0, 'embed': -2.0, 'head': -0.5}
    """
    return after(inner, scale_by_width(roles, growth, kind))


def mup_init(params: PyTree, roles: tree.Rules[str], growth: hyper.Scalar, init: str = "fan_in") -> PyTree:
    r"""Initial parameters of a wide model, rescaled from those of its standard initialisation.

    The variance of a head's weights falls with the square of the width, that of hidden weights with the width, that
    of all others not at all; at ``growth = 1`` nothing changes.

    Args:
      params: as the model's own initialisation made them.
      roles, growth: as in :func:`mup`.
      init: how the model's standard deviations depend on the fan-in: ``"fan_in"`` by one over its root (Flax's default,
        He, LeCun), ``"constant"`` not at all (0.02 everywhere).

    Returns:
      The parameters, in their dtypes.

    Raises:
      ValueError: a growth that is not above 0, an unknown role or ``init``, a leaf without a rule.

    >>> params = {"dense": jnp.ones(1), "head": jnp.ones(1)}
    >>> mup_init(params, [("head", "output"), ("", "hidden")], 4.0)["head"].tolist()
    [0.5]
    """
    powers = INIT_POWERS[hyper.one_of("init", init, INIT_POWERS)]
    growth = hyper.number("growth", growth, "(0, inf)")
    return _scaled(params, _checked(roles), powers, growth)


def roles_of(base: PyTree, wide: PyTree) -> tuple[tuple[tuple[str, str], ...], float]:
    """The roles of all leaves and the growth, from a narrow and a wide model.

    The last axis of a leaf is its outputs, the one before its inputs, as Flax has it; a leaf of which two axes grow is
    hidden, as an attention's [width, heads, size]. A bias or a scale has outputs alone, whatever its axes.

    Args:
      base, wide: parameters, or their shapes (``jax.eval_shape(model.init, key)``), of the same structure.

    Returns:
      Rules for :func:`mup`, one for each leaf, and the one factor by which all widths grow.

    Raises:
      ValueError: trees of other names or ranks; axes that grow by different factors, or more than two of a leaf, or one
        alone that is not among the last two.

    >>> shapes = lambda n: {"embed": jnp.ones((9, n)), "dense": jnp.ones((n, n)), "head": jnp.ones((n, 3))}
    >>> rules, growth = roles_of(shapes(4), shapes(16))
    >>> [role for _, role in rules], growth
    (['hidden', 'input', 'output'], 4.0)
    """
    names = tree.names(base)
    if names != tree.names(wide):
        raise ValueError(f"wide has the leaves {tree.names(wide)}: accepted are those of base, {names}")
    found: dict[float, str] = {}
    rules = []
    for name, narrow, broad in zip(names, jax.tree.leaves(base), jax.tree.leaves(wide), strict=True):
        growths = _growths(name, jnp.shape(narrow), jnp.shape(broad))
        found.update(dict.fromkeys(growths.values(), name))
        rules.append((f"^{re.escape(name)}$", _role(name, list(growths))))
    if len(found) > 1:
        raise ValueError(f"widths grow by {found}: accepted is one factor for all that grow")
    return tuple(rules), next(iter(found), 1.0)


def _growths(name: str, narrow: tuple[int, ...], broad: tuple[int, ...]) -> dict[int, float]:
    """The factors of the axes that grow; axes count from the last, -1."""
    if 0 in (*narrow, *broad):
        raise ValueError(f"leaf {name!r} is {narrow} in base and {broad} in wide: accepted are axes of at least 1")
    growths = {i - len(narrow): b / a for i, (a, b) in enumerate(zip(narrow, broad, strict=False)) if a != b}
    alone = len(growths) == 1 and min(growths) < -2 and not re.search(VECTORS, name)
    if len(narrow) != len(broad) or len(growths) > 2 or alone:
        raise ValueError(
            f"leaf {name!r} is {narrow} in base and {broad} in wide: accepted is growth of its last two axes, or of "
            "two in all; else write the rules by hand"
        )
    return growths


def _role(name: str, grown: list[int]) -> str:
    if not grown:
        return "fixed"
    if re.search(VECTORS, name) or grown == [-1]:
        return "input"
    return "hidden" if len(grown) == 2 else "output"


def _checked(roles: Any) -> tree.Rules[str]:
    rules = tree.check_rules("roles", roles, "(regular expression, role) rules")
    return [(pattern, hyper.one_of(f"roles[{pattern!r}]", role, ROLES)) for pattern, role in rules]


def _scaled(values: PyTree, rules: tree.Rules[str], powers: Mapping[str, float], growth: Array) -> PyTree:
    roles = iter(tree.match_rules(rules, tree.names(values)))
    full = hyper.arithmetic_dtype()

    for name, x in zip(tree.names(values), jax.tree.leaves(values), strict=True):
        require_real(name, x)

    def one(x: Array) -> Array:
        return (jnp.asarray(x, full) * jnp.asarray(growth, full) ** powers[next(roles)]).astype(jnp.result_type(x))

    return jax.tree.map(one, values)


MUP = ModifierInfo("mup", mup, "Yang et al. 2021, arXiv:2203.03466")
