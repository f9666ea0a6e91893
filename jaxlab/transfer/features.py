"""Features of a base that stays as it is, of images that stay as they are: computed once."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Shaped

from jaxlab.core import hyper, safetensors, tree
from jaxlab.core.files import write_atomically

Progress = Callable[[int, int], None]
"""Called as ``progress(examples_done, examples)``."""

_NAME = "features"


def features(
    apply: Callable[[PyTree, Array], Array],
    params: PyTree,
    images: Shaped[Array | np.ndarray, "n ..."],
    batch_size: int = 256,
    *,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Shaped[np.ndarray, "n ..."]:
    """What a model makes of each image, in batches, by one compiled program.

    For a linear probe, and any head on a frozen base: training then costs what the head costs, at every epoch. With
    augmentation the images do not stay as they are, and the base has to see them in every step.

    Args:
      apply: ``(params, images [b, ...]) -> features [b, ...]``, pure, of each image by itself: without a key, with
        statistics frozen.
      params: of the model.
      images: or whatever the model takes, examples on the leading axis; on the host, perhaps mapped from a file.
      batch_size: how many at a time, at least 1. The last batch is filled up, so that nothing is compiled twice.
      cache: a folder, made where it is missing, where the features are kept under a name that stands for the weights,
        the images and the program; who asks for the same again gets them from there. None keeps nothing.
      progress: called after each batch; what was in the cache is done at once.

    Returns:
      The features on the host, in the model's dtype.

    Raises:
      ValueError: a ``batch_size`` below 1; images without a leading axis; an ``apply`` that does not give one result
        for each image.
      OSError: the cache cannot be written.

    Memory: on the device the parameters and two batches, on the host the features.

    >>> double = lambda params, images: params * images.sum(1)
    >>> features(double, jnp.float32(2.0), np.ones((5, 3), np.float32), batch_size=2).tolist()
    [6.0, 6.0, 6.0, 6.0, 6.0]
    """
    hyper.integer("batch_size", batch_size, at_least=1)
    images = np.asanyarray(images)
    if not images.ndim:
        raise ValueError(f"images has shape {images.shape}: accepted are examples on a leading axis")
    number, params = len(images), jax.tree.map(jnp.asarray, params)
    size = min(batch_size, max(number, 1))
    batch = jax.ShapeDtypeStruct((size, *images.shape[1:]), jax.dtypes.canonicalize_dtype(images.dtype))
    form = jax.eval_shape(apply, params, batch)
    if not hasattr(form, "shape") or form.shape[:1] != (size,):
        raise ValueError(f"apply makes {form} of {size} images: accepted is an array with a row for each")
    run, kept = _program(apply), None
    if cache is not None:
        name = _digest(run.lower(params, batch).as_text(), params, images, size)
        kept = Path(cache) / f"{name}.safetensors"
    found = None if kept is None else _kept(kept, (number, *form.shape[1:]), form.dtype)
    if found is None:
        found = _computed(run, params, images, form, progress)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            arrays = {_NAME: found}
            write_atomically(kept, safetensors.header_of(arrays, {}) + safetensors.data_of(arrays))
    elif progress is not None:
        progress(number, number)
    return found


# A method that is bound anew at each call would be compiled anew, too.
@functools.lru_cache(maxsize=8)
def _program(apply: Callable[..., Array]) -> Any:
    return jax.jit(apply)


def _computed(
    run: Callable[..., Array], params: PyTree, images: np.ndarray, form: Any, progress: Progress | None
) -> np.ndarray:
    """Batch by batch; one is read while the next is computed."""
    size, number = form.shape[0], len(images)
    found = np.empty((number, *form.shape[1:]), form.dtype)
    late: tuple[int, Array] | None = None

    def read(begin: int, result: Array) -> None:
        end = min(begin + size, number)
        found[begin:end] = np.asarray(result)[: end - begin]
        if progress is not None:
            progress(end, number)

    for begin in range(0, number, size):
        some = images[begin : begin + size]
        missing = np.zeros((size - len(some), *some.shape[1:]), some.dtype)
        result = run(params, jnp.asarray(np.concatenate([some, missing])))
        if late is not None:
            read(*late)
        late = begin, result
    if late is not None:
        read(*late)
    return found


def _digest(program: str, params: PyTree, images: np.ndarray, size: int) -> str:
    """What features are made of, in a few letters."""
    digest = hashlib.sha256(program.encode())
    for name, leaf in zip(tree.names(params), jax.tree.leaves(params), strict=True):
        digest.update(f"{name} {leaf.shape} {leaf.dtype}".encode())
        digest.update(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data)
    digest.update(f"{images.shape} {images.dtype}".encode())
    for begin in range(0, len(images), size):
        digest.update(np.ascontiguousarray(images[begin : begin + size]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:32]


def _kept(path: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray | None:
    """Features from the cache; None where they are not, or are not what they were."""
    try:
        found = safetensors.read(path).arrays.get(_NAME)
    except (FileNotFoundError, ValueError):
        return None
    return found if found is not None and (found.shape, found.dtype) == (shape, dtype) else None
