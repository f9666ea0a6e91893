"""Writes torch_files.json: small files of ``torch.save`` in base64, and what they hold.

Run outside jaxlab's environment with torch 2.15.0 (CPU): ``python tests/data/make_torch_files.py``.
"""

import base64
import io
import json
import pathlib
from collections import OrderedDict

import torch

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64"]


def state_dict() -> OrderedDict:
    """What a module gives, with a version in ``_metadata``."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, (1, 2)), torch.nn.BatchNorm2d(3))
    return module.state_dict()


def odd_shapes() -> dict[str, torch.Tensor]:
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "whole": whole,
        "transposed": whole.T,
        "part": whole[1:3, ::2],
        "row": whole[3],
        "expanded": torch.tensor([2.0]).expand(3, 2),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "channels_last": torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    }


def checkpoint() -> dict[str, object]:
    """As training scripts write them: tensors deep inside, beside numbers and texts."""
    weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0]]))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    return {
        "epoch": 3,
        "name": "größer",
        "best": 0.5,
        "model": {"weight": weight, "shape": weight.shape, "dtype": torch.float16},
        "layers": [torch.tensor([1]), (torch.tensor([2]), None)],
        "optimizer": optimizer.state_dict(),
    }


def dtypes() -> dict[str, torch.Tensor]:
    return {name: torch.tensor([0, 1, 2.5, 100]).to(getattr(torch, name)) for name in DTYPES}


def newest_dtypes() -> dict[str, torch.Tensor]:
    """Those without a class of storage, which the older format does not know."""
    values = torch.tensor([0, 1, 2.5, 100])
    return {name: values.to(getattr(torch, name)) for name in ("uint16", "uint32", "uint64", "float8_e4m3fn")}


def numbers(tensor: torch.Tensor) -> list:
    if tensor.is_complex():
        return torch.view_as_real(tensor).tolist()
    return (tensor.float() if tensor.dtype.is_floating_point and tensor.itemsize == 1 else tensor.detach()).tolist()


def tensors(value: object, way: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {".".join(way): value}
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {name: t for key, item in inner for name, t in tensors(item, (*way, str(key))).items()}


def main() -> None:
    files = []
    for make in (state_dict, odd_shapes, checkpoint, dtypes, newest_dtypes):
        value = make()
        held = {
            name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": [*t.shape], "values": numbers(t)}
            for name, t in tensors(value).items()
        }
        for zipped in (True, False)[: 1 if make is newest_dtypes else 2]:
            file = io.BytesIO()
            torch.save(value, file, _use_new_zipfile_serialization=zipped)
            content = base64.b64encode(file.getvalue()).decode()
            files.append(
                {"name": make.__name__, "format": "zip" if zipped else "legacy", "content": content, "holds": held}
            )
    data = {"torch": torch.__version__, "files": files}
    path = pathlib.Path(__file__).parent / "torch_files.json"
    path.write_text(json.dumps(data) + "\n")


if __name__ == "__main__":
    main()
