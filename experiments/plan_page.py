"""What the page about plans shows."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from experiments.plan_search import Found
from experiments.plan_step import RESERVED, Training
from jaxlab.report.units import percent, quantity

GIB = 2**30
DRAWN = 6
"""Plans in a plot."""
PARTS = {"arguments": "state and batch", "temporaries": "temporaries", "results": "results", "program": "program"}
RESOURCES = {"compute": "matrix products", "memory": "memory traffic", "links": "links"}
HOW = (
    "Memory is the compiler's own account of the executable, all parts together; a chip keeps 0.25 GiB to itself. "
    "Operations are those of its matrix products, loops as often as they turn: what is made again in the backward "
    "pass, and what several chips compute alike, is among them. MFU counts as useful 6 operations for each parameter "
    "that multiplies and each token, and 12 x layers x width x context for attention."
)
ESTIMATE = (
    "Step time is an estimate: the instructions of a chip one after the other, each as long as its arithmetic takes at "
    "the chip's published peak or its traffic at the memory's bandwidth, whichever is longer; copies ahead, and what "
    "chips send each other along the links of the slice, beside them. Nothing reaches its peak, and not all that is "
    "sent is hidden: a measured step takes longer."
)


def question(model: str, slices: list[str], search: bool) -> str:
    """What the page answers."""
    where = " and ".join(slices)
    return (
        f"How is a model of {model} trained fastest on {where}?" if search else f"Does a model of {model} fit {where}?"
    )


def answer(trainings: Mapping[str, Training], found: Mapping[str, Found]) -> str:
    """The verdict, a sentence for each slice, those on which it fits first."""
    size = quantity(next(iter(trainings.values())).shape.parameters, "").strip().replace(" G", " billion")
    model = f"The model of {size.replace(' M', ' million')} parameters"
    told = [(one.best is None, _told(where, one)) for where, one in found.items()]
    words = [text for _, text in sorted(told, key=lambda pair: pair[0])]
    return f"{model} {'. It '.join(words)}."


def _told(where: str, found: Found) -> str:
    best = found.best
    if best is None:
        least = min((entry for entry in found.entries), key=_needed, default=None)
        if least is None:
            return f"does not fit {where}: arithmetic alone refuses every plan"
        tried = "" if len(found.entries) == 1 else f" under any of {len(found.entries)} plans"
        return (
            f"does not fit {where}{tried}: a chip would need {_needed(least) / GIB:.1f} GiB at least and has "
            f"{_available(least) / GIB:.1f} to give ({least['name']})"
        )
    taken = f"{best['memory']['peak'] / GIB:.1f} of a chip's {best['chips_memory'] / GIB:.0f} GiB"
    step = quantity(best["time"]["seconds"], "s")
    speed = f"{step} a step, {_tokens(best)} tokens a second, an MFU of {percent(best['mfu'])}"
    if found.left or len(found.entries) > 1:
        return (
            f"is trained fastest on {where} by {best['name']}, of the plans tried: {taken}, about {speed} (estimates)"
        )
    return f"fits {where} ({best['name']}): {taken}, at best {speed} (estimates)"


def _needed(entry: Mapping[str, Any]) -> float:
    return entry["memory"]["peak"] if "memory" in entry else entry["needed"]


def _available(entry: Mapping[str, Any]) -> float:
    return entry["chips_memory"] - RESERVED if "memory" in entry else entry["available"]


def _tokens(entry: Mapping[str, Any]) -> str:
    three = float(f"{entry['tokens_per_second']:.3g}")
    return f"{three:,.0f}"


COLUMNS = ["plan", "slice", "layout", "peak GiB a chip", "of", "step", "waits for", "tokens/s", "MFU"]


def rows_of(found: Mapping[str, Found]) -> list[tuple[str, dict[str, Any]]]:
    """Every compiled plan with its number: on each slice the fastest first, those that do not fit last."""
    entries = [entry for one in found.values() for entry in sorted(one.entries, key=_order)]
    return [(f"#{number}", entry) for number, entry in enumerate(entries, 1)]


def _order(entry: Mapping[str, Any]) -> tuple[bool, float]:
    return not entry["fits"], entry["time"]["seconds"] if entry["fits"] else _needed(entry)


def _cells(number: str, entry: Mapping[str, Any]) -> list[str | float | None]:
    start: list[str | float | None] = [number, entry["slice"], entry["name"], round(_needed(entry) / GIB, 2)]
    start.append(f"{_available(entry) / GIB:.4g}" if entry["fits"] else f"{_available(entry) / GIB:.4g}: does not fit")
    if "time" not in entry:
        return [*start, None, None, None, None]
    time = entry["time"]
    return [*start, quantity(time["seconds"], "s"), RESOURCES[time["bound"]], _tokens(entry), percent(entry["mfu"])]


def table_of(found: Mapping[str, Found]) -> Table:
    """All compiled plans, for the console."""
    table = Table(title="estimates; memory by the compiler")
    for name in COLUMNS:
        table.add_column(name, overflow="fold")
    for number, entry in rows_of(found):
        cells = ["-" if cell is None else str(cell) for cell in _cells(number, entry)]
        table.add_row(*cells, style=None if entry["fits"] else "red")
    return table


def numbers_of(found: Mapping[str, Found]) -> list[dict[str, Any]]:
    """Of the best plan of each slice, or of the one that comes nearest to fitting."""
    numbers = []
    for where, one in found.items():
        entry = one.best or min(one.entries, key=_needed, default=None)
        if entry is None:
            continue
        meaning = f"{entry['name']}; the chip has {_available(entry) / GIB:.4g}"
        numbers.append(_number(f"peak memory on {where}", _needed(entry) / GIB, "GiB a chip", meaning))
        if "time" in entry:
            seconds, useful = entry["time"]["seconds"], "useful operations over what the chips can do in that time"
            numbers.append(_number(f"estimated step on {where}", seconds, "s", "the roofline's, not measured"))
            numbers.append(_number(f"estimated MFU on {where}", entry["mfu"], "", useful))
    return numbers


def _number(name: str, value: float, unit: str, meaning: str) -> dict[str, Any]:
    return {"name": name, "value": value, "interval": None, "unit": unit, "meaning": meaning}


def sections_of(trainings: Mapping[str, Training], found: Mapping[str, Found]) -> list[dict[str, Any]]:
    """The plans, what they take, and what they send."""
    rows = rows_of(found)
    sections = [
        {
            "title": "Plans",
            "text": [_about(trainings), *_left(found), HOW],
            "tables": [
                {"title": "What was compiled", "columns": COLUMNS, "rows": [_cells(*row) for row in rows]},
                _memory_table(rows),
            ],
            "charts": [_memory_chart(rows[:DRAWN])] if rows else [],
        }
    ]
    timed = [row for row in rows if "time" in row[1]]
    if timed:
        sections.append(
            {
                "title": "Where the time goes",
                "text": [ESTIMATE],
                "tables": [_time_table(timed)],
                "charts": [_time_chart(timed[:DRAWN])],
            }
        )
        best = [next((row for row in timed if row[1]["slice"] == where), None) for where in found]
        sections.append(
            {
                "title": "What chips send each other",
                "text": ["Of the first plan of each slice, in one step, by each chip."],
                "tables": [_collectives_table(*row) for row in best if row is not None],
                "charts": [],
            }
        )
    return sections


def _about(trainings: Mapping[str, Training]) -> str:
    one = next(iter(trainings.values()))
    shape = one.shape
    batches = " and ".join(f"{training.batch} sequences on {name}" for name, training in trainings.items())
    heads = f"{shape.heads} heads, {shape.kv_heads} of keys and values"
    return (
        f"{shape.parameters:,} parameters: {shape.layers} layers of width {shape.width}, {heads}, a vocabulary of "
        f"{shape.vocabulary:,}. A step takes {batches} of {one.context:,} tokens each, in bfloat16 with float32 "
        f"weights, by {one.optimizer}."
    )


def _left(found: Mapping[str, Found]) -> list[str]:
    return [
        f"On {where} {len(one.entries)} plans were compiled. Not compiled: "
        + ", ".join(f"{count} {reason}" for reason, count in one.left.items())
        + "."
        for where, one in found.items()
        if one.left
    ]


def _memory_table(rows: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    cells = []
    for number, entry in rows:
        held = entry.get("memory", {})
        parts = [round(held[part] / GIB, 3) if held else None for part in PARTS]
        own = round(entry["chips_memory"] / GIB, 2)
        cells.append([number, *parts, round(_needed(entry) / GIB, 3), own])
    title = "Memory of each chip, GiB; of what the compiler refused, what alone was too much"
    return {"title": title, "columns": ["plan", *PARTS.values(), "in all", "the chip has"], "rows": cells}


def _memory_chart(rows: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    places = list(range(len(rows)))
    series: list[dict[str, Any]] = []
    for part, name in PARTS.items():
        taken = [(place, entry["memory"][part]) for place, (_, entry) in enumerate(rows) if "memory" in entry]
        if any(size > GIB / 100 for _, size in taken):
            series.append({"name": name, "x": [size / GIB for _, size in taken], "y": [place for place, _ in taken]})
    refused = [(place, entry["needed"]) for place, (_, entry) in enumerate(rows) if "needed" in entry]
    if refused:
        series.append(
            {"name": "refused", "x": [size / GIB for _, size in refused], "y": [place for place, _ in refused]}
        )
    own = [entry["chips_memory"] / GIB for _, entry in rows]
    series.append({"name": "the chip's memory", "x": own, "y": places, "kind": "points"})
    return {
        "name": "memory",
        "title": "Memory of each chip",
        "caption": "Left of the mark a plan fits.",
        "x": "GiB",
        "y": "plan",
        "rows": [f"{number} {entry['slice']}" for number, entry in rows],
        "series": series,
    }


def _time_table(rows: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    cells = [
        [
            number,
            quantity(entry["flops"], "FLOP"),
            percent(entry["model_flops"] / entry["flops"]),
            quantity(entry["bytes"], "B"),
            *(quantity(entry["time"][name], "s") for name in ("compute", "memory", "links", "core", "seconds")),
        ]
        for number, entry in rows
    ]
    columns = ["plan", "operations", "useful", "traffic", *RESOURCES.values(), "one after the other", "estimate"]
    return {"title": "Each chip in a step", "columns": columns, "rows": cells}


def _time_chart(rows: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    names = [f"{number} {name}" for number, _ in rows for name in RESOURCES.values()]
    series: list[dict[str, Any]] = [
        {
            "name": name,
            "x": [entry["time"][key] for _, entry in rows],
            "y": [len(RESOURCES) * place + offset for place in range(len(rows))],
        }
        for offset, (key, name) in enumerate(RESOURCES.items())
    ]
    estimate = [entry["time"]["seconds"] for _, entry in rows for _ in RESOURCES]
    series.append({"name": "estimate of the step", "x": estimate, "y": list(range(len(names))), "kind": "points"})
    return {
        "name": "time",
        "title": "What a step's time is bound by",
        "caption": "Each resource alone, at its peak; they work side by side.",
        "x": "seconds",
        "y": "plan",
        "rows": names,
        "series": series,
    }


def _collectives_table(number: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    cells = [
        [
            one["kind"],
            "groups of no axis" if one["axes"] is None else " and ".join(one["axes"]),
            one["devices"],
            one["count"],
            quantity(one["sent"], "B"),
            round(1e3 * one["seconds"], 3),
        ]
        for one in entry["collectives"]
    ]
    columns = ["kind", "along", "devices", "times", "sent", "ms on the links"]
    return {"title": f"Plan {number}, {entry['slice']}: {entry['name']}", "columns": columns, "rows": cells}
