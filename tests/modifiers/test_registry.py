"""The registry knows every modifier, and says what it takes."""

import inspect
import pkgutil

import optax
import pytest

from jaxlab import modifiers
from jaxlab.modifiers import info


def test_every_modifier_is_exported_under_its_name():
    for name in modifiers.names():
        known = modifiers.get(name)
        assert known.name == name
        assert known.factory is getattr(modifiers, name)
        assert known.reference
        assert {*known.hyperparams, *known.static} | info.STATIC >= {*inspect.signature(known.factory).parameters}


def test_all_but_groups_go_around_one_optimizer():
    for name in set(modifiers.names()) - {"groups"}:
        assert next(iter(inspect.signature(modifiers.get(name).factory).parameters)) == "inner"


def test_every_file_is_documented_with_its_source():
    for module in pkgutil.iter_modules(modifiers.__path__):
        if module.name in modifiers.names():
            assert "Reference:" in inspect.getdoc(modifiers.get(module.name).factory) or module.name == "groups"


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"modifier = 'cautios': unknown, did you mean 'cautious'"):
        modifiers.get("cautios")


def test_numbers_and_structure_are_told_apart():
    assert dict(modifiers.get("clip_adaptive").hyperparams) == {"clipping": 1e-2, "eps": 1e-3}
    assert modifiers.get("clip_adaptive").static == ("layer_axes",)
    assert isinstance(modifiers.get("cautious").factory(optax.sgd(0.1)), optax.GradientTransformationExtraArgs)
