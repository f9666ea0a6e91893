"""Token files hold what was encoded, and no other file, no part and no other tokenizer's file is taken for one."""

import hashlib
import struct
import zlib

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from jaxlab.text import Bytes, Subwords, corpus, open_tokens, write_tokens
from jaxlab.text import folder as folders
from jaxlab.text import tokens as token_files
from jaxlab.text.tokens import HEADER

FILES = {"abc.py": b"held out\n", "typing.py": b"train\r\n", "dir/x.txt": "träin 2".encode(), "empty": b""}


@pytest.fixture
def words(tmp_path):
    """Makes a tokenizer of whole words, numbered as given."""

    def make(known, end=()):
        made = Tokenizer(models.WordLevel(known, unk_token="?"))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        made.add_special_tokens(list(end))
        made.save(str(tmp_path / f"{len(known)}.json"))
        return Subwords(tmp_path / f"{len(known)}.json")

    return make


def test_both_sides_are_the_files_in_order_each_ended(folder, tmp_path):
    read = corpus(folder(FILES))
    sides = {
        True: b"held out\n\0",
        False: "träin 2\0train\r\n\0".encode(),
        None: "held out\n\0träin 2\0train\r\n\0".encode(),
    }
    for held_out, expected in sides.items():
        made = write_tokens(tmp_path / "out.tokens", read, Bytes(), held_out=held_out)
        assert made.tokens.tobytes() == expected
        assert made.text_bytes == len(expected) - expected.count(b"\0")
        assert made.bytes_per_token == made.text_bytes / len(expected)
        assert made.corpus_digest == read.digest
        assert made.content_digest == hashlib.sha256(expected).hexdigest()
        assert not made.tokens.flags.writeable
        made.check_content()


def test_the_format_is_for_ever(token_file):
    made = token_file(b"ab")
    header = struct.pack("<8sIIQQQ", b"jaxlabTK", 1, 1, 3, 256, 2) + b"".join(
        map(bytes.fromhex, (made.tokenizer_digest, made.corpus_digest, made.content_digest))
    )
    expected = (header + struct.pack("<I", zlib.crc32(header))).ljust(256, b"\0") + b"ab\0"
    assert made.path.read_bytes() == expected


@pytest.mark.parametrize(("last", "dtype"), [(255, "|u1"), (65_535, "<u2"), (69_999, "<u4")])
def test_tokens_are_as_wide_as_the_vocabulary_asks_and_little_endian(words, token_file, last, dtype):
    tokenizer = words({"?": 0, "zwei": 1, "x": last})
    made = token_file(b"x zwei nie x", tokenizer)
    assert made.tokens.dtype.str == dtype
    assert made.vocabulary == last + 1
    assert made.tokens.tolist() == [last, 1, 0, last]
    assert made.path.read_bytes()[HEADER:] == np.array([last, 1, 0, last], dtype).tobytes()
    assert open_tokens(made.path, tokenizer).text_bytes == 12
    made.check_content()


@pytest.mark.parametrize("part", [1, 7, 40])
def test_parts_do_not_show(folder, tmp_path, monkeypatch, part):
    read = corpus(folder({f"{i}.txt": b"line one\nline 2\n\nlast" * i for i in range(6)}))
    whole = write_tokens(tmp_path / "whole", read, Bytes())
    monkeypatch.setattr(folders, "PART", part)
    monkeypatch.setattr(token_files, "TOGETHER", 3 * part)
    parts = write_tokens(tmp_path / "parts", read, Bytes())
    parts.check_content()
    assert parts.content_digest == whole.content_digest
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_words_of_long_documents_do_not_meet_where_lines_end(words, folder, tmp_path, monkeypatch):
    tokenizer = words({"?": 0, "a": 1, "b": 2}, end=["</s>"])
    read = corpus(folder({"1.txt": b"a b\nb a\n\na", "2.txt": b"b"}))
    expected = [1, 2, 2, 1, 1, 3, 2, 3]
    assert write_tokens(tmp_path / "out", read, tokenizer).tokens.tolist() == expected
    monkeypatch.setattr(folders, "PART", 4)
    monkeypatch.setattr(token_files, "TOGETHER", 8)
    assert write_tokens(tmp_path / "out", read, tokenizer).tokens.tolist() == expected


def test_one_token(token_file, words):
    made = token_file(b"x", words({"?": 0, "x": 1}))
    assert made.tokens.tolist() == [1]
    made.check_content()


def test_text_without_tokens(token_file, words, tmp_path):
    with pytest.raises(ValueError, match=r"1 files, 0\.0 MB, SHA-256 [0-9a-f]{12}\) makes no tokens: accepted is text"):
        token_file(b" \n", words({"?": 0}))
    assert not list(tmp_path.glob("*text.tokens*"))


def test_an_interrupted_writing_leaves_the_old_file(token_file, folder, tmp_path, monkeypatch):
    made = token_file(b"ab")
    before = made.path.read_bytes()

    class Interrupted(Bytes):
        def encode_all(self, texts):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tokens(made.path, corpus(folder({"a.txt": b"xyz"})), Interrupted())
    assert made.path.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"text", made.path.name}


def test_what_a_killed_process_leaves_is_no_token_file(folder, tmp_path):
    """The file under its other name, as it is before the header is written."""
    seen = []

    class Watching(Bytes):
        def encode_all(self, texts):
            (hidden,) = tmp_path.glob(".out.*")
            seen.append(hidden.read_bytes()[:HEADER])
            (tmp_path / "left").write_bytes(bytes(HEADER) + b"ab\0")
            return super().encode_all(texts)

    write_tokens(tmp_path / "out", corpus(folder({"a.txt": b"ab"})), Watching())
    assert seen[0].strip(b"\0") == b""
    with pytest.raises(ValueError, match="left is no token file, or one whose writing was interrupted: accepted is a"):
        open_tokens(tmp_path / "left")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda whole: b"", "is no token file, or one whose writing was interrupted"),
        (lambda whole: b"garbage " * 100, "is no token file"),
        (lambda whole: whole[:100], "is truncated: its header has 100 of 256 bytes"),
        (lambda whole: whole[:HEADER], "is truncated: of its 1,001 tokens 1,001 are missing"),
        (lambda whole: whole[:-1], "is truncated: of its 1,001 tokens 1 are missing"),
        (lambda whole: whole[:-100], "is truncated: of its 1,001 tokens 100 are missing"),
        (lambda whole: whole + b"\n", "has 1 bytes behind its 1,001 tokens"),
        (lambda whole: whole[:8] + b"\2" + whole[9:], "has format 2, and 1 is what this jaxlab reads"),
        (lambda whole: whole[:16] + b"\1" + whole[17:], "has a damaged header"),
        (lambda whole: whole[:200] + b"\1" + whole[201:], "has a damaged header"),
    ],
    ids=["empty", "garbage", "header", "none", "one", "hundred", "longer", "version", "count", "padding"],
)
def test_damaged_files(token_file, change, message):
    path = token_file(b"x" * 1_000).path
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{message}.*make it again"):
        open_tokens(path)


def test_half_a_token_is_missing(token_file, words):
    made = token_file(b"x x x", words({"?": 0, "x": 300}))
    made.path.write_bytes(made.path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="of its 3 tokens 2 are missing"):
        open_tokens(made.path)


def test_changed_tokens_are_found_on_request(token_file, words):
    made = token_file(b"x x x", words({"?": 0, "x": 300}))
    whole = bytearray(made.path.read_bytes())
    whole[HEADER + 2] ^= 4
    made.path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"was changed: its tokens have SHA-256 [0-9a-f]{12}, and its header says"):
        open_tokens(made.path).check_content()
    whole[HEADER + 3] = 255
    made.path.write_bytes(whole)
    with pytest.raises(ValueError, match="has token 65320 at 1: accepted are tokens below its vocabulary, 301"):
        open_tokens(made.path).check_content()


def test_another_tokenizer(token_file, words):
    made = token_file(b"ab")
    other = words({"?": 0, "x": 300})
    with pytest.raises(
        ValueError, match=r"vocabulary 256 and SHA-256 179e15f8accd, .* is 2\.json \(vocabulary 301, SHA"
    ):
        open_tokens(made.path, other)
    same_size = words({"?": 0, "x": 255, "y": 254})
    with pytest.raises(ValueError, match=r"and the tokenizer given is 3\.json \(vocabulary 256, SHA-256 "):
        made.check_tokenizer(same_size)
    assert open_tokens(made.path, Bytes()).tokens.tolist() == [97, 98, 0]


def test_a_missing_file_or_folder(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.tokens"):
        open_tokens(tmp_path / "missing.tokens")
    with pytest.raises(FileNotFoundError):
        write_tokens(tmp_path / "none" / "out", corpus(folder({"a.txt": b"a"})), Bytes())


def test_a_folder_whose_side_is_empty(folder, tmp_path):
    with pytest.raises(ValueError, match="has no text to hold out"):
        write_tokens(tmp_path / "out", corpus(folder({"typing.py": b"x"})), Bytes(), held_out=True)
