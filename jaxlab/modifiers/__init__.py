"""Modifiers, one a file: each goes around any optax optimizer, ``x(inner, ...)``, and they nest.

``names()`` lists all, ``get(name)`` tells what is known of one.
"""

from jaxlab.modifiers.asam import asam
from jaxlab.modifiers.cautious import cautious
from jaxlab.modifiers.cautious_decay import cautious_decay
from jaxlab.modifiers.centralise import centralise
from jaxlab.modifiers.clip_adaptive import clip_adaptive
from jaxlab.modifiers.clip_by_global_norm import clip_by_global_norm
from jaxlab.modifiers.clip_by_value import clip_by_value
from jaxlab.modifiers.clip_update_rms import clip_update_rms
from jaxlab.modifiers.decay_to_init import decay_to_init
from jaxlab.modifiers.ema import ema
from jaxlab.modifiers.evaluation import averages, evaluation_params
from jaxlab.modifiers.gradual_unfreezing import gradual_unfreezing
from jaxlab.modifiers.graft import graft
from jaxlab.modifiers.groups import groups
from jaxlab.modifiers.layer_wise_decay import layer_wise_decay
from jaxlab.modifiers.lookahead import lookahead
from jaxlab.modifiers.mup import mup, mup_init, roles_of, scale_by_width
from jaxlab.modifiers.noise_scale import track_noise_scale, tracked_noise_scale
from jaxlab.modifiers.private import epsilon, private
from jaxlab.modifiers.prune import prune, pruned
from jaxlab.modifiers.registry import ModifierInfo, get, names
from jaxlab.modifiers.sam import sam
from jaxlab.modifiers.schedule_free import schedule_free, schedule_free_adamw, schedule_free_sgd
from jaxlab.modifiers.skip_nonfinite import skip_nonfinite
from jaxlab.modifiers.skip_spikes import skip_spikes
from jaxlab.modifiers.swa import swa

__all__ = [
    "ModifierInfo",
    "asam",
    "averages",
    "cautious",
    "cautious_decay",
    "centralise",
    "clip_adaptive",
    "clip_by_global_norm",
    "clip_by_value",
    "clip_update_rms",
    "decay_to_init",
    "ema",
    "epsilon",
    "evaluation_params",
    "get",
    "gradual_unfreezing",
    "graft",
    "groups",
    "layer_wise_decay",
    "lookahead",
    "mup",
    "mup_init",
    "names",
    "private",
    "prune",
    "pruned",
    "roles_of",
    "sam",
    "scale_by_width",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "skip_nonfinite",
    "skip_spikes",
    "swa",
    "track_noise_scale",
    "tracked_noise_scale",
]
