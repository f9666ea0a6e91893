"""Pickles that would run code, take all memory or never end, offered as weights: refused, and nothing of them runs."""

import builtins
import functools
import importlib
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from jaxlab.transfer.torch_file import read_torch

PROTOCOLS = (0, 2, 4)
FOUR = np.arange(4, dtype=np.float32).tobytes()


def value(content) -> bytes:
    """The instructions that put a plain value on the stack."""
    return pickle.dumps(content, 2)[2:-1]


def tensor(elements=4, offset=0, size=(4,), stride=(1,), key="0", view=b"") -> bytes:
    """The instructions by which PyTorch writes a tensor."""
    storage = b"(" + value("storage") + b"ctorch\nFloatStorage\n" + value(key) + value("cpu") + value(elements)
    shape = value(offset) + value(size) + value(stride)
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + b"tQ" + shape + hooks + b"tR"


def zipped(instructions: bytes, storages=(FOUR,), compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", instructions + b".")
        for number, storage in enumerate(storages):
            archive.writestr(f"archive/data/{number}", storage)
    return file.getvalue()


def legacy(instructions: bytes, storages=(FOUR,), claimed=4):
    begin = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    keys = pickle.dumps([str(number) for number in range(len(storages))], 2)
    rows = b"".join(struct.pack("<q", claimed) + storage for storage in storages)
    return b"".join(begin) + instructions + b"." + keys + rows


def refused(content: bytes, folder, message: str) -> None:
    path = folder / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\.pth.*{message}"):
        read_torch(path)


class Call:
    """Pickles as a call of a function, which ``pickle.load`` makes."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def calls(sentinel):
    touch = f"touch {sentinel}"
    code = f"open({str(sentinel)!r}, 'w').close()"
    return {
        "posix.system": Call(os.system, touch),
        "builtins.eval": Call(builtins.eval, code),
        "builtins.exec": Call(builtins.exec, code),
        "builtins.getattr": Call(builtins.getattr, {}, "clear"),
        "subprocess.Popen": Call(subprocess.Popen, touch, -1, None, None, None, None, None, True, True),
        "functools.partial": Call(functools.partial, os.system, touch),
        "importlib.import_module": Call(importlib.import_module, "this"),
        "numpy._core.multiarray._reconstruct": np.ones(2),
        "builtins.set": Call(set, [1]),
    }


def test_the_calls_below_would_run(tmp_path):
    sentinel = tmp_path / "sentinel"
    for name in ("posix.system", "builtins.eval", "builtins.exec"):
        pickle.loads(pickle.dumps(calls(sentinel)[name]))
        sentinel.unlink()


@pytest.mark.parametrize("wrap", [zipped, legacy, lambda instructions: b"\x80\x02" + instructions + b"."])
@pytest.mark.parametrize("name", calls(""))
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(name, wrap, tmp_path):
    sentinel = tmp_path / "sentinel"
    for protocol in PROTOCOLS:
        content = pickle.dumps({"weight": calls(sentinel)[name]}, protocol)[:-1]
        # Protocol 0 and 2 know built-in names as Python 2 does; an array's pickle names copyreg or _codecs first.
        module, _, function = name.rpartition(".")
        named = rf"the global (\w+\.)*{function}|the global __builtin__|the global (_codecs|copyreg|copy_reg)"
        refused(wrap(content), tmp_path, named if module else function)
    assert not sentinel.exists()


def test_a_module_is_not_even_imported(tmp_path, monkeypatch):
    (tmp_path / "hostile_module.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(tmp_path)
    for instructions in (b"chostile_module\nweights\n", value("hostile_module") + value("weights") + b"\x93"):
        refused(zipped(instructions), tmp_path, r"holds the global hostile_module\.weights, which is no tensor")
    assert "hostile_module" not in sys.modules


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        (b"(cposix\nsystem\n" + value("true") + b"o", r"the global posix\.system"),
        (b"(" + value("true") + b"iposix\nsystem\n", "the instruction INST"),
        (b"ccollections\nOrderedDict\n)\x81", "the instruction NEWOBJ"),
        (b"\x82\x01", "the instruction EXT1"),
        (b"P0\n", "the instruction PERSID"),
        (value(["a"]) + b")R", r"a call of \['a'\], which makes no tensor"),
        (b"ctorch\nfloat32\n)R", r"a call of torch\.float32, which makes no tensor"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n" + value({"__code__": 1}) + b"b", "something put into"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R", r"torch\._utils\._rebuild_tensor_v2 called with \(\)"),
        (b"ccollections\nOrderedDict\n(" + value([(1,)]) + b"tR", r"collections\.OrderedDict called with"),
        (value(("module", "os", "code", "source")) + b"Q", "the persistent id .*, which is no storage of numbers"),
        (value("0") + b"Q", "the persistent id '0', which is no storage"),
        (
            b"(" + value("storage") + b"ccollections\nOrderedDict\n" + value("0") + value("cpu") + value(4) + b"tQ",
            "no st",
        ),
        (b"ctorch._utils\n_rebuild_parameter\n(" + value("x") + b"tR", "a parameter of 'x': accepted is a tensor"),
        (tensor(size=(-1,)), r"a tensor whose size is \(-1,\)"),
        (tensor(offset="0"), r"a tensor whose offset is \('0',\)"),
        (tensor(size=(2**80,)), "a tensor whose size is"),
        (tensor(size=4), "a tensor whose size is 4"),
        (b"}(" + value(("a", "b")) + b"K\x01u", r"a dict with the keys \[\('a', 'b'\)\]"),
        (b"a", "a damaged pickle, IndexError"),
        (b"h\x07", "a damaged pickle, KeyError"),
        (b"\xff", "opcode"),
    ],
)
def test_an_instruction_that_makes_no_tensor_is_refused(instructions, message, tmp_path):
    refused(zipped(instructions), tmp_path, message)


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        (
            tensor(offset=1),
            r"tensor '0' of size \(4,\) and stride \(1,\) from element 1 on reaches beyond its storage of 4",
        ),
        (tensor(size=(2, 2), stride=(3, 1)), "reaches beyond its storage"),
        (tensor(size=(4,), stride=(2**62,)), "reaches beyond its storage"),
        (tensor(size=(2**62, 2**62), stride=(0, 0)), "reaches beyond its storage"),
        (tensor(size=(4,), stride=()), "reaches beyond its storage"),
        (tensor(elements=5), "storage '0' has 16 bytes, of which the pickle claims 20"),
        (tensor(elements=2**61), "storage '0' has 16 bytes"),
        (tensor(key="1"), "without the entry 'archive/data/1'"),
        (tensor(key="../data.pkl"), r"without the entry 'archive/data/\.\./data\.pkl'"),
    ],
)
def test_what_claims_more_than_the_file_holds_is_refused(instructions, message, tmp_path):
    refused(zipped(b"]" + instructions + b"a"), tmp_path, message)


def test_an_expanded_tensor_takes_no_more_memory_than_the_file(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(zipped(b"]" + tensor(size=(10**6, 10**6), stride=(0, 0)) + b"a"))
    assert read_torch(path)["0"].strides == (0, 0)


def test_old_files_that_claim_too_much(tmp_path):
    one = b"]" + tensor(view=b"N") + b"a"
    path = tmp_path / "weights.pth"
    path.write_bytes(legacy(one))
    np.testing.assert_array_equal(read_torch(path)["0"], [0, 1, 2, 3])
    path.write_bytes(legacy(b"]" + tensor(size=(2,), view=value(("v", 1, 2))) + b"a"))
    np.testing.assert_array_equal(read_torch(path)["0"], [1, 2])
    refused(legacy(one, claimed=5), tmp_path, "a storage '0' that claims 5 elements")
    refused(legacy(one, claimed=-9), tmp_path, "a storage '0' that claims -9 elements")
    refused(legacy(one, claimed=2**62), tmp_path, "a storage '0' that claims")
    refused(legacy(one, storages=()), tmp_path, "no storage '0'")
    refused(legacy(b"]"), tmp_path, "a storage '0' that no tensor mentions")
    refused(legacy(b"]" + tensor(view=value(("v", 3, 2))) + b"a"), tmp_path, "the persistent id")


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        (b"Nr\xff\xff\xff\x7f", "no tensor"),  # A place in the memo for which pickle makes room for 16 GB.
        (b"\x8e" + struct.pack("<Q", 2**50) + b"x", "expected 1125899906842624 bytes"),
        (b"\x8d" + struct.pack("<Q", 2**50) + b"x", "expected 1125899906842624 bytes"),
        (b"]q\x00" + b"h\x00a", "containers that unfold|containers more than 100 deep"),  # A list that holds itself.
        (b"(" * 10**5, "damaged|no tensor"),
        (b"]" * 200 + b"a" * 199, "containers more than 100 deep"),
        (b"}(" + value("a") + b"}" + value("b") + tensor() + b"s" + value("a.b") + tensor() + b"u",
         r"two tensors of the name 'a\.b'"),
        (value({"epoch": 3}), "no tensor in a dict or list"),
        (tensor(), "no tensor in a dict or list"),
    ],
)  # fmt: skip
def test_what_would_take_all_memory_or_no_end_is_refused(instructions, message, tmp_path):
    refused(zipped(instructions), tmp_path, message)


def test_lists_that_unfold_without_end(tmp_path):
    # Each list holds the one before twice: forty of them are 2**40 empty ones.
    instructions = b"]q\x00" + b"".join(
        b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40)
    )
    refused(zipped(instructions), tmp_path, "containers that unfold to more than")
    # As a key, it would be hashed for ever; as what is called, shown for ever.
    tuples = b")q\x00" + b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(40))
    refused(zipped(b"}(" + tuples + b"K\x01u"), tmp_path, "a dict with the keys")
    refused(zipped(tuples + b")R"), tmp_path, "a call of")


def test_what_is_named_again_and_again_is_not_copied_again_and_again(tmp_path):
    # A list of many, many times: in a call, and as a name, two bytes would cost a copy each time.
    many = 3000
    begin = b"]q\x00(" + b"K\x01" * many + b"e"
    pairs = b"]q\x00(" + b"".join(b"M" + struct.pack("<H", key) + b"N\x86" for key in range(many)) + b"e"
    ordered, sized = b"ccollections\nOrderedDict\nq\x01", b"ctorch\nSize\nq\x01"
    refused(zipped(begin + ordered + b"](" + b"h\x00" * many + b"e\x85R"), tmp_path, "OrderedDict called with")
    for whole, function in ((pairs, ordered), (begin, sized), (value("a" * many) + b"q\x00", sized)):
        calls_of_it = b"h\x00\x85R" + b"h\x01h\x00\x85R" * many
        refused(zipped(b"](" + whole + function + calls_of_it + b"e"), tmp_path, "calls that are given")
    named = b"}" + value("a" * many) + tensor() + b"s"
    refused(zipped(named), tmp_path, "a tensor whose name has more than 1000 characters")


def test_zips_that_are_none_of_pytorchs(tmp_path):
    one = b"]" + tensor() + b"a"
    refused(zipped(one, compression=zipfile.ZIP_DEFLATED), tmp_path, "is compressed or encrypted")
    bomb = zipped(one, storages=(bytes(10**6),), compression=zipfile.ZIP_DEFLATED)
    refused(bomb, tmp_path, "a zip whose entries claim 100")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.json", "{}")
    refused(file.getvalue(), tmp_path, r"a zip with 0 entries data\.pkl")
    damaged = zipped(one).replace(FOUR, bytes(16))
    refused(damaged, tmp_path, "Bad CRC-32")
