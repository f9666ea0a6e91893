"""The loss of one batch as functions of the parameters: value, gradient, and what second-order methods ask.

Everything an optimizer may want to know of the loss beyond its gradient is a closure made here, defined
alike with and without gradient accumulation. A closure that nobody calls costs nothing: it is not traced.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from jaxlab.core import hyper, parts, placement, tree
from jaxlab.precision.policy import Policy
from jaxlab.sharding.layout import Layout
from jaxlab.train import across
from jaxlab.train.data import every, micro_batches

Metrics = dict[str, Array]
LossFn = Callable[..., Any]
"""``(params, batch, key) -> (loss, metrics)``, or with model state as its second argument and result."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """A loss function bound to one batch, one key and one model state.

    Attributes:
      loss_fn: ``(params, model_state, batch, key) -> (loss, (metrics, model_state))``.
      batch: any pytree with a leading axis of examples.
      accumulate: into how many micro-batches the batch is cut; losses and gradients are their means.
      residuals_of: ``(params, batch, key) -> array`` whose mean square is the loss, where there is such a thing.
      sampled_of: ``(params, batch, key) -> array`` of the losses of labels drawn from the model's predictions, one
        for each label, where there is such a thing.
      scale: what the loss is multiplied with while gradients are computed, or None; results are unscaled.
      layout: where parameters, gradients and batches lie on a mesh, or None.
      frozen: the parameters that every loss sees and no gradient is of, or None.
      axis_name: of ``pmap`` or ``shard_map``, whose devices have equal parts of the whole batch; results are those of
        the whole batch on every device (:mod:`~jaxlab.train.across`). Or None.
    """

    loss_fn: LossFn
    policy: Policy
    accumulate: int
    model_state: PyTree[Array]
    batch: PyTree[Array]
    key: Key[Array, ""]
    residuals_of: Callable[..., Array] | None = None
    sampled_of: Callable[..., Array] | None = None
    scale: Float[Array, ""] | None = None
    layout: Layout | None = None
    axis_name: str | None = None
    frozen: PyTree[Array] | None = None

    def value_and_grad(self, params: PyTree[Array]) -> tuple[Array, Metrics, PyTree[Array], PyTree[Array]]:
        """Loss, metrics, the model's new state, and the gradient in full precision."""

        def scaled(params: PyTree, *inputs: Any) -> tuple[Array, tuple[Array, Metrics, PyTree]]:
            loss, (metrics, after) = self._loss(params, *inputs)
            return self._scaled(loss), (loss, metrics, after)

        def one(model_state: PyTree, batch: PyTree, key: Array) -> tuple[Any, PyTree]:
            grads, (loss, metrics, after) = jax.grad(scaled, has_aux=True)(params, model_state, batch, key)
            return (loss, metrics, self._full(grads, stage=2)), after

        params = across.own(params, self.axis_name)
        results, model_state = self._mean(one)
        loss, metrics, grads = across.mean(results, self.axis_name)
        model_state = across.agreed(model_state, self.axis_name)
        # Said twice, as it is summed and as it is kept: else a compiler scatters at stage 1 each micro-batch's part.
        return loss, metrics, model_state, self._shared(self._shared(grads, stage=2), stage=1)

    def value(self, params: PyTree[Array]) -> Float[Array, ""]:
        """The loss at other parameters: line searches."""

        def one(model_state: PyTree, batch: PyTree, key: Array) -> tuple[Array, PyTree]:
            loss, (_, after) = self._loss(params, model_state, batch, key)
            return loss, after

        params = across.own(params, self.axis_name)
        return across.mean(self._mean(one)[0], self.axis_name)

    def grad(self, params: PyTree[Array]) -> PyTree[Array]:
        """The gradient at other parameters: SAM and its kin. What is not finite is NaN."""
        return _shown(self.value_and_grad(params)[3])

    def hvp(self, params: PyTree[Array], vector: PyTree[Array]) -> PyTree[Array]:
        """The Hessian at ``params`` times ``vector``, forward over reverse. What is not finite is NaN."""
        gradient = lambda params: self.value_and_grad(params)[3]  # noqa: E731
        return _shown(jax.jvp(gradient, (params,), (tree.cast_like(vector, params),))[1])

    def residuals(self, params: PyTree[Array]) -> Float[Array, " n"]:
        """All residuals of the batch, whose mean square is the loss: Gauss-Newton and Levenberg-Marquardt.

        Raises:
          ValueError: the loss is not known as a mean of squares.
        """
        if self.residuals_of is None:
            raise ValueError(
                "loss_fn has no method residuals(params, batch, key), an array whose mean square is the loss: "
                "Gauss-Newton is for sums of squares; newton and lbfgs take any loss"
            )
        residuals_of = self.residuals_of
        params, own_key = across.own(params, self.axis_name), across.own_key(self.key, self.axis_name)

        def one(inputs: tuple[PyTree, Array]) -> Array:
            batch, key = inputs
            found = residuals_of(self._weights(params), self.policy.cast_batch(batch), key)
            return tree.cast(found, hyper.arithmetic_dtype())

        if self.accumulate == 1:
            return across.joined(jnp.ravel(one((self.batch, own_key))), self.axis_name)
        keys = jax.vmap(lambda index: jax.random.fold_in(own_key, index))(jnp.arange(self.accumulate))
        found = jax.lax.map(one, (micro_batches(self.accumulate, self.batch), keys))
        return across.joined(jnp.ravel(found), self.axis_name)

    def sampled_grad(self, params: PyTree[Array], key: Key[Array, ""]) -> PyTree[Array]:
        r"""A random gradient whose squares are, on average, the diagonal of the Gauss-Newton matrix: Sophia.

        With labels drawn from the predictions, :math:`\sqrt B\, \nabla \tfrac1B \sum_i l_i` for B of them. What is
        not finite is NaN.

        Raises:
          ValueError: the loss is not known to draw labels, or gives no losses of single ones.
        """
        if self.sampled_of is None:
            raise ValueError(
                "loss_fn has no method sampled(params, batch, key), the losses of labels drawn from the model's own "
                'predictions, one for each: estimator="gnb" is for models that give probabilities; "hutchinson" takes '
                "any loss"
            )
        sampled_of = self.sampled_of

        def mean(params: PyTree, batch: PyTree, key: Array) -> tuple[Array, Array]:
            losses = sampled_of(self._weights(params), self.policy.cast_batch(batch), key)
            losses = jnp.asarray(losses, hyper.arithmetic_dtype())
            if not losses.ndim:
                raise ValueError("loss_fn.sampled returned one number: accepted is an array, a loss for each label")
            # Not their sum, which in float16 overflows at a scale that the loss, a mean, bears.
            return self._scaled(jnp.mean(losses)), jnp.asarray(losses.size, losses.dtype)

        def one(model_state: PyTree, batch: PyTree, key: Array) -> tuple[Any, PyTree]:
            grads, count = jax.grad(mean, has_aux=True)(params, batch, key)
            return (self._full(grads, stage=2), count), model_state

        params = across.own(params, self.axis_name)
        grads, count = across.mean(self._mean(one, key)[0], self.axis_name)
        # The count is the mean one of a micro-batch on a device.
        labels = self.accumulate * across.devices(self.axis_name) * count
        return _shown(jax.tree.map(lambda g: jnp.sqrt(labels) * g, grads))

    def per_example_grad(
        self,
        params: PyTree[Array],
        each: Callable[[PyTree[Array]], PyTree[Array]] | None = None,
        microbatch: int | None = None,
    ) -> PyTree[Array]:
        """The gradient of each example alone, on a leading axis: clipping for privacy.

        Args:
          each: then it is the sum over all examples of this function of a gradient.
          microbatch: of how many examples ``each`` is computed at a time: no more gradients are in memory at once.
        """
        params, own_key = across.own(params, self.axis_name), across.own_key(self.key, self.axis_name)

        def one(example: PyTree, index: Array) -> PyTree:
            alone = dataclasses.replace(
                self,
                accumulate=1,
                batch=jax.tree.map(lambda leaf: leaf[None], example),
                key=jax.random.fold_in(own_key, index),
                axis_name=None,
            )
            return alone.grad(params)

        examples = _examples(self.batch)
        inputs = (self.batch, jnp.arange(examples))
        if each is None:
            return across.joined(jax.vmap(one)(*inputs), self.axis_name)
        size = examples if microbatch is None else microbatch
        if examples % size:
            raise ValueError(f"microbatch = {size}: accepted is a divisor of the batch size, {examples}")

        def sum_of(some: tuple[PyTree, Array]) -> PyTree:
            return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), jax.vmap(lambda *xs: each(one(*xs)))(*some))

        def add(total: PyTree, some: tuple[PyTree, Array]) -> tuple[PyTree, None]:
            return jax.tree.map(jnp.add, total, sum_of(some)), None

        chunks = jax.tree.map(lambda leaf: every(examples // size, leaf), inputs)
        shapes = jax.eval_shape(sum_of, jax.tree.map(lambda leaf: leaf[0], chunks))
        zeros = across.own(jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes), self.axis_name)
        return across.total(jax.lax.scan(add, zeros, chunks)[0], self.axis_name)

    def _loss(
        self, params: PyTree, model_state: PyTree, batch: PyTree, key: Array
    ) -> tuple[Array, tuple[Metrics, PyTree]]:
        def gathered(params: PyTree) -> Any:
            return _unpack(self.loss_fn(self._weights(params), model_state, self.policy.cast_batch(batch), key))

        of = gathered if self.layout is None else self.layout.gathering_again(gathered)
        loss, (metrics, after) = of(params)
        tree.check_shapes("loss_fn returned a model_state of", after, model_state)
        # The carried state keeps its dtypes, whatever the compute dtype made of it.
        return self.policy.cast_output(loss), (self.policy.cast_output(metrics), tree.cast_like(after, model_state))

    def _weights(self, params: PyTree) -> PyTree:
        """Parameters as the model computes with them. Cast before they are gathered: half the bytes are sent."""
        weights = self.policy.cast_weights(params if self.frozen is None else parts.merged(params, self.frozen))
        return weights if self.layout is None else self.layout.gather(weights)

    def _scaled(self, loss: Array) -> Array:
        return loss if self.scale is None else loss * self.scale

    def _full(self, grads: PyTree, *, stage: int) -> PyTree:
        """Gradients of the scaled loss in full precision, unscaled, each device with its share."""
        grads = tree.cast(grads, hyper.arithmetic_dtype())
        if self.scale is not None:
            grads = jax.tree.map(lambda g: g / self.scale, grads)
        return self._shared(grads, stage=stage)

    def _shared(self, grads: PyTree, *, stage: int) -> PyTree:
        return grads if self.layout is None else self.layout.share(grads, stage=stage)

    def _mean(
        self, one: Callable[[PyTree, PyTree, Array], tuple[Any, PyTree]], key: Array | None = None
    ) -> tuple[Any, PyTree]:
        """``one`` on each micro-batch in turn, the model's state handed on, the results averaged."""
        key = across.own_key(self.key if key is None else key, self.axis_name)
        model_state = across.own(self.model_state, self.axis_name)
        if self.accumulate == 1:
            return one(model_state, self.batch, key)
        parts = micro_batches(self.accumulate, self.batch)

        def body(carry: tuple[PyTree, PyTree], xs: tuple[PyTree, Array]) -> tuple[tuple[PyTree, PyTree], None]:
            total, model_state = carry
            batch, index = xs
            result, model_state = one(model_state, batch, jax.random.fold_in(key, index))
            return (jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, result), model_state), None

        first = jax.tree.map(lambda leaf: leaf[0], parts)
        if self.layout is not None:
            self.layout.batch_shardings(first, what=f"accumulate = {self.accumulate}: micro-batch leaf")
        shapes = jax.eval_shape(one, model_state, first, key)[0]
        # Sums in full precision: a bfloat16 sum of many micro-batches would stop growing.
        zeros = across.own(jax.tree.map(placement.zeros, shapes), self.axis_name)
        carry = (zeros, model_state)
        (total, after), _ = jax.lax.scan(body, carry, (parts, jnp.arange(self.accumulate)))
        return jax.tree.map(lambda leaf: leaf / self.accumulate, total), after


def stateless(loss_fn: LossFn) -> LossFn:
    """A loss ``(params, batch, key)`` of a pure model in the form of one with model state."""

    def with_state(params: PyTree, model_state: PyTree, batch: PyTree, key: Array) -> Any:
        loss, metrics = _pair(loss_fn(params, batch, key), "(loss, metrics)")
        return loss, (metrics, model_state)

    return with_state


def _shown(grads: PyTree) -> PyTree:
    """What is not finite as NaN: of an inf, methods that take its sign or divide by it would make a finite step.

    The step's own gradient needs none of it: its norm is looked at.
    """
    return jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, jnp.nan), grads)


def _unpack(result: Any) -> tuple[Array, tuple[Metrics, PyTree]]:
    loss, aux = _pair(result, "(loss, (metrics, model_state))")
    metrics, after = _pair(aux, "(loss, (metrics, model_state))")
    if not isinstance(metrics, dict):
        raise TypeError(f"loss_fn returned metrics of type {type(metrics).__name__}: accepted is a dict of scalars")
    if jnp.shape(loss) != ():
        raise ValueError(f"loss_fn returned a loss of shape {jnp.shape(loss)}: accepted is a scalar")
    for name, value in metrics.items():
        if jnp.shape(value) != ():
            raise ValueError(f"loss_fn returned metric {name!r} of shape {jnp.shape(value)}: accepted is a scalar")
    return loss, (jax.tree.map(jnp.asarray, metrics), after)


def _pair(result: Any, accepted: str) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"loss_fn returned {type(result).__name__}: accepted is {accepted}")
    return result


def _examples(batch: PyTree) -> int:
    return jax.tree.leaves(batch)[0].shape[0]
