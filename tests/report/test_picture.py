"""Pictures of a section: kept as they are, checked, on the page and as a file."""

import base64
import io
import re

import numpy as np
import pytest
from matplotlib import image

from jaxlab.report import check, render, write
from jaxlab.report.picture import decoded, encoded


def _grid(rows=2, columns=3, side=4):
    return np.arange(rows * columns * side**2, dtype=np.uint8).reshape(rows * side, columns * side, 1)


def _results(**changes):
    picture = {
        "name": "operations",
        "title": "What they do",
        "caption": "One draw each.",
        "rows": ["as it is", "a < b"],
        "png": encoded(_grid()),
        **changes,
    }
    return {
        "schema": "jaxlab.results/1",
        "experiment": "augmentation",
        "question": "Which help?",
        "command": "python -m experiments.augmentation",
        "environment": {},
        "config": {"seed": 0},
        "task": None,
        "arms": [],
        "comparisons": [],
        "verdict": "Some.",
        "seconds": {"total": 3.0, "compile": 1.0},
        "sections": [{"title": "In pictures", "text": [], "tables": [], "charts": [], "pictures": [picture]}],
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_comes_back_as_it_was(channels):
    grid = np.random.RandomState(0).randint(0, 256, (8, 12, channels)).astype(np.uint8)
    np.testing.assert_allclose(255 * decoded(encoded(grid)), np.broadcast_to(grid, (8, 12, 3)), atol=1e-4)


def test_the_page_holds_the_picture_and_a_file_has_it(tmp_path):
    page = write(_results(), tmp_path).read_text(encoding="utf-8")
    (shown,) = re.findall(r'<img src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(shown) == (tmp_path / "plots/operations.png").read_bytes()
    assert "rows of images of as it is, a &lt; b" in page
    pixels = image.imread(io.BytesIO(base64.b64decode(shown)), format="png")
    assert pixels.shape[1] == 968  # 4.4 inches at 220 to the inch
    # The last image is at the right, below: its last pixel is the grid's.
    np.testing.assert_allclose(255 * pixels[-14, -14, 0], _grid()[-1, -1, 0], atol=1)


def test_the_same_picture_is_the_same_page():
    assert render(_results()) == render(_results())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../operations"}, r"pictures\[0\].name is '../operations'"),
        ({"rows": []}, r"pictures\[0\].rows is empty: accepted is a name for each row of images"),
        ({"png": "no picture"}, r"pictures\[0\].png is no PNG in base64"),
        ({"png": base64.b64encode(b"GIF89a").decode()}, r"pictures\[0\].png is no PNG in base64"),
        ({"png": 3}, r"png is 3: accepted is a text"),
    ],
)
def test_what_is_no_picture_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        check(_results(**changes))


def test_a_chart_and_a_picture_do_not_share_a_file():
    results = _results()
    series = [{"name": "a", "x": [1], "y": [2]}]
    chart = {"name": "operations", "title": "", "caption": "", "x": "", "y": "", "series": series}
    results["sections"][0]["charts"] = [chart]
    with pytest.raises(ValueError, match="two charts or pictures named 'operations'"):
        check(results)
