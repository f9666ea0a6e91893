"""What the page about layouts shows."""

import os
import statistics
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from benchmarks.side_by_side import median_interval
from experiments.parallel_advice import when
from experiments.parallel_models import Subject
from experiments.parallel_runs import OF_THE_MODEL, TOLERANCE, Found
from jaxlab.sharding import Layout
from jaxlab.sharding.collectives import Collective

MB = 1e6
MEMORIES = {"16 GB": 16e9, "80 GB": 80e9}
"""Of a device: a TPU v5e's, and that of a large GPU."""
KEY = (
    "On each device, in a step: bytes for each parameter of the model; MB with activations; MB that it sends, and "
    "has to send at least; milliseconds, and times the first layout's."
)


def count_of(layouts: Mapping[str, Layout]) -> str:
    """How many devices, of which kind."""
    devices = max((layout.mesh.devices for layout in layouts.values()), key=lambda devices: devices.size)
    number, one = devices.size, devices.flat[0]
    kind = "CPU device" if one.platform == "cpu" else str(one.device_kind)
    return f"{number} {'virtual ' * is_virtual(devices)}{kind}{'s' * (number > 1)}"


def is_virtual(devices: Any) -> bool:
    """Whether one processor stands for several devices."""
    return devices.size > 1 and devices.flat[0].platform == "cpu"


def on_cpu(found: Mapping[str, Found]) -> bool:
    """Whether XLA for CPUs has compiled the steps."""
    return next(iter(found.values())).layout.mesh.devices.flat[0].platform == "cpu"


def devices_in_words(layouts: Mapping[str, Layout]) -> str:
    """The devices, and what they really are."""
    devices = max((layout.mesh.devices for layout in layouts.values()), key=lambda devices: devices.size)
    if not is_virtual(devices):
        return count_of(layouts)
    return (
        f"{count_of(layouts)} are this processor's {os.cpu_count()} cores: equality and what each keeps are as on real "
        "devices, temporaries and collectives are those of XLA for CPUs, and time says little"
    )


def line(one: Found) -> str:
    """What a layout costs, and how long it compiled, said as soon as it is known."""
    figures = one.figures
    return f"{one.text}: {figures.peak / MB:.2f} MB, {figures.bytes_sent / MB:.2f} MB sent, {figures.seconds:.0f} s"


def terminal(found: Mapping[str, Found], seconds: Mapping[str, list[float]]) -> Table:
    """The figures of all layouts beside each other."""
    table = Table(box=None, pad_edge=False, caption=KEY, caption_justify="left")
    head = ("layout", "equal", "B/param", "MB", "sends", "least", "ms", "times")
    for column in head if seconds else head[:-2]:
        table.add_column(column, justify="left" if column == "layout" else "right", no_wrap=True)
    for text, one in found.items():
        figures, brief = one.figures, [entry.split(" (")[0] for entry in timed(seconds, text)]
        sizes = [f"{size / MB:.2f}" for size in (figures.peak, figures.bytes_sent, figures.least)]
        table.add_row(text, "yes" if one.equal else "[red]NO[/]", f"{figures.kept_each:.1f}", *sizes, *brief)
    return table


def timed(seconds: Mapping[str, list[float]], text: str) -> list[str]:
    """Median milliseconds of a step, and the paired ratio to the first layout with its interval."""
    if not seconds:
        return []
    middle, (low, high) = ratio(seconds, text)
    first = text == next(iter(seconds))
    return [
        f"{1e3 * statistics.median(seconds[text]):.3g}",
        "1" if first else f"{middle:.2f} ({low:.2f} to {high:.2f})",
    ]


def ratio(seconds: Mapping[str, list[float]], text: str) -> tuple[float, tuple[float, float]]:
    """A layout's time over the first one's: median of the rounds, and its interval."""
    ratios = [own / base for own, base in zip(seconds[text], next(iter(seconds.values())), strict=True)]
    return statistics.median(ratios), median_interval(ratios)


def numbers_of(found: Mapping[str, Found], seconds: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """Each layout's difference, bytes kept and sent, and time."""
    numbers = []
    for text, one in found.items():
        each = {
            "difference": (one.difference, "", "largest of any parameter to one device's, in float64"),
            "keeps": (one.figures.kept_each, "bytes a parameter", "in a step, besides activations"),
            "needs": (one.figures.peak, "bytes", "on each device, while the step runs"),
            "sends": (one.figures.bytes_sent, "bytes", "from each device, in a step"),
            "must send": (one.figures.least, "bytes", "from each device, in a step, whatever the compiler does"),
        }
        for name, (value, unit, meaning) in each.items():
            exact = {"value": value, "interval": None, "unit": unit, "meaning": meaning}
            numbers.append({"name": f"{text}: {name}", **exact})
        if seconds and text != next(iter(seconds)):
            middle, interval = ratio(seconds, text)
            meaning = "a step's time, median of the paired ratios"
            ends = {"interval": list(interval), "unit": f"times {next(iter(seconds))}", "meaning": meaning}
            numbers.append({"name": f"{text}: time", "value": middle, **ends})
    return numbers


def sections_of(
    found: Mapping[str, Found], seconds: Mapping[str, list[float]], subject: Subject, config: Any
) -> list[dict[str, Any]]:
    """The advice, then what it leans on."""
    return [
        which(found, subject, config),
        equality(found, config),
        memory(found),
        sending(found),
        *timing(found, seconds),
    ]


def which(found: Mapping[str, Found], subject: Subject, config: Any) -> dict[str, Any]:
    """When to take a layout, and how large a model it lets one train."""
    rows = []
    for text, one in found.items():
        between = (one.figures.memory["parameters"] + one.figures.memory["optimizer state"]) / one.figures.size
        largest = [f"{size / one.figures.kept_each / 1e9:.2g} billion" for size in MEMORIES.values()]
        rows.append([text, when(one.layout), f"{between:.1f}", f"{one.figures.kept_each:.1f}", *largest])
    words = (
        f"Bytes that each device needs for a parameter of the model: between steps, for parameters and the state of "
        f"{config.optimizer}, and in a step, for gradients, too; and how many parameters so fill a device. On top come "
        "activations of its share of the batch, and at stage 3 the layers that are gathered just then."
    )
    named = (
        "data=4,tensor=2 zero=1 is read: a mesh of 4 times 2 devices, where axis data cuts the batch and axis tensor "
        "cuts matrices, and the first stage of ZeRO. An axis fsdp cuts the batch and is ZeRO's third stage."
    )
    size = next(iter(found.values())).figures.size
    about = f"Measured on {config.model} ({subject.about}): {size:,} parameters, {config.precision}."
    columns = ["layout", "take it when", "between steps", "in a step", *(f"fills {name}" for name in MEMORIES)]
    return section("Which layout when", [words, named, about], [table("Bytes a parameter", columns, rows)])


def equality(found: Mapping[str, Found], config: Any) -> dict[str, Any]:
    """How far the layouts' parameters are from one device's."""
    rows = [
        [text, f"{one.difference:.1e}" if one.difference else "0", "equal" if one.equal else "not equal"]
        for text, one in found.items()
    ]
    words = (
        f"The largest difference of any parameter to the run on one device, after {config.steps} steps with a learning "
        f"rate of 0.001. Equal means: at most {TOLERANCE:.0e}, and of their size as much in loss and gradient norm of "
        "every step."
    )
    why = (
        "The comparison is in float64. Devices add in another order than one does, and in float32 the rounding of a "
        "gradient that should be zero is all that is left of it: Adam divides it by its own size, and the parameter "
        "moves by a whole learning rate, one way or the other. In float64 such noise stays below the tolerance, and a "
        "wrong sum does not."
    )
    title = "Every layout trains the same model" if all(one.equal for one in found.values()) else "Not all are equal"
    columns = ["layout", "largest difference", "verdict"]
    return section(title, [words, why], [table("Against one device", columns, rows)])


def memory(found: Mapping[str, Found]) -> dict[str, Any]:
    """What lies on each device, by kind."""
    rows = []
    for text, one in found.items():
        rows.append([text, *(round(size / MB, 3) for size in one.figures.memory.values())])
        rows[-1].append(round(one.figures.peak / MB, 3))
    words = (
        "Parameters, optimizer state and the batch are what the step is given. Temporaries are what the compiled step "
        "needs besides: activations kept for the backward pass, weights that stage 3 gathers, gradients. The last are "
        "counted as if all were there at a time, each where the layout has it when it is added up; as they are part of "
        "the temporaries, all is the sum without them."
    )
    cpu = (
        "XLA for CPUs gathers all weights for the backward pass at a time, and sums a whole gradient before it keeps a "
        "share; a TPU's compiler goes layer by layer. So stages 2 and 3 need less there than here."
    )
    several = {text: one for text, one in found.items() if one.layout.mesh.size > 1} or found
    parts: dict[str, list[float]] = {kind: [] for kind in (*OF_THE_MODEL, "other temporaries")}
    for one in several.values():
        held = one.figures.memory
        for kind in OF_THE_MODEL:
            parts[kind].append((min(held[kind], held["temporaries"]) if kind == "gradients" else held[kind]) / MB)
        parts["other temporaries"].append(max(0.0, held["temporaries"] - held["gradients"]) / MB)
    alone = [f"{text}, with all of the batch, needs {one.figures.peak / MB:.3g} MB." for text, one in found.items()]
    caption = " ".join(["Without the batch.", *(alone[:1] if len(several) < len(found) else [])])
    chart = bars("memory", "Memory of each device", caption, several, parts)
    columns = ["layout", *next(iter(found.values())).figures.memory, "all"]
    return section(
        "Memory", [words, cpu] if on_cpu(found) else [words], [table("MB on each device", columns, rows)], [chart]
    )


def sending(found: Mapping[str, Found]) -> dict[str, Any]:
    """What devices send each other, by kind and mesh axis."""
    several = {text: one for text, one in found.items() if one.layout.mesh.size > 1}
    if not several:
        return section("What devices send", ["One device sends nothing."])
    rows: list[list[str | float | None]] = []
    for text, one in several.items():
        figures = one.figures
        each = [f"{part.count} {part.kind} along {axes_of(part)}: {part.sent / MB:.3f}" for part in figures.sent]
        times = f"{figures.bytes_sent / figures.least:.2f}" if figures.least else "-"
        sizes = [round(figures.bytes_sent / MB, 3), round(figures.least / MB, 3), times]
        rows.append([text, *sizes, "; ".join(each)])
    kinds = sorted({each.kind for one in several.values() for each in one.figures.sent if each.sent > 0})
    words = (
        "Read from the compiled step: what each device sends in one step. The least is what the layout has to send, "
        "whatever the compiler does. With data and ZeRO it grows with the parameters: a gradient is summed, or "
        "scattered and the parameter gathered, twice at stage 3. With tensor and sequence it grows with a batch. "
        "What optimizers of whole matrices, such as Muon, send to have them is not part of it."
    )
    cpu = (
        "XLA for CPUs sums a gradient whole and keeps a share, which is twice a scatter: GPUs and TPUs scatter. So "
        "stages 1 to 3, and the backward pass of sequence, send more here than they would there."
    )
    parts: dict[str, list[float]] = {
        kind: [sum(each.sent for each in one.figures.sent if each.kind == kind) / MB for one in several.values()]
        for kind in kinds
    }
    chart = bars("sent", "Sent by each device in a step", "By kind, along all axes.", several, parts)
    least = [one.figures.least / MB for one in several.values()]
    mark = {"name": "least possible", "x": least, "y": list(range(len(least))), "kind": "points"}
    chart["series"].append(mark)
    columns = ["layout", "MB", "at least", "times the least", "what: how often, kind, along which axes, MB"]
    texts = [words, cpu] if on_cpu(found) else [words]
    return section("What devices send", texts, [table("Collectives of a step", columns, rows)], [chart])


def axes_of(part: Collective) -> str:
    """The mesh axes of a collective, in words."""
    return " and ".join(part.axes) if part.axes else "parts of axes"


def timing(found: Mapping[str, Found], seconds: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """How long a step takes."""
    if not seconds:
        return []
    rows: list[list[str | float | None]] = []
    for text, spent in seconds.items():
        low, _, high = statistics.quantiles(spent, n=4)
        middle, ratios = timed(seconds, text)
        rows.append([text, middle, f"{1e3 * low:.3g} to {1e3 * high:.3g}", ratios])
    layouts = {text: one.layout for text, one in found.items()}
    words = (
        f"All layouts in turn, {len(next(iter(seconds.values())))} rounds; the ratio is the median over rounds of the "
        "time in the same round over the first layout's, with an interval of at least 95% from order statistics."
    )
    columns = ["layout", "median ms", "quartiles", f"times {next(iter(seconds))}"]
    texts = [f"{devices_in_words(layouts)}.", words]
    return [section("Time of a step", texts, [table("A step", columns, rows)])]


def section(
    title: str, text: list[str], tables: list[dict[str, Any]] | None = None, charts: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A part of the page."""
    return {"title": title, "text": text, "tables": tables or [], "charts": charts or []}


def table(title: str, columns: list[str], rows: list[Any]) -> dict[str, Any]:
    """A table of a section."""
    return {"title": title, "columns": columns, "rows": rows}


def bars(
    name: str, title: str, caption: str, found: Mapping[str, Found], parts: Mapping[str, list[float]]
) -> dict[str, Any]:
    """A bar for each layout."""
    places = list(range(len(found)))
    series: list[dict[str, Any]] = [{"name": kind, "x": sizes, "y": places} for kind, sizes in parts.items()]
    about = {"name": name, "title": title, "caption": caption, "x": "MB on each device", "y": "layout"}
    return {**about, "rows": list(found), "series": series}
