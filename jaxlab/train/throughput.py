"""Which share of what the devices can do a model's training makes use of."""

from collections.abc import Sequence
from typing import Any

from jaxlab.core.chips import chip_of


def utilization(flops_per_second: float, devices: Sequence[Any]) -> float | None:
    r"""MFU, model FLOPs utilization: useful operations a second, over the most that the devices can do.

    .. math:: \frac{\text{operations of a token} \cdot \text{tokens a second}}{\sum_d \text{peak of device } d}

    Useful is what the mathematics of the model asks for (:meth:`jaxlab.models.sizes.GPTShape.flops_per_token`); what is
    made again in the backward pass does not count. The peak is that of products of bfloat16
    (:mod:`jaxlab.core.chips`), whatever dtype the model computes in.

    Args:
      flops_per_second: of all devices together.
      devices: what has a ``device_kind``, such as ``jax.devices()``.

    Returns:
      The share, or None where the peak of a device is not known: of a CPU, of a card that is cut up.

    Reference: Chowdhery et al., PaLM, https://arxiv.org/abs/2204.02311, appendix B.

    >>> from types import SimpleNamespace
    >>> pair = [SimpleNamespace(device_kind="TPU v5 lite")] * 2
    >>> utilization(197e12, pair), utilization(1e9, [SimpleNamespace(device_kind="cpu")])
    (0.5, None)
    """
    chips = [chip_of(device.device_kind) for device in devices]
    peaks = [chip.peak_flops for chip in chips if chip is not None]
    return flops_per_second / sum(peaks) if peaks and len(peaks) == len(chips) else None
