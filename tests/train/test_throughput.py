"""MFU: a share of what all devices can do, where that is known of each."""

from types import SimpleNamespace

import pytest

from jaxlab.train.throughput import utilization

KINDS = {kind: SimpleNamespace(device_kind=kind) for kind in ("NVIDIA H100 80GB HBM3", "TPU v4", "cpu")}
H100, TPU, CPU = KINDS.values()


@pytest.mark.parametrize(
    ("rate", "devices", "share"),
    [
        (0.55 * 8 * 989.5e12, [H100] * 8, 0.55),
        (275e12 + 989.5e12, [TPU, H100], 1.0),
        (1e12, [TPU, CPU], None),
        (1e12, [CPU], None),
    ],
)
def test_the_share_of_the_peaks_of_all_devices(rate, devices, share):
    assert utilization(rate, devices) == (share if share is None else pytest.approx(share))
