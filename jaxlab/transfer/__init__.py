"""Transfer learning: weights from files into models, adapters beside them, features that are computed once."""

from jaxlab.transfer.efficientnet_lite import EFFICIENTNET_LITE_RULES, efficientnet_lite0_weights
from jaxlab.transfer.features import features
from jaxlab.transfer.lora import LoraInit, LoraLoss, adapted, lora
from jaxlab.transfer.match import Rule, match
from jaxlab.transfer.report import Matched, Row
from jaxlab.transfer.safetensors_file import read_safetensors, write_safetensors
from jaxlab.transfer.torch_file import read_torch
from jaxlab.transfer.weights import read_weights

__all__ = [
    "EFFICIENTNET_LITE_RULES",
    "LoraInit",
    "LoraLoss",
    "Matched",
    "Row",
    "Rule",
    "adapted",
    "efficientnet_lite0_weights",
    "features",
    "lora",
    "match",
    "read_safetensors",
    "read_torch",
    "read_weights",
    "write_safetensors",
]
