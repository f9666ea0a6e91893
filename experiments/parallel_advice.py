"""Which layout when: words that hold for any model, chosen by what was measured."""

from collections.abc import Mapping

from experiments.parallel_runs import Found
from jaxlab.sharding import Layout


def is_cut(layout: Layout) -> bool:
    """Whether activations are cut: by tensor or sequence."""
    return layout.axes.get("tensor", 1) * layout.axes.get("sequence", 1) > 1


def when(layout: Layout) -> str:
    """When one takes a layout."""
    axes = {name for name, size in layout.axes.items() if size > 1}
    if not axes:
        return "everything fits one device, and one is fast enough"
    if "sequence" in axes:
        return "sequences so long that one's activations fill a device"
    if axes == {"tensor"}:
        return "single layers do not fit one device, or there are fewer examples than devices; along the fastest links"
    if "tensor" in axes and layout.zero == 3:
        return "very large models on many devices: tensor along the fastest links, fsdp next, data between hosts"
    if "tensor" in axes:
        return "single layers do not fit one device, and the batch is large; tensor along the fastest links"
    if layout.zero == 3 and "data" in axes and "fsdp" in axes:
        return "as stage 3, where links between hosts are slow: data between them, fsdp inside"
    return {
        0: "everything fits each device: the simplest",
        1: "parameters and gradients fit each device, optimizer state need not: the first choice",
        2: "as stage 1, where gradients that are summed over micro-batches do not fit, too",
        3: "parameters and gradients do not fit each device, single layers do",
    }[layout.zero]


def answer(found: Mapping[str, Found], steps: int) -> str:
    """The verdict: what to take while a copy of the model fits a device, what when not, and how equal all are."""
    several = [one for one in found.values() if one.layout.mesh.size > 1]
    wrong = [one.text for one in found.values() if not one.equal]
    if wrong:
        return (
            f"Do not use {' and '.join(wrong)}: the model that comes out is not the one that one device trains. "
            f"After {steps} steps in float64 parameters differ by {max(found[text].difference for text in wrong):.1e}."
        )
    if not several:
        return "There is one device, and nothing to choose."
    largest = max(one.difference for one in found.values())
    equal = (
        f"{'All' if len(found) > 1 else 'The'} {len(found)} layout{'s' * (len(found) > 1)} train the same model: after "
        f"{steps} steps in float64 parameters differ from one device's by at most {largest:.0e}."
    )
    return " ".join([*choice(several), *elsewhere(several), equal])


def choice(several: list[Found]) -> list[str]:
    """What to take among layouts that cut no activations, as they send no more the larger a batch is."""
    plain = [one for one in several if not is_cut(one.layout)]
    whole = [one for one in plain if one.layout.zero < 3]
    shared = [one for one in plain if one.layout.zero == 3]
    first = min(whole, key=lambda one: one.figures.peak, default=None)
    second = min(shared, key=lambda one: one.figures.kept, default=None)
    if first is None or second is None:
        least = min(several, key=lambda one: one.figures.kept)
        talk = min(several, key=lambda one: one.figures.least)
        same = f"{least.text} keeps least on a device, and has to send least."
        return [same if least is talk else f"{least.text} keeps least on a device, {talk.text} has to send least."]
    base = next(one for one in plain if one.layout.zero == min(other.layout.zero for other in plain))
    each = {one.text: f"{one.figures.kept_each:.1f} with {one.text}" for one in (base, first, second)}
    return [
        f"Take {first.text} while parameters and gradients fit one device, {second.text} when they do not.",
        f"Besides activations a step needs, in bytes a parameter on each device: {', '.join(each.values())}.",
    ]


def elsewhere(several: list[Found]) -> list[str]:
    """What cutting activations alone is for, and what it costs beside cutting the batch alone."""
    base = next((one for one in several if not is_cut(one.layout)), None)
    if base is None or not base.figures.least:
        return []
    words = []
    for one in several:
        names = {name for name, size in one.layout.axes.items() if size > 1}
        if names in ({"tensor"}, {"sequence"}):
            what = "layers" if names == {"tensor"} else "sequences"
            times = one.figures.least / base.figures.least
            words.append(f"{one.text}, for {what} that do not fit one device, has to send {times:.1f} times as much")
    return [f"With this batch {' and '.join(words)} as {base.text}."] if words else []
