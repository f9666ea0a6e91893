"""Muon and NorMuon: the official packages' own numbers, what theory says of simple cases, and optax's faults."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab.optimizers import adamw, describe, muon, normuon, scale_by_muon

TRACES = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_matrices.json").read_text())
# The names of the same in jaxlab.
WORDS = {"beta2": "b2", "ns_steps": "steps", "adjust_lr_fn": "scaling", "match_rms_adamw": "moonshot"}


def _said_here(run):
    """PyTorch's options in jaxlab's words; its triple is that of all steps."""
    options = {WORDS.get(name, name): WORDS.get(str(value), value) for name, value in run["options"].items()}
    if "ns_coefficients" in options:
        options["coefficients"] = (tuple(options.pop("ns_coefficients")),)
    if run["module"] == "torch.optim":
        options = {"weight_decay": 0.1} | options
    return (normuon if run["module"] == "normuon" else muon)(TRACES["rate"], **options)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("run", TRACES["runs"], ids=lambda run: f"{run['module']} {run['options']} {run['shape']}")
def test_official_packages_in_float64(run):
    """Turned over: PyTorch's matrices have the outputs first."""
    tx = _said_here(run)
    inputs = {name: jnp.swapaxes(jnp.asarray(x), -1, -2) for name, x in TRACES["inputs"][run["shape"]].items()}

    def step(carry, g):
        updates, state = tx.update(g, carry[1], carry[0])
        return (carry[0] + updates, state), carry[0] + updates

    start = (inputs["start"], tx.init(inputs["start"]))
    _, found = jax.jit(lambda gradients: jax.lax.scan(step, start, gradients))(inputs["gradients"])
    np.testing.assert_allclose(np.swapaxes(found, -1, -2), run["parameters"], rtol=1e-10, atol=1e-12)


EXACT = {"coefficients": "polar_express", "steps": 12, "eps": 1e-30, "scaling": "none"}


def _direction(g, **options):
    tx = scale_by_muon(**{"momentum": 0.0} | EXACT | options)
    g = jnp.asarray(g, jnp.float32)
    return np.asarray(jax.jit(lambda g: tx.update(g, tx.init(g))[0])(g))


def test_reduction_of_a_matrix_with_one_row_or_column_to_normalised_descent():
    g = np.random.default_rng(0).standard_normal((1, 7))
    np.testing.assert_allclose(_direction(g), g / np.linalg.norm(g), rtol=1e-5)
    np.testing.assert_allclose(_direction(g.T), g.T / np.linalg.norm(g), rtol=1e-5)


def test_reduction_of_diagonal_gradients_to_sign_descent():
    g = np.diag([3.0, -0.5, 1.0, -2.0])
    np.testing.assert_allclose(_direction(g), np.sign(g), atol=1e-6)


def test_reduction_of_orthogonal_gradients_to_themselves():
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))
    np.testing.assert_allclose(_direction(7.0 * q), q, atol=1e-6)


def test_reduction_to_steepest_descent_in_the_spectral_norm():
    r"""Of all steps with a spectral norm of 1 it goes furthest along the gradient: as far as the nuclear norm."""
    rng = np.random.default_rng(0)
    g = rng.standard_normal((4, 6))
    d = _direction(g)
    u, s, vt = np.linalg.svd(g, full_matrices=False)
    np.testing.assert_allclose(d, u @ vt, atol=1e-5)
    assert np.linalg.norm(d, 2) == pytest.approx(1.0, abs=1e-5)
    assert np.sum(d * g) == pytest.approx(np.sum(s), rel=1e-5)
    others = rng.standard_normal((1000, 4, 6))
    others /= np.linalg.norm(others, 2, axis=(1, 2), keepdims=True)
    assert np.max(np.sum(others * g, (1, 2))) < np.sum(d * g)


def test_scales_by_shape_in_flax_convention():
    wide, tall = np.eye(2, 8), np.eye(8, 2)
    for scaling, of_wide, of_tall in (
        ("keller", 2.0, 1.0),
        ("moonshot", 0.2 * 8**0.5, 0.2 * 8**0.5),
        ("spectral", 2.0, 0.5),
        ("none", 1.0, 1.0),
    ):
        np.testing.assert_allclose(_direction(wide, scaling=scaling), of_wide * wide, atol=1e-5)
        np.testing.assert_allclose(_direction(tall, scaling=scaling), of_tall * tall, atol=1e-5)


def test_heads_are_orthogonalized_each_by_itself_where_the_layout_says_so():
    g = np.random.default_rng(0).standard_normal((6, 2, 3))
    each = _direction(g, layouts=(("", "rbc"),))
    whole = _direction(g, layouts=(("", "rcc"),))
    for head in range(2):
        np.testing.assert_allclose(each[:, head], _direction(g[:, head]), atol=1e-6)
    np.testing.assert_allclose(whole, _direction(g.reshape(6, 6)).reshape(6, 2, 3), atol=1e-6)


def test_moonshot_gives_updates_the_size_of_adamw():
    for shape in ((4, 16), (16, 16), (30, 5)):
        d = _direction(np.random.default_rng(0).standard_normal(shape), scaling="moonshot")
        assert np.sqrt(np.mean(d**2)) == pytest.approx(0.2, rel=1e-4)


def test_neurons_of_normuon_move_alike_and_the_whole_as_far_as_muon():
    g = jnp.asarray(np.random.default_rng(0).standard_normal((6, 4)) * [1.0, 5.0, 0.1, 1.0], jnp.float32)
    u = {tx: jax.jit(tx(1.0, momentum=0.0).update)(g, tx(1.0).init(g), g)[0] for tx in (muon, normuon)}
    norms = {tx: np.linalg.norm(updates, axis=0) for tx, updates in u.items()}
    assert np.ptp(norms[normuon]) < 1e-5 < 1e-2 < np.ptp(norms[muon])
    assert np.linalg.norm(u[normuon]) == pytest.approx(np.linalg.norm(u[muon]), rel=1e-5)


PARAMS = {
    "embed": {"embedding": jnp.ones((9, 4))},
    "dense": {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)},
    "blocks": {"kernel": jnp.ones((2, 4, 4))},
    "head": {"kernel": jnp.ones((4, 9))},
}
STACKED = (("blocks", "brc"),)
ROUTES = {
    "embed/embedding": "others",
    "dense/kernel": "matrices",
    "dense/bias": "others",
    "blocks/kernel": "matrices",
    "head/kernel": "others",
}


@pytest.mark.parametrize("factory", [muon, normuon])
def test_optax_fault_embeddings_and_heads_are_no_matrices_and_scanned_kernels_are(factory):
    assert describe(factory(0.1, layouts=STACKED), PARAMS).routes == ROUTES
    in_optax = jax.tree.map(lambda p: p.ndim == 2, PARAMS)
    assert in_optax["embed"]["embedding"]
    assert not in_optax["blocks"]["kernel"]


def test_optax_fault_a_kernel_of_three_axes_is_no_guess():
    with pytest.raises(ValueError, match=r"leaf 'blocks/kernel' .* rule such as"):
        muon(0.1).init(PARAMS)


def test_optax_fault_the_fallback_is_adamw_and_not_nadam_with_a_rate_of_its_own():
    tx = muon(0.5, fallback_learning_rate=0.01, weight_decay=0.1)
    alone = adamw(0.01, b2=0.95, weight_decay=0.1)
    params = {"bias": jnp.ones(3), "kernel": jnp.ones((2, 2))}
    state, lone = tx.init(params), alone.init(params["bias"])
    for i in range(1, 4):
        g = {"bias": jnp.array([1.0, -2.0, 0.1]) / i, "kernel": jnp.eye(2)}
        updates, state = tx.update(g, state, params)
        wanted, lone = alone.update(g["bias"], lone, params["bias"])
        np.testing.assert_allclose(updates["bias"], wanted, rtol=1e-6)
    # Optax's looks ahead, at Muon's rate.
    theirs = optax.contrib.muon(0.01)
    first = theirs.update({"b": jnp.ones(1)}, theirs.init({"b": jnp.ones(1)}), {"b": jnp.ones(1)})[0]["b"]
    plain = optax.adamw(0.01, weight_decay=0.0)
    assert abs(float(first[0] / plain.update(jnp.ones(1), plain.init(jnp.ones(1)), jnp.ones(1))[0][0]) - 1) > 1e-2


def test_optax_fault_coefficients_must_be_enough():
    """Optax takes two triples for five steps, and refuses five for two."""
    two = ((3.0, -3.0, 1.0), (2.0, -1.5, 0.5))
    with pytest.raises(ValueError, match="for steps = 5: accepted are"):
        muon(0.1, coefficients=two)
    x = np.random.default_rng(0).standard_normal((3, 3))
    same = _direction(x, coefficients=two, steps=2)
    np.testing.assert_allclose(_direction(x, coefficients=two * 3, steps=2), same)
    with pytest.raises(ValueError, match="Not enough coeffs"):
        optax.contrib.scale_by_muon(ns_coeffs=two * 3, ns_steps=2).init(jnp.eye(3))


def test_the_fallback_is_chosen():
    params, g = {"bias": jnp.ones(2)}, {"bias": jnp.array([3.0, -0.1])}

    def first(**options):
        tx = muon(0.5, fallback_learning_rate=0.25, **options)
        return tx.update(g, tx.init(params), params)[0]["bias"].tolist()

    assert first(fallback="lion") == [-0.25, 0.25]
    assert first(fallback="sgd") == pytest.approx([-0.75, 0.025])
    assert first(fallback=None) == [0.0, 0.0]
    assert first(fallback=optax.sgd(1.0)) == pytest.approx([-3.0, 0.1])
    with pytest.raises(ValueError, match="fallback = 'adamv': unknown, did you mean 'adam"):
        first(fallback="adamv")
    with pytest.raises(ValueError, match=r"fallback_learning_rate = -1\.0"):
        muon(0.1, fallback_learning_rate=-1.0)


def test_a_mask_decides_on_the_decay_of_both():
    params = {"bias": jnp.ones(2), "kernel": jnp.ones((2, 2)), "embed": jnp.ones((2, 2))}
    for mask, kept in (("matrices", {"bias"}), ([("embed|bias", False), ("", True)], {"bias", "embed"}), (None, set())):
        tx = muon(0.5, weight_decay=0.5, fallback_learning_rate=0.5, decay_mask=mask)
        updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
        assert {name for name, u in updates.items() if not np.any(u)} == kept
        assert all(np.all(np.asarray(u) == -0.25) for name, u in updates.items() if name not in kept)


@pytest.mark.parametrize(
    ("argument", "value"), [("scaling", "kellar"), ("compute_dtype", "half"), ("coefficients", "quartic")]
)
@pytest.mark.parametrize("factory", [muon, normuon])
def test_unknown_words(factory, argument, value):
    with pytest.raises(ValueError, match=f"{argument} = '{value}'"):
        factory(0.1, **{argument: value})
