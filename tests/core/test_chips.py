"""The table of chips against what their makers' pages say of whole chips, machines and pods."""

import jax
import pytest

from jaxlab.core.chips import CHIPS, GIB, Chip, chip_of


def of(kind: str) -> Chip:
    chip = chip_of(kind)
    assert chip is not None, kind
    return chip


@pytest.mark.parametrize(
    ("kind", "devices", "peak", "gib", "bandwidth", "links"),
    [
        # Per chip: TFLOP/s, GiB, GB/s; links of all together, each way, in GB/s.
        ("TPU v2", 2, 46, 16, 700, 4 * 62),
        ("TPU v3", 2, 123, 32, 900, 4 * 82),
        ("TPU v4", 1, 275, 32, 1200, 2400 / 8),
        ("TPU v5 lite", 1, 197, 16, 819, 1600 / 8),
        ("TPU v5", 1, 459, 95, 2765, 1200 / 2),
        ("TPU v6 lite", 1, 918, 32, 1638, 800 / 2),
        ("TPU7x", 2, 2307, 192, 7380, 1200 / 2),
        # NVLink is published both ways together.
        ("NVIDIA A100-SXM4-80GB", 1, 624 / 2, 80, 2039, 600 / 2),
        ("NVIDIA H100 80GB HBM3", 1, 1979 / 2, 80, 3350, 900 / 2),
        ("NVIDIA H200", 1, 1979 / 2, 141, 4800, 900 / 2),
        ("NVIDIA B200", 1, 36_000 / 2 / 8, 180, 61_600 / 8, 1800 / 2),
        ("NVIDIA L4", 1, 242 / 2, 24, 300, 64 / 2),
        ("Tesla T4", 1, 65, 16, 300, 32 / 2),
    ],
)
def test_published_figures(kind, devices, peak, gib, bandwidth, links):
    chip = of(kind)
    assert devices * chip.peak_flops == pytest.approx(peak * 1e12, rel=1e-3)
    assert devices * chip.memory == gib * GIB
    assert devices * chip.bandwidth == pytest.approx(bandwidth * 1e9)
    assert devices * chip.links * chip.link_bandwidth == pytest.approx(links * 1e9)


@pytest.mark.parametrize(
    "kind", [jax.devices("cpu")[0].device_kind, "", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "TPU v99"]
)
def test_what_is_unknown_has_no_peak(kind):
    assert chip_of(kind) is None


def test_names_differ_and_matrix_products_need_reuse():
    assert len({chip.name for chip in CHIPS}) == len(CHIPS)
    # A device computes tens to hundreds of operations while it reads one byte, else a figure has lost a factor of 1000.
    assert all(50 < chip.peak_flops / chip.bandwidth < 600 for chip in CHIPS)
    assert all(chip.link_bandwidth * chip.links < chip.bandwidth for chip in CHIPS)
