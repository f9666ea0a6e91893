"""Members whose optimizers average parameters are validated and scored by the averages."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxlab import optimizers, tasks
from jaxlab.modifiers import evaluation_params, schedule_free
from jaxlab.sweep import program, run_population, seed_keys
from jaxlab.train import data as examples_of
from jaxlab.train import evaluate
from jaxlab.train.run import validation_indices


def build(hyperparams):
    return schedule_free(optimizers.sgd(hyperparams["learning_rate"]))


def test_members_are_evaluated_by_their_averages():
    line, rates = tasks.get("line"), np.array([0.01, 0.3])
    history = run_population(line, build, {"learning_rate": rates}, seed_keys([0, 1]), steps=20, test=True)
    pool = examples_of.count(line.data)
    training, _ = examples_of.split_sizes(pool, line.validation_fraction)

    @jax.jit
    def scores(params, key):
        chosen = validation_indices(key, pool=pool, training=training)
        return evaluate(line.loss, params, line.data, chosen)["mse"], evaluate(line.loss, params, line.test)["mse"]

    for member in range(2):
        state = jax.tree.map(lambda leaf, i=member: jnp.asarray(leaf)[i], history.states._replace(step=None))
        found = history.validation["mse"][member, -1], history.test["mse"][member]
        np.testing.assert_allclose(
            found, scores(evaluation_params(state.opt_state, state.params), state.key), rtol=1e-5
        )
        assert not np.allclose(found, scores(state.params, state.key), rtol=1e-3)


def test_without_averages_an_evaluation_reads_parameters_alone():
    states = jax.eval_shape(jax.vmap(optimizers.adam(0.1).init), jnp.ones((3, 2)))
    state = program.TrainState(None, jnp.ones((3, 2)), (), states, {}, None, None, None)
    assert jax.tree.leaves(program.to_evaluate(state)) == [state.params, *jax.tree.leaves(state.hyperparams)]
