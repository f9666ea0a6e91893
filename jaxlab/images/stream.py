"""Batches of images for training: a function of the content, the seed and the step, read ahead through grain."""

import numpy as np
from jaxtyping import Int

from jaxlab.core import hyper
from jaxlab.core.batches import Batches
from jaxlab.images.images import Batch, Images


class Stream(Batches[Batch]):
    """An endless sequence of batches of images, of which any can be asked for.

    Each epoch shows every image once, in a shuffled order of its own; a batch may hold the end of one epoch and the
    beginning of the next. A run that resumes needs the step alone, and each process asks for its rows of a batch: see
    :class:`jaxlab.core.batches.Batches`.

    Args:
      images: which ones, such as one side of a split.
      batch_size: images of a step, over all processes.
      seed: of the order, at least 0.

    Raises:
      TypeError, ValueError: a number that is none or out of range; fewer images than one batch.
      ImportError: the package ``grain`` is not installed; the message says how.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from jaxlab.images import Resize, open_images
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("blue", "red"):
    ...     (root / name).mkdir()
    ...     Image.new("RGB", (8, 6), name).save(root / name / "1.png")
    >>> stream = Stream(open_images(root, Resize(4)), batch_size=2, seed=0)
    >>> batch = stream.batch(7)
    >>> batch["x"].shape, batch["x"].dtype, sorted(batch["y"].tolist())
    ((2, 4, 4, 3), dtype('uint8'), [0, 1])
    >>> ahead = stream.from_step(7)
    >>> bool((next(ahead)["x"] == batch["x"]).all())
    True
    """

    def __init__(self, images: Images, batch_size: int, seed: int = 0) -> None:
        if len(images) < hyper.integer("batch_size", batch_size, at_least=1):
            raise ValueError(
                f"batch_size = {batch_size}: {images.describe()} are fewer; accepted are more images or a smaller batch"
            )
        self.images = images
        super().__init__(len(images), batch_size, seed)

    def load(self, numbers: Int[np.ndarray, " b"]) -> Batch:
        """The images of these numbers, in this order: what ``jaxlab.sharding.feed`` asks each process for."""
        return self.images.load(np.asarray(numbers) % self.count)
