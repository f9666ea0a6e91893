"""Where theory says what shampoo, soap and psgd_kron are in a special case, they are that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers

RNG = np.random.default_rng(0)
DIAGONALS = RNG.standard_normal((8, 4))
MATRICES = RNG.standard_normal((8, 4, 3))
# The paper's own form; what is added to eigenvalues is next to nothing.
PAPER = {"momentum": 0.0, "b2": None, "graft": "none", "refresh": 1, "damping": 1e-14}


def _directions(tx, gradients) -> np.ndarray:
    def step(state, g):
        direction, state = tx.update(g, state)
        return state, direction

    gradients = jnp.asarray(gradients)
    return np.asarray(jax.jit(lambda gs: jax.lax.scan(step, tx.init(gs[0]), gs)[1])(gradients))


def _as_matrices(diagonals) -> np.ndarray:
    return np.stack([np.diag(d) for d in diagonals])


def test_shampoo_of_diagonal_gradients_is_adagrad(x64):
    got = _directions(optimizers.scale_by_shampoo(**PAPER), _as_matrices(DIAGONALS))
    wanted = _directions(optimizers.scale_by_adagrad(eps=1e-300), DIAGONALS)
    np.testing.assert_allclose(got, _as_matrices(wanted), atol=1e-6)


def test_shampoo_of_one_step_is_the_polar_factor(x64):
    got = _directions(optimizers.scale_by_shampoo(**PAPER | {"damping": 1e-10}), MATRICES[:1])[0]
    u, _, vt = np.linalg.svd(MATRICES[0], full_matrices=False)
    np.testing.assert_allclose(got, u @ vt, atol=1e-6)


def test_shampoo_of_a_column_is_normalised_descent_at_first(x64):
    column = MATRICES[0][:, :1]
    got = _directions(optimizers.scale_by_shampoo(**PAPER | {"damping": 1e-10}), column[None])[0]
    np.testing.assert_allclose(got, column / np.linalg.norm(column), atol=1e-6)


def test_a_graft_gives_the_length_and_shampoo_where_to(x64):
    g = MATRICES[:1]
    bare = _directions(optimizers.scale_by_shampoo(**PAPER), g)[0]
    adam = _directions(optimizers.scale_by_shampoo(**PAPER | {"graft": "adam", "b2": 0.9}), g)[0]
    np.testing.assert_allclose(np.linalg.norm(adam), np.sqrt(12), rtol=1e-6)
    np.testing.assert_allclose(adam / np.linalg.norm(adam), bare / np.linalg.norm(bare), atol=1e-6)


def test_soap_that_turns_nothing_is_adam_one_step_late(x64):
    got = _directions(optimizers.scale_by_soap(b1=0.9, b2=0.95, eps=1e-300, max_size=1), MATRICES)
    wanted = _directions(optimizers.scale_by_adam(b1=0.9, b2=0.95, eps=1e-300), MATRICES[1:])
    assert not np.any(got[0])
    np.testing.assert_allclose(got[1:], wanted, rtol=1e-12)


def test_soap_of_diagonal_gradients_is_adam_on_the_diagonal(x64):
    got = _directions(optimizers.scale_by_soap(b1=0.9, b2=0.95, eps=1e-10, refresh=2), _as_matrices(DIAGONALS))
    wanted = _directions(optimizers.scale_by_adam(b1=0.9, b2=0.95, eps=1e-300), DIAGONALS[1:])
    # Off the diagonal rounding is divided by eps.
    np.testing.assert_allclose(got[1:], _as_matrices(wanted), atol=1e-5)


@pytest.mark.parametrize(
    "tx",
    [
        optimizers.scale_by_soap(refresh=2),
        optimizers.scale_by_shampoo(graft="sgd", refresh=2),
        optimizers.scale_by_shampoo(**PAPER),
    ],
    ids=["soap", "shampoo", "shampoo of the paper"],
)
def test_rotated_gradients_give_rotated_directions(tx, x64):
    """No basis is special: the reason to precondition both sides as a whole."""
    left, right = (np.linalg.qr(RNG.standard_normal((n, n)))[0] for n in (4, 4))
    gradients = RNG.standard_normal((8, 4, 4))
    got, wanted = _directions(tx, left @ gradients @ right), left @ _directions(tx, gradients) @ right
    np.testing.assert_allclose(got, wanted, atol=1e-7)


def test_psgd_whitens(x64):
    """Gradients whose rows and columns have covariances with a condition of 1e4 become white noise."""
    rows, columns = (np.linalg.qr(RNG.standard_normal((4, 4)))[0] * np.geomspace(1, 1e-2, 4) for _ in range(2))
    gradients = 1e-3 * rows @ RNG.standard_normal((3000, 4, 4)) @ columns.T
    tx = optimizers.scale_by_psgd_kron(b1=0.0, whiten="gradient", refresh=1, clip=1e9)
    white = _directions(tx, gradients)[-1500:]
    for sides in (white, white.swapaxes(1, 2)):
        covariance = np.mean(sides @ sides.swapaxes(1, 2), axis=0) / 4
        eigenvalues = np.linalg.eigvalsh(covariance)
        assert 0.5 < eigenvalues[0] <= eigenvalues[-1] < 2, eigenvalues


@pytest.mark.parametrize("name", ["shampoo", "soap", "psgd_kron"])
def test_a_refresh_is_a_branch_in_a_population(name):
    """Members with hyperparameters of their own, one clock: what is not due is not computed."""
    params = {"a": jnp.ones((4, 3)), "b": jnp.ones((4, 3))}

    def update(rate, state, clock):
        return optimizers.get(name).factory(rate).update(params, state, params, step=clock)

    def branches(clock_axis, clock):
        members = jax.vmap(update, in_axes=(0, 0, clock_axis))
        states = jax.vmap(lambda rate: optimizers.get(name).factory(rate).init(params))(jnp.ones(3))
        return jax.jit(members).lower(jnp.ones(3), states, clock).as_text().count("stablehlo.case")

    # Some are constant, of which platform it is: they are in both.
    assert branches(None, jnp.asarray(7)) == branches(0, jnp.full(3, 7)) + 1


@pytest.mark.parametrize("name", ["shampoo", "soap", "psgd_kron"])
def test_low_bit_state_keeps_bases_exact(name):
    params = jnp.ones((16, 16))
    state = optimizers.get(name).factory(0.1, state_dtype="int8").init(params)
    kept = [leaf.dtype for leaf in jax.tree.leaves(state) if leaf.shape == (1, 16, 16)]
    squares = {"shampoo": 4, "soap": 4, "psgd_kron": 2}[name]
    assert kept.count(jnp.dtype("float32")) == squares
