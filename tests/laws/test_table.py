"""The table holds what it should: a law that runs on nothing holds always."""

from laws.subjects import DISTINCT, FACTORED, PLAIN, ROUNDED, SUBJECTS

from jaxlab import modifiers, optimizers, regularizers, schedules


def test_every_registered_transform_stands_trial():
    loss_driven = {name for name in schedules.names() if schedules.get(name).takes_loss}
    named = (*optimizers.names(), *regularizers.names(), *modifiers.names(), *loss_driven, "loss_scaled")
    assert sorted(subject.name for subject in PLAIN) == sorted(named)
    assert {subject.name.split("-")[0] for subject in DISTINCT} == {subject.name for subject in PLAIN}


def test_every_static_argument_has_a_subject_with_its_other_value():
    names = [subject.name for subject in SUBJECTS]
    assert len(names) == len(set(names))
    for name in optimizers.names():
        for argument in optimizers.get(name).static:
            assert any(other.startswith(f"{name}-{argument}=") for other in names)


def test_low_bit_state_stands_trial():
    assert len(ROUNDED) == len(FACTORED) == 1
    assert sum(subject.low_bit for subject in SUBJECTS) > 1
