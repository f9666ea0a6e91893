"""A loss with augmentation: what it sees with a key and without, and its strengths among a run's hyperparameters."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import augment
from jaxlab.losses import cross_entropy
from jaxlab.optimizers import Recipe
from jaxlab.tasks.augmented import Augmented
from jaxlab.tasks.classification import Classifier
from jaxlab.train import beside, init_state, make_train_step

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 5, 4), np.uint8)
BATCH = {"x": jnp.asarray(BYTES), "y": jnp.asarray([0, 1, 2, 0, 1, 2]), "more": jnp.arange(6)}
PARAMS = jnp.asarray(RNG.standard_normal((20, 3)), jnp.float32) / 255
KEY = jax.random.key(0)


def linear(params, x, key=None):
    return jnp.asarray(x, jnp.float32).reshape(len(x), -1) @ params


def seen(params, batch, key):
    """Not a loss: what one is given."""
    return batch, key


def test_without_a_key_it_is_the_loss():
    noisy = Augmented(Classifier(linear), augment.compose(augment.brightness(0.5), augment.mixup(1.0)), classes=3)
    jax.tree.map(np.testing.assert_array_equal, noisy(PARAMS, BATCH, None), Classifier(linear)(PARAMS, BATCH, None))
    assert Augmented(seen, noisy.flow)(PARAMS, BATCH, None) == (BATCH, None)


@pytest.mark.parametrize("channels", [(), (1,), (2,)])
def test_with_a_key_images_are_the_flows(channels):
    x = jnp.asarray(RNG.random((6, 5, 4, *channels)), jnp.bfloat16)
    flow = augment.compose(augment.brightness(0.5))
    batch, own = jax.jit(lambda x: Augmented(seen, flow)(None, {**BATCH, "x": x}, KEY))(x)
    flow_key, loss_key = jax.random.split(KEY)
    wanted = jax.jit(flow.batch)(flow_key, x if channels else x[..., None])
    np.testing.assert_array_equal(batch["x"], wanted.reshape(x.shape))
    assert batch["x"].dtype == jnp.bfloat16
    assert own == loss_key
    for name in ("y", "more"):
        np.testing.assert_array_equal(batch[name], BATCH[name])


def test_mixing_makes_probabilities_that_loss_and_accuracy_take():
    flow = augment.compose(augment.cutmix(1.0))
    for labels in (BATCH["y"], jax.nn.one_hot(BATCH["y"], 3)):
        batch, _ = Augmented(seen, flow, classes=3)(None, {**BATCH, "y": labels}, KEY)
        np.testing.assert_allclose(batch["y"].sum(axis=1), 1, rtol=1e-6)
        # What is left of the first image is what is left of its class.
        changed = np.mean(np.asarray(batch["x"]) != BYTES, axis=(1, 2))
        np.testing.assert_allclose(1 - batch["y"][np.arange(6), BATCH["y"]], changed, atol=0.1)
    assert changed.max() > 0
    loss, metrics = Augmented(Classifier(linear), flow, classes=3)(PARAMS, BATCH, KEY)
    logits = linear(PARAMS, batch["x"])
    np.testing.assert_allclose(loss, cross_entropy(logits, batch["y"]), rtol=1e-6)
    assert metrics["accuracy"] == np.mean(np.argmax(logits, 1) == np.argmax(batch["y"], 1))


def test_one_program_serves_all_strengths():
    noisy = Augmented(Classifier(linear), augment.compose(augment.rotation(15.0), augment.mixup(0.2)), classes=3)
    build = beside(Recipe("sgd").build, noisy)
    plain, step = make_train_step(Classifier(linear), Recipe("sgd").build), make_train_step(noisy, build)

    def after(step, build, **numbers):
        return step(init_state(PARAMS, build, {"learning_rate": 0.1, **numbers}, key=KEY), BATCH)[0].params

    still = after(step, build, rotation=0.0, mixup=0.0)
    np.testing.assert_allclose(still, after(plain, Recipe("sgd").build), rtol=1e-4, atol=1e-6)
    moved = [after(step, build, rotation=angle, mixup=alpha) for angle, alpha in ((20.0, 0.0), (0.0, 0.5))]
    assert not any(np.allclose(one, other) for one, other in ((still, moved[0]), (still, moved[1]), moved))
    assert step._cache_size() == 1
    with pytest.raises(ValueError, match=r"rotation = 200.0: accepted is a number in \[0, 180\]"):
        after(step, build, rotation=200.0, mixup=0.0)


def test_equal_parts_share_what_is_compiled():
    def made(angle):
        return Augmented(Classifier(linear), augment.compose(augment.rotation(angle)), classes=3)

    assert made(15.0) == made(np.float32(15))
    assert hash(made(15.0)) == hash(made(15))
    assert made(15.0) == made(20.0).given({"rotation": 15, "learning_rate": 1.0})
    assert made(15.0) == made(15.0).given(0.1)
    assert made(15.0) != made(20.0)


@dataclasses.dataclass(frozen=True)
class Pulled:
    """A loss that has a hyperparameter already."""

    pull: float = 0.0
    names = ("pull",)

    def __call__(self, params, batch, key):
        return self.pull, {}

    def given(self, hyperparams):
        return Pulled(hyperparams["pull"])


def test_hyperparameters_of_the_loss_itself_stay():
    noisy = Augmented(Pulled(), augment.compose(augment.hue(0.1)))
    assert noisy.names == ("hue", "pull")
    assert noisy.given({"pull": 2.0})(None, BATCH, None)[0] == 2.0


def test_labels_are_sampled_on_augmented_examples():
    still = Augmented(Classifier(linear), augment.compose(augment.cutout(0.0)))
    wanted = Classifier(linear).sampled(PARAMS, BATCH, jax.random.split(KEY)[1])
    np.testing.assert_allclose(still.sampled(PARAMS, BATCH, KEY), wanted, rtol=1e-6)
    assert not hasattr(Augmented(seen, still.flow), "sampled")


def test_classes_are_needed_where_labels_are_mixed():
    with pytest.raises(ValueError, match="classes = None: accepted is how many there are"):
        Augmented(seen, augment.compose(augment.mixup(0.2)))(None, BATCH, KEY)
    with pytest.raises(ValueError, match="classes = 0: accepted is a whole number of at least 1"):
        Augmented(seen, augment.compose(augment.mixup(0.2)), classes=0)


def test_what_is_no_loss_or_flow_is_refused():
    flow = augment.compose(augment.rotation(10.0))
    with pytest.raises(TypeError, match=r"flow = Rotation\(.*: accepted is what jaxlab\.augment\.compose"):
        Augmented(seen, augment.rotation(10.0))
    with pytest.raises(TypeError, match="loss = None: accepted is"):
        Augmented(None, flow)
    with pytest.raises(ValueError, match="the loss has hyperparameters rotation, too"):
        Augmented(Augmented(seen, flow), flow)
