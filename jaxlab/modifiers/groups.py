"""Groups of parameters, each with an optimizer of its own."""

from collections.abc import Mapping

import optax

from jaxlab.core import tree
from jaxlab.core.chain import chain
from jaxlab.core.partition import Labels, partition
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import full_precision


def groups(
    transforms: Mapping[str, optax.GradientTransformation | None], labels: Labels
) -> optax.GradientTransformationExtraArgs:
    """Each parameter to the optimizer of its group: another rate or decay, another method, or none.

    A group sees its own leaves alone, under their full names. A frozen leaf (None in place of an optimizer) gets a
    zero update and has no state. What is to see all groups goes outside, such as
    :func:`~jaxlab.modifiers.clip_by_global_norm`, which finds in the state what is frozen and leaves it out of the
    norm, or :func:`~jaxlab.modifiers.cautious_decay`, which finds there the learning rate of each group.

    Args:
      transforms: by label, any optax optimizers; None freezes.
      labels: ordered ``(regular expression, label)`` rules over the names of leaves, of which the first that is found
        in a name decides; or a function ``(name, leaf) -> label``.

    Raises:
      ValueError: no groups; a rule whose label is unknown, a group that no rule names; from ``init``, a leaf that no
        rule matches, or whose label is unknown.
      TypeError: what is no dict, or neither an optimizer nor None; labels that are no rules.

    State: that of the groups' optimizers.

    >>> import jax.numpy as jnp
    >>> from jaxlab.modifiers import clip_by_global_norm
    >>> from jaxlab.optimizers import adamw, sgd
    >>> by_part = groups(
    ...     {"body": adamw(1e-3), "head": sgd(0.5), "frozen": None},
    ...     [("embed", "frozen"), ("head", "head"), ("", "body")],
    ... )
    >>> tx = clip_by_global_norm(by_part, max_norm=4.0)
    >>> params = {"embed": jnp.ones(1), "body": jnp.zeros(1), "head": jnp.ones(1)}
    >>> grads = {"embed": jnp.array([1e6]), "body": jnp.zeros(1), "head": jnp.array([8.0])}
    >>> updates, state = tx.update(grads, tx.init(params), params)
    >>> updates["embed"].tolist(), updates["head"].tolist()
    ([0.0], [-2.0])
    """
    if not isinstance(transforms, Mapping):
        raise TypeError(f"transforms = {transforms!r}: accepted is a dict of optimizers by label, None to freeze")
    parts = {}
    for label, transform in transforms.items():
        if transform is not None and not isinstance(transform, optax.GradientTransformation):
            raise TypeError(f"transforms[{label!r}] = {transform!r}: accepted are an optimizer, and None to freeze")
        parts[label] = None if transform is None else full_precision(transform)
    if not callable(labels):
        labels = tree.check_rules("labels", labels, "(regular expression, label) rules, and a function (name, leaf)")
        named = [label for _, label in labels]
        for pattern, label in labels:
            if label not in parts:
                raise ValueError(f"labels[{pattern!r}] = {label!r}: accepted are {', '.join(map(repr, parts))}")
        for label in parts:
            if label not in named:
                raise ValueError(
                    f"transforms[{label!r}]: no rule leads there, the rules of labels lead to {sorted(set(named))}"
                )
    return chain(partition(parts, labels))


GROUPS = ModifierInfo("groups", groups, "optax.partition; path rules as in big_vision, Beyer et al. 2022")
