"""The dtype that suits a device, on devices that are not here."""

import dataclasses
import logging

import jax
import pytest

from jaxlab.precision import LossScale, as_policy
from jaxlab.precision.auto import choose


@dataclasses.dataclass(frozen=True)
class Fake:
    """What of a device is looked at."""

    platform: str
    device_kind: str
    compute_capability: str | None = None


@pytest.mark.parametrize(
    ("device", "dtype", "said"),
    [
        (Fake("tpu", "TPU v2"), "bfloat16", "TPU v2 is a TPU"),
        (Fake("gpu", "NVIDIA H200", "9.0"), "bfloat16", "compute capability 9.0"),
        (Fake("gpu", "NVIDIA GB200", "10.0"), "bfloat16", "compute capability 10.0"),
        (Fake("gpu", "NVIDIA A100-SXM4-40GB", "8.0"), "bfloat16", "compute capability 8.0"),
        (Fake("gpu", "Tesla T4", "7.5"), "float16", "compute capability 7.5"),
        (Fake("gpu", "Tesla V100-SXM2-16GB", "7.0"), "float16", "compute capability 7.0"),
        (Fake("gpu", "Tesla P100-PCIE-16GB", "6.0"), "float32", "compute capability 6.0"),
        (Fake("gpu", "Tesla K80", "3.7"), "float32", "compute capability 3.7"),
        (Fake("gpu", "AMD Instinct MI250X", "gfx90a"), "bfloat16", "gfx90a"),
        (Fake("gpu", "AMD Instinct MI300X", "gfx942:sramecc+:xnack-"), "bfloat16", "gfx942"),
        (Fake("gpu", "AMD Radeon RX 7900 XTX", "gfx1100"), "bfloat16", "gfx1100"),
        (Fake("gpu", "AMD Radeon VII", "gfx906"), "float32", "AMD Radeon VII (gpu)"),
        (Fake("cpu", "cpu"), "float32", "a CPU"),
        (Fake("abacus", "wooden"), "float32", "wooden (abacus)"),
    ],
)
def test_the_device_decides_and_the_reason_says_why(device, dtype, said, monkeypatch, caplog):
    found, reason = choose(device)
    assert found == dtype
    assert said in reason

    monkeypatch.setattr(jax, "devices", lambda: [device])
    with caplog.at_level(logging.INFO, logger="jaxlab"):
        policy = as_policy("auto")
    assert policy == as_policy(dtype)  # The reason makes it no other policy.
    assert policy.reason == reason
    assert policy.loss_scale == (LossScale() if dtype == "float16" else None)
    assert [record.getMessage() for record in caplog.records] == [f"policy auto: {policy}"]
    assert reason in str(policy)
