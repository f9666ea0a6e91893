"""Models: Flax NNX modules, used as pure functions of their parameters."""

from jaxlab.models.cnn import CNN
from jaxlab.models.conv import Conv, conv2d
from jaxlab.models.dropout import dropout
from jaxlab.models.mlp import MLP
from jaxlab.models.pure import PureModel, pure

__all__ = ["CNN", "MLP", "Conv", "PureModel", "conv2d", "dropout", "pure"]
