"""Weights in files of safetensors: those of other libraries, and jaxlab's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxlab.core import safetensors, tree
from jaxlab.core.files import write_atomically
from jaxlab.precision.weight_file import OWN, load_weights
from jaxlab.precision.weight_only import dequantize


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file by name, whoever wrote it. Nothing in it is executed.

    What :func:`~jaxlab.precision.save_weights` wrote is decoded: its names are those of the parameters, zeros stand
    where they were, and what was quantized comes in the dtype that it had before.

    Args:
      path: of the file, whatever it is called.

    Returns:
      Arrays in the dtypes of the file: floating ones of 64 to 8 bits, integers, bools.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: a file of another kind, one that is cut off or changed; it is named.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> _ = write_safetensors(path, {"fc.weight": np.ones((2, 3), np.float16)})
    >>> read_safetensors(path)["fc.weight"].dtype
    dtype('float16')
    """
    contents = safetensors.read(path)
    if OWN not in contents.metadata:
        return contents.arrays
    params = dequantize(load_weights(path)[0])
    return tree.named(jax.tree.map(np.asarray, params))


def write_safetensors(path: str | Path, weights: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> int:
    """Writes arrays to a safetensors file that every other reader of the format takes.

    Args:
      path: of the file, in a folder that is there; what stood there is replaced, whole.
      weights: arrays by name, or any tree of them: their names are then joined by slashes.
      metadata: texts, kept beside them.

    Returns:
      The size of the file in bytes.

    Raises:
      TypeError: an array of a type that the format does not have, or metadata that are no texts.
      OSError: the file cannot be written.
    """
    texts = dict(metadata or {})
    if not all(isinstance(text, str) for text in (*texts, *texts.values())):
        raise TypeError(f"metadata = {metadata!r}: accepted are texts by name")
    arrays = tree.named(jax.tree.map(np.asarray, weights))
    content = safetensors.header_of(arrays, texts) + safetensors.data_of(arrays)
    write_atomically(path, content)
    return len(content)
