"""Writes tensorflow_bicubic.json: what TensorFlow 1's resize_bicubic makes of small images.

Run outside jaxlab's environment with tensorflow-cpu 2.21.0: ``python tests/data/make_tensorflow_bicubic.py``.
"""

import json
import pathlib

import numpy as np
import tensorflow as tf

CASES = [(14, 8), (8, 20), (13, 13), (9, 7), (53, 5), (2, 6)]
"""Sides of square images, before and after."""


def main() -> None:
    rng = np.random.RandomState(0)
    cases = []
    for before, after in CASES:
        image = rng.randint(0, 256, (before, before, 1)).astype(np.float32)
        resized = tf.compat.v1.image.resize_bicubic(image[None], [after, after])[0]
        cases.append({"before": before, "resized": np.asarray(resized, np.float64).ravel().round(5).tolist()})
    path = pathlib.Path(__file__).parent / "tensorflow_bicubic.json"
    path.write_text(json.dumps({"tensorflow": tf.__version__, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
