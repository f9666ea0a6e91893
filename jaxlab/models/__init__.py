"""Models: Flax NNX modules, used as pure functions of their parameters."""

from jaxlab.models.attention import CausalAttention, rotate
from jaxlab.models.batch_norm import STATISTICS, BatchNorm, Statistic
from jaxlab.models.cnn import CNN
from jaxlab.models.conv import Conv, DepthwiseConv, conv2d, depthwise_conv2d
from jaxlab.models.dropout import dropout
from jaxlab.models.efficientnet_lite import EfficientNetLite
from jaxlab.models.fourier import fourier_features
from jaxlab.models.generate import generate
from jaxlab.models.gpt import GPT
from jaxlab.models.imagenet import imagenet_classes, imagenet_top, imagenet_view, standardised
from jaxlab.models.language import LanguageLoss
from jaxlab.models.mlp import MLP
from jaxlab.models.norm import RMSNorm
from jaxlab.models.pure import PureModel, pure
from jaxlab.models.sizes import GPTShape, shape_of
from jaxlab.models.stochastic_depth import stochastic_depth

__all__ = [
    "CNN",
    "GPT",
    "MLP",
    "STATISTICS",
    "BatchNorm",
    "CausalAttention",
    "Conv",
    "DepthwiseConv",
    "EfficientNetLite",
    "GPTShape",
    "LanguageLoss",
    "PureModel",
    "RMSNorm",
    "Statistic",
    "conv2d",
    "depthwise_conv2d",
    "dropout",
    "fourier_features",
    "generate",
    "imagenet_classes",
    "imagenet_top",
    "imagenet_view",
    "pure",
    "rotate",
    "shape_of",
    "standardised",
    "stochastic_depth",
]
