"""Networks for photographs that ``experiments.transfer --images`` takes features from, and their weights."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree, UInt8

from jaxlab import transfer
from jaxlab.core import hyper, tree
from jaxlab.models import EfficientNetLite, imagenet_classes, pure, standardised
from jaxlab.models.efficientnet_lite import FEATURES
from jaxlab.models.pure import PureModel
from jaxlab.transfer.efficientnet_lite import installed

CLASSIFIER = "classifier"
_ONES = ("scale", "variance")


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A network for images, and where its weights are.

    Its parameters have a last layer ``classifier``, which is no part of the base.

    Attributes:
      name: on the command line.
      build: makes the module that gives features of standardised images: the network without the classifier.
      width: how many features.
      installed: the file of weights that a package brings. Raises ImportError where it is not installed.
      rules: from the names in a file to ours, see :func:`jaxlab.transfer.match`.
      depths: of names such as ``base/block_3/...``, see :class:`~experiments.transfer_subject.Subject`.
      adapted: the kernels that LoRA adapts.
    """

    name: str
    build: Callable[[nnx.Rngs], nnx.Module]
    width: int
    installed: Callable[[], Path]
    rules: tuple[transfer.Rule, ...]
    depths: tree.Rules[int | None]
    adapted: str

    @functools.cached_property
    def model(self) -> PureModel:
        """The base as pure functions."""
        return pure(self.build)

    @functools.cached_property
    def form(self) -> Any:
        """The base's parameters, without values."""
        return jax.eval_shape(self.model.init, jax.random.key(0))

    def features(self, params: PyTree, images: UInt8[Array, "n height width 3"]) -> Float[Array, "n k"]:
        """Of images as bytes, with statistics frozen."""
        return self.model.apply(params, standardised(images))

    def fresh(self, key: Key[Array, ""]) -> PyTree:
        r"""Random weights of the base.

        Kernels are normal with variance :math:`2 / n`, n being the inputs of an output; scales and variances are 1, all
        else 0. Drawn together, for 50 initialisers of 50 shapes take half a minute to compile.

        Reference: He et al. 2015, arXiv:1502.01852, equation 10.
        """
        leaves, structure = jax.tree.flatten(self.form)
        drawn = jax.random.normal(key, (sum(leaf.size for leaf in leaves),), hyper.arithmetic_dtype())
        drawn = jax.lax.optimization_barrier(drawn)  # Or XLA draws them all anew for each kernel.
        made, start = [], 0
        for name, leaf in zip(tree.names(self.form), leaves, strict=True):
            if leaf.ndim > 1:
                deviation = (2 / np.prod(leaf.shape[:-1])) ** 0.5
                made.append(deviation * drawn[start : start + leaf.size].reshape(leaf.shape))
                start += leaf.size
            else:
                made.append(jnp.full_like(leaf, name.endswith(_ONES)))
        return structure.unflatten(made)

    def read(self, weights: str) -> "Base":
        """The weights of the installed package, or of a file or folder that somebody names.

        Raises:
          ImportError: the package is not installed; says how.
          OSError: no such file.
          ValueError: another model's weights, or a file that holds other things than weights: names it.
        """
        ours = weights == self.name
        path = self.installed() if ours else Path(weights)
        if not path.exists():
            raise FileNotFoundError(
                f"weights = {weights!r}: no such file; accepted are {self.name!r}, a safetensors file, a file of "
                "PyTorch's, and a folder of jaxlab's checkpoints"
            )
        form = self.form
        if ours:
            last = {"kernel": (self.width, len(imagenet_classes())), "bias": (len(imagenet_classes()),)}
            dtype = hyper.arithmetic_dtype()
            form = {**form, CLASSIFIER: {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in last.items()}}
        rules = self.rules if ours else ((r"(_fc\.|classifier/).*", None), (r"base/(.*)", r"\1"), *self.rules)
        given = transfer.read_weights(path)
        try:
            matched = transfer.match(form, given, rules)
        except ValueError as error:
            raise ValueError(f"{path} does not hold the weights of {self.name}: {error}") from None
        params = dict(matched.params)
        classifier = params.pop(CLASSIFIER, None)
        return Base(params, classifier, "ImageNet's weights" if ours else path.name, str(matched))


@dataclasses.dataclass(frozen=True, eq=False)
class Base:
    """Weights that were read.

    Attributes:
      params: of the base.
      classifier: of ImageNet's classes; None where the weights are somebody's own.
      source: where they are from, in a few words.
      report: what the file had for the network, line by line.
    """

    params: Any
    classifier: Any
    source: str
    report: str

    @property
    def said(self) -> str:
        """The report's first line."""
        return self.report.partition("\n")[0]


EFFICIENTNET = Network(
    name="efficientnet-lite0",
    build=lambda rngs: EfficientNetLite("lite0", classes=None, rngs=rngs),
    width=FEATURES,
    installed=installed,
    rules=transfer.EFFICIENTNET_LITE_RULES,
    depths=((r"^base/stem/", 0), (r"^base/block_(\d+)/", 1), (r"^base/head/", 17), (r"^head/", None)),
    adapted=r"^base/block_\d+/(expand|project)/conv/kernel$",
)
