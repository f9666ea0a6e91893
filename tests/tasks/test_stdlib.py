"""The standard library's source: which files, which text, which words."""

import hashlib
import re
import tokenize

import pytest

from jaxlab.tasks import stdlib

FILES = {
    "abc.py": b"import os\n",
    "json/__init__.py": b"",
    "json/decoder.py": b"x = 1\n",
    "json/tests/test_decoder.py": b"never",
    "test/test_json.py": b"never",
    "idlelib/idle_test/test_x.py": b"never",
    "site-packages/numpy/core.py": b"never",
    "_sysconfigdata__linux.py": b"never",
    "json/notes.txt": b"never",
}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_the_librarys_own_source_in_order(folder):
    library = stdlib.library(folder)
    assert [file.path for file in library.files] == ["abc.py", "json/__init__.py", "json/decoder.py"]
    assert [stdlib.module(file.path) for file in library.files] == ["abc", "json", "json"]
    assert b"".join(library.text(held_out=side) for side in (False, True)).count(b"x = 1") == 1


def test_the_digest_knows_names_and_contents(folder):
    first = stdlib.library(folder).digest
    expected = hashlib.sha256(b"abc.py\x0010\x00import os\njson/__init__.py\x000\x00json/decoder.py\x006\x00x = 1\n")
    assert first == expected.hexdigest()
    stdlib.library.cache_clear()
    (folder / "abc.py").write_bytes(b"import re\n")
    changed = stdlib.library(folder).digest
    stdlib.library.cache_clear()
    (folder / "abc.py").rename(folder / "abd.py")
    assert len({first, changed, stdlib.library(folder).digest}) == 3


def test_a_folder_without_source_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no Python source: accepted is an installation"):
        stdlib.library(tmp_path)


def test_this_machines_library():
    library = stdlib.library()
    assert sum(file.size for file in library.files) > 5e6
    share = len(library.text(held_out=True)) / sum(file.size for file in library.files)
    assert 0.05 < share < 0.2
    assert {"argparse.py", "json/decoder.py", "asyncio/base_events.py"} <= {file.path for file in library.files}
    assert not any("test" in file.path.split("/")[:-1] for file in library.files)
    assert re.search(r"Python 3\.\d+\.\d+.*\(\d+ files, \d+\.\d MB, SHA-256 [0-9a-f]{12}\)", library.describe())


def test_words_are_those_of_pythons_own_tokenizer():
    source = b"def f(x_1, *, y=2.5):\n    return x_1 @ y\n"
    kinds = (tokenize.NAME, tokenize.NUMBER, tokenize.OP)
    theirs = [
        t.string.encode() for t in tokenize.tokenize(iter(source.splitlines(keepends=True)).__next__) if t.type in kinds
    ]
    assert stdlib.tokens(source) == theirs
    assert stdlib.identifiers(source) == [b"def", b"f", b"x_1", b"y", b"return", b"x_1", b"y"]
