"""Which arms have a line or a panel of their own in a plot: all of a small study, the best of a large one."""

from jaxlab.report.reading import ranked
from jaxlab.report.study import Arm, Study
from jaxlab.report.style import FAINT, Style, styles

MANY = 12
"""A study of more arms than this shows the best of them."""
BEST = 7
"""So many of them: as many as there are colours."""

_REST = Style(FAINT, "o", "-")


def is_large(study: Study) -> bool:
    """Whether there are more arms than a plot has room for."""
    return len(study["arms"]) > MANY


def shown_arms(study: Study) -> list[Arm]:
    """The arms that have a line or a panel: all, in the study's order, or the best of a large study, best first."""
    return ranked(study)[:BEST] if is_large(study) else study["arms"]


def looks(study: Study) -> dict[str, Style]:
    """How every arm is drawn, in all plots. In a large study those that are shown have colours, each its own."""
    of_shown = styles([arm["name"] for arm in shown_arms(study)])
    return {arm["name"]: of_shown.get(arm["name"], _REST) for arm in study["arms"]}
