"""Tasks by name, users' own by module and object."""

import subprocess
import sys

import jax
import pytest

from jaxlab import tasks

OWN = """
import jax.numpy as jnp

data = jnp.arange(10.0)

def init(key):
    return jnp.zeros(())

def loss(params, batch, key):
    return jnp.mean((batch - params) ** 2)

class Lacking:
    data = data

def make():
    import types
    return types.SimpleNamespace(init=init, loss=loss, data=data, name="made", metric="loss")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "own_module.py").write_text(OWN + "\nimport own_package.own_module as here\n")
    (tmp_path / "own_package" / "broken.py").write_text("import a_module_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("own_package")]:
        del sys.modules[name]


def test_listing_names_loads_neither_flax_nor_scikit_learn():
    program = (
        "import sys, jaxlab.tasks; jaxlab.tasks.names(); "
        "print([name for name in ('flax', 'sklearn', 'orbax') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_an_unknown_name_suggests_the_nearest_and_names_the_other_form():
    with pytest.raises(
        ValueError, match=r"'fashion_mnist'.*mean 'fashion_mnist_cnn'\?.*package.module:object of your own"
    ):
        tasks.get("fashion_mnist")


@pytest.mark.parametrize(
    ("path", "name"),
    [("own_package.own_module:make", "made"), ("own_package.own_module:here", "own_package.own_module")],
)
def test_ones_own_task_is_loaded_like_a_built_in_one(own, path, name):
    task = tasks.get(path)
    assert task.name == name
    assert task.data.shape == (8,)
    tasks.check(task, jax.random.key(0))
    assert tasks.as_task(path).name == tasks.load(path).name == name


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("own_package.own_module:", "task = 'own_package.own_module:': accepted is package.module:object"),
        (":make", "task = ':make': accepted is package.module:object"),
        ("own_pakage.own_module:make", "no module 'own_pakage' is found"),
        ("own_package.other:make", "no module 'own_package.other' is found"),
        ("own_package.own_module:mkae", "module 'own_package.own_module' has no 'mkae'"),
    ],
)
def test_what_is_not_found_is_named(own, path, message):
    with pytest.raises(ValueError, match=message):
        tasks.get(path)


def test_an_object_that_is_no_task_says_what_it_lacks(own):
    with pytest.raises(TypeError, match="task 'Lacking' lacks init, loss: accepted is an object with init"):
        tasks.get("own_package.own_module:Lacking")


def test_a_module_whose_own_imports_fail_says_which(own):
    with pytest.raises(ModuleNotFoundError, match="a_module_that_nobody_has"):
        tasks.get("own_package.broken:make")
