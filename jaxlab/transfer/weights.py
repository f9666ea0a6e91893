"""Weights by name, from whatever keeps them."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxlab import train
from jaxlab.core.safetensors import is_safetensors
from jaxlab.transfer.safetensors_file import read_safetensors
from jaxlab.transfer.torch_file import read_torch

ACCEPTED = (
    "accepted are a safetensors file, a file that torch.save wrote, and a folder of jaxlab's checkpoints, or the "
    "folder of a run that has one"
)

# A training state is known by its count of skipped steps: other trees may have "params", too, beside "batch_stats".
_TRAINED, _SKIPPED, _CHECKPOINTS = r"^((params|frozen)(/|$)|skipped$)", "skipped", "checkpoints"


def read_weights(path: str | Path, step: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of a file or a checkpoint by name. Nothing in it is executed.

    What a file is, its first bytes tell, whatever it is called.

    =========================  =========================================================================================
    safetensors                of any library, or of :func:`~jaxlab.precision.save_weights`: see
                               :func:`~jaxlab.transfer.read_safetensors`
    PyTorch's                  see :func:`~jaxlab.transfer.read_torch`
    a folder of checkpoints    :class:`~jaxlab.train.Checkpoints`, its newest or that of a step: of a training state
                               the parameters, trained and frozen ones, in their dtypes; of another tree every array
    a run's folder             with such a folder ``checkpoints``
    =========================  =========================================================================================

    Args:
      path: of the file or folder.
      step: of a checkpoint; by default the newest.

    Returns:
      Arrays in the dtypes that they were saved in. Names are those of the file; a checkpoint's are the parameters' own,
      keys joined by slashes.

    Raises:
      OSError: no such file or folder, or it cannot be read.
      ValueError: a file of another kind, one that is cut off or changed, one that would run code; it is named. A folder
        without checkpoints; a step of a file.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with train.Checkpoints(folder) as checkpoints:
    ...     checkpoints.save(7, {"dense": {"kernel": np.ones((2, 3), np.float32)}})
    >>> {name: array.shape for name, array in read_weights(folder).items()}
    {'dense/kernel': (2, 3)}
    """
    path = Path(path)
    if path.is_dir():
        return _of_folder(path, step)
    with path.open("rb") as file:
        beginning = file.read(16)
    if step is not None:
        raise ValueError(f"step = {step}: {path} is a file; accepted is a step of a folder of checkpoints")
    if is_safetensors(beginning):
        return read_safetensors(path)
    # A zip, or a pickle: as PyTorch's files were before, and as nothing else that is taken here.
    if beginning.startswith((b"PK\x03\x04", b"\x80")):
        return read_torch(path)
    raise ValueError(f"{path} begins with {beginning!r}: {ACCEPTED}")


def _of_folder(path: Path, step: int | None) -> dict[str, np.ndarray]:
    if (path / _CHECKPOINTS).is_dir():
        path /= _CHECKPOINTS
    elif step is None and path.name.isdecimal() and path.name in map(str, train.Checkpoints(path.parent).steps()):
        path, step = path.parent, int(path.name)
    with train.Checkpoints(path) as checkpoints:
        if not checkpoints.steps():
            raise ValueError(f"{path} is a folder without a checkpoint: {ACCEPTED}")
        found: dict[str, Any] = checkpoints.arrays(_TRAINED, step)
        if found.pop(_SKIPPED, None) is not None:
            found = {name.partition("/")[2]: array for name, array in found.items()}
        else:
            found = checkpoints.arrays("", step)
    return {name: np.asarray(array) for name, array in found.items()}
