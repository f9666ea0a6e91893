"""A student in the compiled step: the teacher is an argument, stays as it is, and what it says is what counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import models, optimizers
from jaxlab.losses import cross_entropy
from jaxlab.tasks.distilled import Distilled, lesson
from jaxlab.train import init_state, make_train_step

TEACHER = models.pure(lambda rngs: models.MLP((5, 16, 3), rngs=rngs))
STUDENT = models.pure(lambda rngs: models.MLP((5, 4, 3), rngs=rngs))
LOSS = Distilled(STUDENT.apply, TEACHER.apply)


def _build(h):
    return optimizers.sgd(h)


@pytest.fixture(scope="module")
def taught():
    """A step, and what a state with a teacher is made from."""
    rng = np.random.default_rng(0)
    batch = {"x": jnp.asarray(rng.standard_normal((6, 5)), jnp.float32), "y": jnp.asarray([0, 1, 2, 0, 1, 2])}
    students, teachers = STUDENT.init(jax.random.key(0)), [TEACHER.init(jax.random.key(i)) for i in (1, 2)]
    return make_train_step(LOSS, _build, has_state=True), batch, students, teachers


def _state(params, said):
    return init_state(params, _build, 0.5, key=jax.random.key(0), model_state=said)


def _log_softmax(z):
    z = np.float64(z)
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 1.0), (4.0, 0.3), (2.0, 0.0)])
def test_the_loss_is_the_papers(taught, temperature, alpha):
    step, batch, params, teachers = taught
    for teacher in teachers:
        _, metrics = step(_state(params, lesson(teacher, temperature, alpha)), batch)
        z, t = (np.asarray(m.apply(p, batch["x"])) for m, p in ((STUDENT, params), (TEACHER, teacher)))
        soft, told = _log_softmax(z / temperature), _log_softmax(t / temperature)
        divergence = (np.exp(told) * (told - soft)).sum(-1).mean()
        hard = -_log_softmax(z)[np.arange(6), batch["y"]].mean()
        wanted = alpha * temperature**2 * divergence + (1 - alpha) * hard
        np.testing.assert_allclose(metrics["loss"], wanted, rtol=1e-5)
    # Every teacher, temperature and share: one program.
    assert step._cache_size() == 1


def test_the_student_learns_and_the_teacher_stays(taught):
    step, batch, params, (teacher, _) = taught
    state, losses = _state(params, lesson(teacher, 1.0, 1.0)), []
    for _ in range(200):
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.1 * losses[0]
    jax.tree.map(np.testing.assert_array_equal, state.model_state.teacher, teacher)


def test_without_a_share_it_is_plain_training(taught):
    step, batch, params, (teacher, _) = taught
    plain = make_train_step(lambda p, b, key: (cross_entropy(STUDENT.apply(p, b["x"]), b["y"]), {}), _build)
    taught_state, _ = step(_state(params, lesson(teacher, alpha=0.0)), batch)
    state, _ = plain(init_state(params, _build, 0.5, key=jax.random.key(0)), batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), taught_state.params, state.params)


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="temperature = 0"):
        lesson({}, temperature=0.0)
    with pytest.raises(ValueError, match=r"alpha = 1.5"):
        lesson({}, alpha=1.5)
