"""Folders of images, written by Pillow."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """Makes a folder of images: names, or names with the bytes of a file; each image is another."""

    def make(files, root="photos"):
        folder = tmp_path / root
        for seed, name in enumerate(files):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            content = files[name] if isinstance(files, dict) else None
            if content is None:
                pixels = np.random.RandomState(seed).randint(0, 256, (7, 9, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / name)
            else:
                (folder / name).write_bytes(content)
        return folder

    return make


@pytest.fixture
def twenty(photos):
    """Two classes, of 13 and 7 images."""
    return photos([f"cat/{i:02}.png" for i in range(13)] + [f"dog/{i:02}.png" for i in range(7)])
