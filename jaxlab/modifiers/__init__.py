"""Modifiers, one a file: each goes around any optax optimizer, ``x(inner, ...)``, and they nest.

``names()`` lists all, ``get(name)`` tells what is known of one.
"""

from jaxlab.modifiers.cautious import cautious
from jaxlab.modifiers.cautious_decay import cautious_decay
from jaxlab.modifiers.centralise import centralise
from jaxlab.modifiers.clip_adaptive import clip_adaptive
from jaxlab.modifiers.clip_by_global_norm import clip_by_global_norm
from jaxlab.modifiers.clip_by_value import clip_by_value
from jaxlab.modifiers.clip_update_rms import clip_update_rms
from jaxlab.modifiers.decay_to_init import decay_to_init
from jaxlab.modifiers.graft import graft
from jaxlab.modifiers.groups import groups
from jaxlab.modifiers.layer_wise_decay import layer_wise_decay
from jaxlab.modifiers.registry import ModifierInfo, get, names
from jaxlab.modifiers.skip_nonfinite import skip_nonfinite
from jaxlab.modifiers.skip_spikes import skip_spikes

__all__ = [
    "ModifierInfo",
    "cautious",
    "cautious_decay",
    "centralise",
    "clip_adaptive",
    "clip_by_global_norm",
    "clip_by_value",
    "clip_update_rms",
    "decay_to_init",
    "get",
    "graft",
    "groups",
    "layer_wise_decay",
    "names",
    "skip_nonfinite",
    "skip_spikes",
]
