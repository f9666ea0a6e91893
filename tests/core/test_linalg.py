"""Factorisations and roots beside NumPy's; on a CPU no batch reaches LAPACK."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import linalg


def _positive(conditions: list[float], n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    bases = [np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in conditions]
    return np.stack([q * np.geomspace(1, 1 / c, n) @ q.T for q, c in zip(bases, conditions, strict=True)])


def test_eigenvectors_and_bases_of_a_batch(x64):
    a = _positive([1e1, 1e3, 1e5])
    values, vectors = jax.jit(jax.vmap(linalg.eigh))(a)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a), rtol=1e-9)
    np.testing.assert_allclose(vectors @ (values[:, :, None] * vectors.mT), a, atol=1e-14)
    u, sizes, vt = jax.jit(jax.vmap(linalg.svd))(a[:, :4])
    np.testing.assert_allclose(u @ (sizes[:, :, None] * vt), a[:, :4], atol=1e-14)
    tall = np.random.default_rng(1).standard_normal((3, 6, 6))
    q, wanted = jax.jit(jax.vmap(linalg.orthonormal))(tall), np.linalg.qr(tall)[0]
    np.testing.assert_allclose(np.abs(q.mT @ wanted), np.broadcast_to(np.eye(6), q.shape), atol=1e-12)


def test_columns_that_depend_on_one_another_give_a_whole_basis(x64):
    rank_two = np.random.default_rng(0).standard_normal((6, 2)) @ np.random.default_rng(1).standard_normal((2, 6))
    for a in (rank_two, np.zeros((6, 6))):
        q = linalg.orthonormal(jnp.asarray(a))
        np.testing.assert_allclose(q.T @ q, np.eye(6), atol=1e-12)


@pytest.mark.parametrize("function", [linalg.eigh, linalg.orthonormal, linalg.svd])
def test_lapack_is_called_for_one_matrix_at_a_time(function):
    """A batch would wait for the threads that make it: with several devices for ever."""
    twice = jax.jit(jax.vmap(jax.vmap(function)))
    text = twice.lower(jnp.zeros((3, 2, 6, 6))).compile().as_text()
    calls = re.findall(r"= \(?(\S+)\[([\d,]*)\].*custom_call_target=\"lapack", text)
    assert calls
    for _, shape in calls:
        assert int(np.prod([int(n) for n in shape.split(",")])) <= 36, shape


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_inverse_roots(order, x64):
    a = _positive([1.0, 1e3, 1e9])
    roots = jax.jit(jax.vmap(lambda a: linalg.inverse_root(a, order, jnp.asarray(1e-3))))(1e30 * a)
    values, vectors = np.linalg.eigh(1e30 * a)
    values = values + 1e-3 * np.mean(values, axis=1, keepdims=True)
    wanted = vectors @ (values[:, :, None] ** (-1 / order) * vectors.swapaxes(1, 2))
    np.testing.assert_allclose(roots, wanted, atol=1e-9 * np.max(np.abs(wanted)))


def test_inverse_roots_in_float32_lose_digits_with_the_condition():
    conditions = [1e0, 1e1, 1e2, 1e3, 1e4]
    a = _positive(conditions).astype(np.float32)
    roots = jax.jit(jax.vmap(lambda a: linalg.inverse_root(a, 4, jnp.zeros(()))))(a)
    values, vectors = np.linalg.eigh(np.float64(a))
    wanted = vectors @ (values[:, :, None] ** (-1 / 4) * vectors.swapaxes(1, 2))
    off = np.linalg.norm(roots - wanted, axis=(1, 2)) / np.linalg.norm(wanted, axis=(1, 2))
    assert np.all(off <= 1e-6 + 2e-8 * np.array(conditions)), off


def test_zeros_and_what_is_not_finite():
    np.testing.assert_allclose(linalg.inverse_root(jnp.zeros((3, 3)), 4, jnp.asarray(1e-4)), 10 * np.eye(3), rtol=1e-5)
    assert not np.any(np.isfinite(linalg.inverse_root(jnp.full((3, 3), jnp.nan), 4, jnp.asarray(1e-4))))
