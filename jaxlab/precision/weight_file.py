"""Weights in one file, as small as they are: zeros and 8 bits take the room that they need.

The file is in the format of safetensors, see :mod:`jaxlab.core.safetensors`.

A leaf is stored whole, or, where that is less, as a bit for each of its values, set where it is not zero, and those
that are not. A quantized leaf is its codes, whole or so, and its scales.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxlab.core import safetensors, tree
from jaxlab.core.files import write_atomically
from jaxlab.core.leafwise import require_real
from jaxlab.precision.weight_only import Quantized, is_quantized

SCHEMA = "jaxlab.weights/1"
OWN = "jaxlab"
"""The metadata by which such a file is known: what its arrays are parts of."""

_ACCEPTED = "accepted is a whole file that save_weights wrote"


def save_weights(path: str | Path, params: PyTree, about: Mapping[str, Any] | None = None) -> int:
    """Writes parameters, some of them perhaps quantized or mostly zero, to one file.

    Args:
      path: of the file, in a folder that is there; what stood there is replaced, whole.
      params: nested dicts of floating arrays and of what :func:`~jaxlab.precision.quantize` makes of them.
      about: JSON data that :func:`load_weights` gives back: which model, which task.

    Returns:
      The size of the file in bytes.

    Raises:
      TypeError: leaves that are no floating arrays, other containers than dicts with names, ``about`` that is no JSON.
      OSError: the file cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> _ = save_weights(path, {"dense": {"kernel": jnp.eye(3)}}, about={"task": "line"})
    >>> params, about = load_weights(path)
    >>> params["dense"]["kernel"].tolist(), about
    ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], {'task': 'line'})
    """
    leaves = jax.tree.leaves(params, is_leaf=is_quantized)
    named = dict(zip(tree.names(params, is_leaf=is_quantized), leaves, strict=True))
    if jax.tree.structure(tree.nested(named)) != jax.tree.structure(params) or any(":" in name for name in named):
        raise TypeError(
            f"params = {jax.tree.structure(params)}: accepted are nested dicts whose keys are texts without / and :"
        )
    arrays: dict[str, np.ndarray] = {}
    forms = {}
    for name, leaf in named.items():
        if isinstance(leaf, Quantized):
            values, dtype = np.asarray(leaf.codes), leaf.dtype
            arrays[f"{name}:scales"] = np.asarray(leaf.scales)
        else:
            require_real(name, leaf)
            values, dtype = np.asarray(leaf), str(leaf.dtype)
        forms[name] = [dtype, [*values.shape]]
        arrays |= {name + part: array for part, array in _parts(values).items()}
    try:
        manifest = json.dumps({"schema": SCHEMA, "leaves": forms, "about": dict(about or {})}, separators=(",", ":"))
    except TypeError as error:
        raise TypeError(f"about: {error}; accepted is JSON data") from None
    data = safetensors.data_of(arrays)
    content = safetensors.header_of(arrays, {OWN: manifest, "sha256": _hash(manifest, data)}) + data
    write_atomically(path, content)
    return len(content)


def load_weights(path: str | Path) -> tuple[PyTree, dict[str, Any]]:
    """What :func:`save_weights` wrote: the parameters, to the bit, quantized ones as they are, and ``about``.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: a file that is cut off, changed, or of another kind.
    """
    arrays, manifest = _unpacked(Path(path))
    try:
        named = {name: _leaf(arrays, name, *form) for name, form in manifest["leaves"].items()}
        return tree.nested(named), manifest["about"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The checksum is of the arrays and of what they are said to be, not of their names.
        raise ValueError(
            f"{path}: its arrays are not those that it says ({type(error).__name__}: {error}): {_ACCEPTED}"
        ) from None


def _parts(values: np.ndarray) -> dict[str, np.ndarray]:
    """An array whole, or what of it is not zero and where, whichever is less."""
    flat = np.ascontiguousarray(values).reshape(-1)
    # By its bits: a zero with a sign is a value like any other.
    present = flat.view(f"u{flat.dtype.itemsize}") != 0
    mask, nonzero = np.packbits(present), flat[present]
    return {"": values} if flat.nbytes <= mask.nbytes + nonzero.nbytes else {":mask": mask, ":nonzero": nonzero}


def _leaf(arrays: Mapping[str, np.ndarray], name: str, dtype: str, shape: list[int]) -> Any:
    if name in arrays:
        values = arrays[name].reshape(shape)
    else:
        values = _spread(arrays[f"{name}:mask"], arrays[f"{name}:nonzero"], shape)
    scales = arrays.get(f"{name}:scales")
    return jnp.asarray(values) if scales is None else Quantized(jnp.asarray(values), jnp.asarray(scales), dtype)


def _spread(mask: np.ndarray, nonzero: np.ndarray, shape: list[int]) -> np.ndarray:
    if not 0 <= 8 * mask.size - math.prod(shape) < 8:
        raise ValueError(f"{mask.size} bytes for the bits of shape {shape}")
    flat = np.zeros(math.prod(shape), nonzero.dtype)
    flat[np.unpackbits(mask, count=flat.size).astype(bool)] = nonzero
    return flat.reshape(shape)


def _unpacked(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    contents = safetensors.read(path)
    try:
        text, wanted = contents.metadata[OWN], contents.metadata["sha256"]
        manifest = json.loads(text)
        schema = manifest["schema"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} has no header of {SCHEMA}: {_ACCEPTED}") from None
    if schema != SCHEMA:
        raise ValueError(f"{path} has the schema {schema!r}: accepted is {SCHEMA!r}")
    if _hash(text, contents.data) != wanted:
        raise ValueError(f"{path} is not as it was written (its SHA-256 differs): {_ACCEPTED}")
    return contents.arrays, manifest


def _hash(manifest: str, content: bytes | memoryview) -> str:
    digest = hashlib.sha256(manifest.encode())
    digest.update(content)
    return digest.hexdigest()
