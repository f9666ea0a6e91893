"""Tokens and text, there and back, and files that are no tokenizer."""

import builtins
import json

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from jaxlab.text import Bytes, Subwords, tokenizer

TEXT = "def f(x):\r\n    return x  # é€𝄞\n"


@pytest.fixture(scope="module")
def trained():
    """A byte-level BPE of 300 tokens with an end of text, numbered 0."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<mark>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([TEXT, "return to the returned text"] * 3, trainer)
    return made


@pytest.fixture
def saved(trained, tmp_path):
    path = tmp_path / "tokenizer.json"
    trained.save(str(path))
    return path


@pytest.mark.parametrize("text", ["", "a", TEXT, "\ufeffab\x01\x7f"])
def test_there_and_back(saved, text):
    for one in (Bytes(), Subwords(saved)):
        encoded = one.encode(text)
        assert one.decode(encoded) == text
        assert one.encode(text.encode()).tolist() == encoded.tolist()
        assert encoded.dtype == one.dtype
        separated = [*encoded.tolist(), one.separator]
        assert one.decode(separated) == text


def test_bytes_are_bytes():
    assert Bytes().encode(TEXT).tolist() == list(TEXT.encode())
    assert Bytes().decode([0xFF, 0x41]) == "\ufffdA"
    with pytest.raises(ValueError, match="text has a NUL byte at 2: accepted is text without"):
        Bytes().encode("ab\0c")


def test_subwords_are_the_librarys_own(saved, trained):
    ours = Subwords(saved)
    assert ours.encode(TEXT).tolist() == trained.encode(TEXT).ids
    assert len(ours.encode(TEXT)) < len(TEXT.encode())
    assert (ours.vocabulary, ours.separator, ours.dtype) == (trained.get_vocab_size(), 0, np.uint16)
    assert ours.encode("a<|endoftext|>").tolist()[-1] == 0


def test_many_at_once_are_each_alone(saved):
    texts = [TEXT, "", "x"]
    for one in (Bytes(), Subwords(saved)):
        assert [tokens.tolist() for tokens in one.encode_all(texts)] == [one.encode(text).tolist() for text in texts]


def test_truncation_padding_and_templates_of_the_file_are_off(trained, tmp_path):
    plain = trained.encode(TEXT).ids
    other = Tokenizer.from_str(trained.to_str())
    other.enable_truncation(3)
    other.enable_padding(length=1000)
    other.post_processor = processors.TemplateProcessing(single="<mark> $A", special_tokens=[("<mark>", 1)])
    other.save(str(tmp_path / "other.json"))
    assert Subwords(tmp_path / "other.json").encode(TEXT).tolist() == plain


def test_the_separator_is_the_files_or_ones_own(saved, trained, tmp_path):
    marked = Subwords(saved, separator="<mark>")
    assert marked.separator == 1
    assert marked.digest != Subwords(saved).digest
    with pytest.raises(ValueError, match=r"separator = '<end>': .* has no such token; accepted is one that ends"):
        Subwords(saved, separator="<end>")
    content = json.loads(trained.to_str().replace("<|endoftext|>", "<other>"))
    (tmp_path / "none.json").write_text(json.dumps(content), encoding="utf-8")
    assert Subwords(tmp_path / "none.json").separator is None


def test_numbers_with_gaps_and_many_of_them(tmp_path):
    words = Tokenizer(models.WordLevel({"a": 0, "b": 69_999}, unk_token="a"))
    words.add_special_tokens([AddedToken("</s>", special=True)])
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "words.json"))
    found = Subwords(tmp_path / "words.json")
    assert (found.vocabulary, found.dtype) == (70_000, np.uint32)
    assert found.encode("b a c").tolist() == [69_999, 0, 0]
    assert found.separator == 2


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'{"model": {}}', b"text", b"\xff\xfe", b'{"version": "1.0", "model'], ids=repr
)
def test_files_that_are_no_tokenizer(tmp_path, content):
    (tmp_path / "wrong.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"wrong\.json' is no tokenizer \(.+\): accepted is a JSON file of Hugging"):
        Subwords(tmp_path / "wrong.json")


def test_a_tokenizer_that_was_never_trained(tmp_path):
    Tokenizer(models.BPE()).save(str(tmp_path / "empty.json"))
    with pytest.raises(ValueError, match="knows no tokens: accepted is one that was trained"):
        Subwords(tmp_path / "empty.json")


def test_names(saved, tmp_path):
    assert isinstance(tokenizer(), Bytes)
    assert tokenizer(saved).digest == tokenizer(str(saved)).digest == Subwords(saved).digest
    with pytest.raises(FileNotFoundError, match="no such file; accepted are 'bytes' and a file of Hugging Face's"):
        tokenizer(tmp_path / "missing.json")


def test_without_the_package_the_message_says_how_to_get_it(saved, monkeypatch):
    original = builtins.__import__

    def refuse(name, *arguments):
        if name == "tokenizers":
            raise ModuleNotFoundError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"needs the package tokenizers: pip install 'jaxlab\[text\]'; or take"):
        Subwords(saved)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([256], "tokens from 256 to 256: accepted are whole numbers from 0 to 255"),
        ([-1, 3], "tokens from -1 to 3: accepted are"),
        ([0.5], r"tokens of shape \(1,\) and type float64: accepted is one axis of whole numbers"),
        ([[1]], r"tokens of shape \(1, 1\) and type int64: accepted is one axis"),
    ],
)
def test_what_is_no_tokens(tokens, message):
    with pytest.raises(ValueError, match=message):
        Bytes().decode(tokens)
    assert Bytes().decode([]) == ""
