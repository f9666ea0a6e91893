"""The plots of a study, as matplotlib figures that touch no global state.

``figures`` draws what the results allow; ``to_svg`` and ``to_png`` turn a figure into a file's content.
"""

import io

import matplotlib as mpl
from matplotlib.figure import Figure

from jaxlab.report.best_of import best_of
from jaxlab.report.forest import final_metric, paired_differences
from jaxlab.report.learning_curves import learning_curves
from jaxlab.report.sensitivity import sensitivity
from jaxlab.report.slices import slices
from jaxlab.report.study import Study


def figures(study: Study) -> dict[str, Figure]:
    """All plots that the results allow, by name, in the order of the page."""
    drawn = {
        "final": final_metric(study),
        "differences": paired_differences(study),
        "curves": learning_curves(study),
        "sensitivity": sensitivity(study),
        "slices": slices(study),
        "best_of": best_of(study),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def to_svg(figure: Figure) -> str:
    """The figure as SVG text on no background; the same bytes for the same figure. Text is drawn as paths."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "jaxlab", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def to_png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as a PNG on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
