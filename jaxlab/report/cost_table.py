"""What each arm costs, beside what it gives."""

from collections.abc import Callable

from jaxlab.report.markup import Html, el
from jaxlab.report.provenance import Place, source
from jaxlab.report.reading import measure_of, ranked, steps_of
from jaxlab.report.study import Cost
from jaxlab.report.table import mean_of, number, row_name, table
from jaxlab.report.units import quantity, short

Written = Callable[[Cost], str | None]


def costs(place: Place) -> Html:
    """Every arm's metric, then time, arithmetic and memory of a step and of a run; columns nobody has are left out."""
    measure, arms = measure_of(place.study), ranked(place.study)
    shown = [
        (name, field, write)
        for name, field, write in _columns(steps_of(place.study))
        if any(write(arm["cost"]) is not None for arm in arms)
    ]
    rows = [
        el(
            "tr",
            row_name(arm["name"]),
            number(mean_of(arm, measure), place.arm(arm, "report.mean")),
            *(number(write(arm["cost"]), place.arm(arm, f"cost.{field}")) for _, field, write in shown),
        )
        for arm in arms
    ]
    head = ["Arm", f"Test {measure.name}", *(name for name, _, _ in shown)]
    caption = (
        "What each arm costs beside what it gives, best first. Time of one run; state: what the optimizer keeps; "
        "all runs: the clock of tuning and report together, with the compiling."
    )
    how = (
        "FLOPs are those of the program before the compiler optimises it, the body of a loop counted once; a "
        f"run has {steps_of(place.study):,} steps. A step's time is one run's share of its population's."
    )
    return table(head, rows, caption, source=source(place, ("clock",), ("arms[].cost", "arms[].report.mean"), how))


def _columns(steps: int) -> list[tuple[str, str, Written]]:
    """Each column's name, the field that it shows, and how that is written."""

    def of(field: str, unit: str, times: float = 1.0) -> Written:
        def write(cost: Cost) -> str | None:
            value = cost.get(field)
            return None if value is None else quantity(times * float(value), unit)

        return write

    return [
        ("Time a step", "seconds_per_step", of("seconds_per_step", "s")),
        ("FLOPs a step", "flops_per_step", of("flops_per_step", "FLOP")),
        ("FLOPs a run", "flops_per_step", of("flops_per_step", "FLOP", steps)),
        ("Parameters", "params", lambda cost: f"{cost['params']:,}" if "params" in cost else None),
        ("State (a parameter)", "state_bytes", _state),
        ("Compiling", "compile_seconds", of("compile_seconds", "s")),
        ("All runs", "seconds_tuning", lambda cost: quantity(cost["seconds_tuning"] + cost["seconds_report"], "s")),
    ]


def _state(cost: Cost) -> str:
    """The optimizer's state, and in brackets its bytes for each parameter; those of the recipe, if not counted."""
    whole, params = cost.get("state_bytes"), cost.get("params")
    if whole is None or not params:
        return f"({short(cost['state_bytes_per_param'])} B)"
    return f"{quantity(whole, 'B')} ({short(round(whole / params, 2))} B)"
