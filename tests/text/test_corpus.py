"""Which files are text, which are held out, and what is said where there are none."""

import hashlib
import os
import re
import zlib
from pathlib import Path

import pytest

from jaxlab.text import Document, corpus
from jaxlab.text import folder as below
from jaxlab.text.corpus import place
from jaxlab.text.folder import PART

FILES = {
    "b.txt": "zwei\r\nü".encode(),
    "a name/with spaces.md": b"one\n",
    "empty": b"",
    "latin.txt": "ü".encode("latin-1"),
    "late.txt": b"x" * PART + b"\xff",
    "cut.txt": "ü".encode()[:1],
    "image.png": b"\x89PNG\0",
    ".hidden": b"never",
    ".git/config": b"never",
    "a name/.cache/x.txt": b"never",
}


def paths(found):
    return [file.path for file in found.files]


def test_text_is_what_is_utf8_without_nul_whatever_its_name(folder):
    found = corpus(folder(FILES))
    assert paths(found) == ["a name/with spaces.md", "b.txt", "empty"]
    assert [file.content for file in found.files] == [b"one\n", "zwei\r\nü".encode(), b""]
    assert [file.size for file in found.files] == [4, 8, 0]
    assert found.left_out == {
        "cut.txt": "not UTF-8",
        "image.png": "with a NUL byte",
        "late.txt": "not UTF-8",
        "latin.txt": "not UTF-8",
    }
    assert re.fullmatch(r"text in 'text' \(3 files, 0\.0 MB, SHA-256 [0-9a-f]{12}, 4 more left out\)", found.describe())


def test_the_digest_is_of_names_lengths_and_contents_of_text_alone(folder):
    root = folder(FILES)
    expected = hashlib.sha256("a name/with spaces.md\0004\0one\nb.txt\0008\0zwei\r\nüempty\0000\0".encode()).hexdigest()
    assert corpus(root).digest == expected
    (root / "image.png").unlink()
    assert corpus(root).digest == expected
    (root / "b.txt").write_bytes("zwei\r\nö".encode())
    assert corpus(root).digest != expected


def test_suffixes_choose_files(folder):
    root = folder(FILES)
    assert paths(corpus(root, suffixes=(".md", ".py"))) == ["a name/with spaces.md"]
    for wrong in (".txt", ("txt",), (3,)):
        with pytest.raises(ValueError, match=re.escape(f"suffixes = {wrong!r}: accepted are ends of names, such as")):
            corpus(root, suffixes=wrong)


def test_links_are_followed_once_and_broken_ones_told(folder):
    root = folder({"b/c.txt": b"one", "d.txt": b"two", ".hidden/e.txt": b"three"})
    (root / "b" / "loop").symlink_to(root)
    (root / "again").symlink_to(root / "b")
    (root / "a.txt").symlink_to(root / "d.txt")
    for name in ("f.txt", "g.txt"):
        (root / name).symlink_to(root / ".hidden" / "e.txt")
    (root / "hard.txt").hardlink_to(root / "d.txt")
    (root / "nowhere.txt").symlink_to(root / "missing")
    (root / "self.txt").symlink_to(root / "self.txt")
    (root / "shown").symlink_to(root / ".hidden")
    os.mkfifo(root / "pipe")
    found = corpus(root)
    assert paths(found) == ["b/c.txt", "d.txt", "hard.txt", "shown/e.txt"]
    assert found.left_out == {
        "a.txt": "a link to another of them",
        "f.txt": "a link to another of them",
        "g.txt": "a link to another of them",
        "nowhere.txt": "no regular file",
        "pipe": "no regular file",
        "self.txt": "no regular file",
    }


def test_names_that_are_no_utf8(folder):
    root = folder({"a.txt": b"one"})
    Path(os.fsdecode(os.fsencode(root) + b"/b\xff.txt")).write_bytes(b"two")
    found = corpus(root)
    assert [file.content for file in found.files] == [b"one", b"two"]
    assert found.digest == hashlib.sha256(b"a.txt\x003\x00oneb\xff.txt\x003\x00two").hexdigest()
    assert place(found.files[1].path) == zlib.crc32(b"b\xff.txt") % 100
    assert repr(found.files[1].path).isascii()


def test_the_split_is_of_files_for_ever():
    names = ("abc.py", "ast.py", "inspect.py", "json/decoder.py", "locale.py", "typing.py")
    held_out = [path for path in names if Document(path, Path(), 0).held_out]
    assert held_out == ["abc.py", "ast.py", "inspect.py", "locale.py"]


def test_sides_and_what_they_need(folder):
    found = corpus(folder({"abc.py": b"one", "typing.py": b"two", "empty": b""}))
    assert [file.path for file in found.side(held_out=True)] == ["abc.py"]
    assert [file.path for file in found.side(held_out=False)] == ["empty", "typing.py"]
    assert [found.text(held_out=side) for side in (True, False)] == [b"one", b"two"]


def test_a_side_without_text_names_the_nearest_file(folder):
    root = folder({"typing.py": b"two", "json/decoder.py": b"one"})
    expected = "has no text to hold out: of its 2 files with text none has a number below 10, which is the CRC-32 of "
    with pytest.raises(ValueError, match=f"{expected}its path modulo 100; 'typing.py' comes nearest with 43"):
        corpus(root).side(held_out=True)
    for path in ("typing.py", "json/decoder.py"):
        (root / path).rename(root / path.replace("typing", "abc").replace("json/decoder", "ast"))
    with pytest.raises(ValueError, match=r"has no text to train on: .* none has a number of 10 or above, .*'ast.py'"):
        corpus(root).side(held_out=False)


def test_a_folder_without_text_says_what_is_there(folder):
    root = folder({"a.png": b"\0", "b.png": b"\0", "c.txt": b"\xff", "d.txt": b"", ".e.txt": b"hidden"})
    with pytest.raises(
        ValueError, match=r"has no text: of its 4 files 2 with a NUL byte, 1 not UTF-8, 1 empty, such as"
    ):
        corpus(root)
    with pytest.raises(
        ValueError, match=r"of its 4 files 4 without one of the suffixes \.md, \.py; accepted are files"
    ):
        corpus(root, suffixes=(".md", ".py"))
    (root.parent / "nothing").mkdir()
    with pytest.raises(ValueError, match="of its 0 files there is none; accepted are files that are UTF-8"):
        corpus(root.parent / "nothing")


def test_no_folder(folder):
    root = folder({"a.txt": b"one"})
    with pytest.raises(NotADirectoryError, match="is a file: accepted is a folder"):
        corpus(root / "a.txt")
    with pytest.raises(FileNotFoundError, match="is not there: accepted is a folder"):
        corpus(root / "missing")


def test_what_cannot_be_read_is_named(folder, monkeypatch):
    root = folder({"a.txt": b"one"})

    def refuse(self, mode):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match=r"a file of text cannot be read \(Permission denied\); .*a\.txt'"):
        corpus(root)


@pytest.mark.parametrize("part", [1, 2, 3, 5, 100])
def test_parts_are_all_of_it_and_end_with_a_line_or_a_character(folder, monkeypatch, part):
    text = "aü€𝄞\n\nzweite Zeile 𝄞𝄞𝄞"
    document = corpus(folder({"a.txt": text.encode()})).files[0]
    monkeypatch.setattr(below, "PART", part)
    parts = list(document.parts())
    assert "".join(one.decode() for one in parts) == text
    assert all(parts)
    assert part < 100 or len(parts) == 2


def test_a_file_that_changes_meanwhile(folder):
    root = folder({"a.txt": b"one"})
    document = corpus(root).files[0]
    (root / "a.txt").write_bytes(b"three")
    with pytest.raises(ValueError, match=r"'a\.txt' in .* has 5 bytes and had 3 when its folder was read"):
        _ = document.content
