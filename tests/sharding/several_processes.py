"""One training run, by however many processes: ``several_processes.py ADDRESS PROCESSES PROCESS_ID FOLDER``."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

import jaxlab
from jaxlab.sharding import Layout, feed, rows, start
from jaxlab.train import data
from jaxlab.train.checkpoint import Checkpoints

EXAMPLES, BATCH, STEPS, SAVED = 40, 16, 5, 3
RULES = (("in", (None, "tensor")), ("out", ("tensor", None)))


def layout():
    return Layout("fsdp=4,tensor=2", RULES, zero=1, min_size=0)


def init(key):
    keys = jax.random.split(key)
    return {
        "in": jax.random.normal(keys[0], (6, 8)) / 3,
        "bias": jnp.zeros(8),
        "out": jax.random.normal(keys[1], (8, 4)) / 3,
    }


def loss_fn(params, batch, key):
    off = jnp.tanh(batch["x"] @ params["in"] + params["bias"]) @ params["out"] - batch["y"]
    return jnp.mean(off**2), {"far": jnp.max(abs(off))}


def build(h):
    return jaxlab.optimizers.adam(h["learning_rate"])


def table():
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(EXAMPLES, 6)), "y": rng.normal(size=(EXAMPLES, 4))}


def first_state():
    return jaxlab.train.init_run(init, build, {"learning_rate": 0.01}, key=jax.random.key(0), layout=layout())


@jax.jit
def numbers_of(step):
    return data.batch_indices(jax.random.key(5), step, examples=EXAMPLES, batch_size=BATCH)


def batch_at(step, loaded=None):
    """The batch of a step, and into ``loaded`` which examples this process loaded for it."""

    def load(numbers):
        if loaded is not None:
            loaded.append(numbers)
        np.testing.assert_array_equal(numbers, numbers_of(step)[rows(BATCH, layout())])
        return {name: leaf[numbers] for name, leaf in table().items()}

    return feed(load, numbers_of(step), layout())


def train(folder):
    """Trains, saves a checkpoint on the way, and returns all that can be compared."""
    step = jaxlab.train.make_train_step(loss_fn, build, layout=layout())
    loaded, state = [], first_state()
    with Checkpoints(folder / "checkpoints") as checkpoints:
        train = lambda steps, state: jaxlab.train.fit(  # noqa: E731
            step, state, lambda number: batch_at(number, loaded), steps=steps, save=checkpoints.save
        )
        state, records = train(SAVED, state)
    # The batch whole on every process, too.
    numbers = np.asarray(numbers_of(SAVED))
    state, metrics = step(state, {name: leaf[numbers] for name, leaf in table().items()})
    state, metrics = step(state, batch_at(SAVED + 1, loaded))
    losses = [record["loss"] for record in records] + [float(metrics["loss"])]
    params = multihost_utils.process_allgather(state.params, tiled=True)
    return {"losses": np.array(losses), "loaded": np.stack(loaded), **params}


def check_places():
    """Whatever the mesh, every device has of a batch what it should."""
    host = {"x": np.arange(8 * 4 * 3.0).reshape(8, 4, 3), "y": np.arange(8.0)}
    for text in ("data=8", "data=2,sequence=2,tensor=2", "sequence=2,fsdp=4", "sequence=4,tensor=2"):
        spread = Layout(text, batch=("batch", "sequence"))
        fed = feed(lambda numbers: {name: leaf[numbers] for name, leaf in host.items()}, np.arange(8), spread)
        for batch in (
            fed,
            spread.put_batch(host),
            spread.put_batch(fed),
            spread.put_batch(jax.tree.map(jnp.array, host)),
        ):
            for name, leaf in batch.items():
                assert leaf.shape == host[name].shape
                assert leaf.sharding == spread.batch_shardings(host)[name]
                for part in leaf.addressable_shards:
                    np.testing.assert_array_equal(part.data, host[name][part.index])


def main(address, processes, process_id, folder):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)
    print(start(address, int(processes), int(process_id), timeout=int(sys.argv[5])), flush=True)
    assert jax.device_count() == 8, jax.devices()
    check_places()
    found = train(pathlib.Path(folder))
    np.savez(pathlib.Path(folder) / f"process_{process_id}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:5])
