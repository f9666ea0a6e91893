"""Writes foreign.safetensors with the package of that name, one array of each type, for jaxlab's tests to read.

Run with safetensors 0.8.0, NumPy and ml_dtypes in one environment: ``python tests/data/make_safetensors.py``.
"""

import pathlib

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

TYPES = {
    **{name: np.dtype(name) for name in ("float64", "float32", "float16", "int64", "int32", "int16", "int8")},
    **{name: np.dtype(name) for name in ("uint64", "uint32", "uint16", "uint8", "bool")},
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
}


def main() -> None:
    arrays = {f"of.{name}": np.arange(6).reshape(2, 3).astype(dtype) for name, dtype in TYPES.items()}
    arrays |= {"one": np.array(2.5, np.float32), "none": np.zeros((0, 3), np.float32), "last\u00e9": np.ones(1)}
    path = pathlib.Path(__file__).with_name("foreign.safetensors")
    save_file(arrays, path, {"format": "np"})


if __name__ == "__main__":
    main()
