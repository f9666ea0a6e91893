"""Every modifier by name."""

from jaxlab.core import hyper
from jaxlab.modifiers.asam import ASAM
from jaxlab.modifiers.cautious import CAUTIOUS
from jaxlab.modifiers.cautious_decay import CAUTIOUS_DECAY
from jaxlab.modifiers.centralise import CENTRALISE
from jaxlab.modifiers.clip_adaptive import CLIP_ADAPTIVE
from jaxlab.modifiers.clip_by_global_norm import CLIP_BY_GLOBAL_NORM
from jaxlab.modifiers.clip_by_value import CLIP_BY_VALUE
from jaxlab.modifiers.clip_update_rms import CLIP_UPDATE_RMS
from jaxlab.modifiers.decay_to_init import DECAY_TO_INIT
from jaxlab.modifiers.ema import EMA
from jaxlab.modifiers.gradual_unfreezing import GRADUAL_UNFREEZING
from jaxlab.modifiers.graft import GRAFT
from jaxlab.modifiers.groups import GROUPS
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.layer_wise_decay import LAYER_WISE_DECAY
from jaxlab.modifiers.lookahead import LOOKAHEAD
from jaxlab.modifiers.mup import MUP
from jaxlab.modifiers.noise_scale import TRACK_NOISE_SCALE
from jaxlab.modifiers.private import PRIVATE
from jaxlab.modifiers.prune import PRUNE
from jaxlab.modifiers.sam import SAM
from jaxlab.modifiers.schedule_free import SCHEDULE_FREE
from jaxlab.modifiers.skip_nonfinite import SKIP_NONFINITE
from jaxlab.modifiers.skip_spikes import SKIP_SPIKES
from jaxlab.modifiers.swa import SWA

_MODIFIERS = {
    info.name: info
    for info in (
        GROUPS,
        CLIP_BY_VALUE,
        CLIP_BY_GLOBAL_NORM,
        CLIP_ADAPTIVE,
        CLIP_UPDATE_RMS,
        CENTRALISE,
        CAUTIOUS,
        CAUTIOUS_DECAY,
        DECAY_TO_INIT,
        LAYER_WISE_DECAY,
        GRADUAL_UNFREEZING,
        MUP,
        GRAFT,
        SKIP_NONFINITE,
        SKIP_SPIKES,
        EMA,
        SWA,
        LOOKAHEAD,
        SCHEDULE_FREE,
        SAM,
        ASAM,
        PRIVATE,
        PRUNE,
        TRACK_NOISE_SCALE,
    )
}


def names() -> tuple[str, ...]:
    """Every registered modifier.

    >>> "cautious" in names()
    True
    """
    return tuple(_MODIFIERS)


def get(name: str) -> ModifierInfo:
    """What is known of the modifier of that name.

    Raises:
      ValueError: unknown; the message suggests the nearest.

    >>> get("cautious").reference
    'Liang et al. 2024, arXiv:2411.16085'
    """
    return _MODIFIERS[hyper.one_of("modifier", name, _MODIFIERS)]
