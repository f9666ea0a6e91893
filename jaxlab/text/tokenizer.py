"""From text to numbers and back: bytes, or any tokenizer that Hugging Face's tokenizers reads."""

import abc
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import ArrayLike, UInt

END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "<EOS>")
"""Names of the token that ends a document, the likeliest first."""

Tokens = UInt[np.ndarray, " n"]


def token_dtype(vocabulary: int) -> np.dtype:
    """The smallest unsigned type that holds every token, little-endian as in token files.

    >>> [token_dtype(size).name for size in (256, 257, 65_536, 70_000)]
    ['uint8', 'uint16', 'uint16', 'uint32']
    """
    return np.dtype("u1" if vocabulary <= 2**8 else "<u2" if vocabulary <= 2**16 else "<u4")


class Tokenizer(abc.ABC):
    """What tokens a text is made of.

    Attributes:
      name: in words.
      vocabulary: every token is below this number.
      separator: the token that ends every document; None where there is none.
      digest: SHA-256 of all that decides which tokens a text becomes.
    """

    name: str
    vocabulary: int
    separator: int | None
    digest: str

    @property
    def dtype(self) -> np.dtype:
        """The type of :meth:`encode`'s tokens."""
        return token_dtype(self.vocabulary)

    @abc.abstractmethod
    def encode_all(self, texts: Sequence[str | bytes]) -> list[Tokens]:
        """The tokens of several texts, without separators; bytes are UTF-8."""

    @abc.abstractmethod
    def decode(self, tokens: ArrayLike) -> str:
        """The text of one axis of tokens; separators have none, and bytes that are no UTF-8 become U+FFFD."""

    def encode(self, text: str | bytes) -> Tokens:
        """The tokens of one text, without a separator; bytes are UTF-8."""
        return self.encode_all([text])[0]

    def __str__(self) -> str:
        return f"{self.name} (vocabulary {self.vocabulary:,}, SHA-256 {self.digest[:12]})"


class Bytes(Tokenizer):
    """Every byte is a token; byte 0, which no text has, ends a document.

    >>> tokenizer = Bytes()
    >>> tokenizer.encode("é!").tolist(), tokenizer.decode([195, 169, 33, 0])
    ([195, 169, 33], 'é!')
    """

    name = "bytes"
    vocabulary = 256
    separator = 0
    digest = hashlib.sha256(b"bytes, 0 between documents").hexdigest()

    def encode_all(self, texts: Sequence[str | bytes]) -> list[Tokens]:
        """The bytes of each text.

        Raises:
          ValueError: a text with a NUL byte, which would be taken for the end of a document.
        """
        contents = [text.encode() if isinstance(text, str) else text for text in texts]
        for content in contents:
            if b"\0" in content:
                raise ValueError(f"text has a NUL byte at {content.index(0)}: accepted is text without, for 0 ends it")
        return [np.frombuffer(content, np.uint8) for content in contents]

    def decode(self, tokens: ArrayLike) -> str:
        """The text that these bytes are."""
        return _within(tokens, self.vocabulary).astype(np.uint8).tobytes().replace(b"\0", b"").decode(errors="replace")


class Subwords(Tokenizer):
    """A tokenizer from a file of Hugging Face's ``tokenizers``, often called ``tokenizer.json``.

    Texts are encoded whole: truncation and padding that the file asks for are switched off, and so is its template of
    special tokens; ``separator`` alone ends each document. A special token that is spelled out in a text is one token,
    as the library has it.

    Args:
      path: the file.
      separator: the token that ends a document; by default the first of :data:`END_OF_TEXT` that the file knows, else
        nothing stands between documents.

    Raises:
      OSError: the file cannot be read.
      ImportError: the package ``tokenizers`` is not installed; the message says how.
      ValueError: the file holds no tokenizer, or not that separator.
    """

    def __init__(self, path: str | Path, *, separator: str | None = None) -> None:
        content = Path(path).read_bytes()
        self._tokenizer = _parsed(path, content)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        known: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        if not known:
            raise ValueError(f"tokenizer = {str(path)!r} knows no tokens: accepted is one that was trained")
        if separator is not None and separator not in known:
            raise ValueError(
                f"separator = {separator!r}: {str(path)!r} has no such token; accepted is one that ends a document, "
                f"such as {END_OF_TEXT[0]!r}"
            )
        ends = [separator] if separator is not None else [name for name in END_OF_TEXT if name in known]
        self.name = Path(path).name
        # Numbers may have gaps, so that counting tokens would not do.
        self.vocabulary = max(known.values()) + 1
        self.separator = known[ends[0]] if ends else None
        self.digest = hashlib.sha256(content + f"\0{self.separator}".encode()).hexdigest()

    def encode_all(self, texts: Sequence[str | bytes]) -> list[Tokens]:
        """The tokens of each text, on all cores.

        Raises:
          ValueError: bytes that are no UTF-8 (a UnicodeDecodeError).
        """
        decoded = [text if isinstance(text, str) else text.decode() for text in texts]
        found = self._tokenizer.encode_batch_fast(decoded, add_special_tokens=False)
        return [np.array(encoding.ids, self.dtype) for encoding in found]

    def decode(self, tokens: ArrayLike) -> str:
        """The text, without any special tokens."""
        return self._tokenizer.decode(_within(tokens, self.vocabulary).tolist(), skip_special_tokens=True)


def tokenizer(name: str | Path = "bytes") -> Tokenizer:
    """The tokenizer of a name: ``"bytes"``, or else a file as for :class:`Subwords`, whose errors it raises.

    >>> print(tokenizer("bytes"))
    bytes (vocabulary 256, SHA-256 179e15f8accd)
    """
    if name == "bytes":
        return Bytes()
    if not Path(name).is_file():
        raise FileNotFoundError(
            f"tokenizer = {str(name)!r}: no such file; accepted are 'bytes' and a file of Hugging Face's tokenizers, "
            "such as tokenizer.json"
        )
    return Subwords(name)


def _parsed(path: str | Path, content: bytes) -> Any:
    try:
        # Loaded here, for who reads bytes needs none of it.
        from tokenizers import Tokenizer as Parsed  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            f"tokenizer = {str(path)!r} needs the package tokenizers: pip install 'jaxlab[text]'; or take 'bytes'"
        ) from error
    try:
        return Parsed.from_str(content.decode())
    except Exception as error:  # The library has no narrower one.
        raise ValueError(
            f"tokenizer = {str(path)!r} is no tokenizer ({error}): accepted is a JSON file of Hugging Face's "
            "tokenizers, such as tokenizer.json"
        ) from error


def _within(tokens: ArrayLike, vocabulary: int) -> np.ndarray:
    numbers = np.asarray(tokens)
    if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
        raise ValueError(
            f"tokens of shape {numbers.shape} and type {numbers.dtype}: accepted is one axis of whole numbers"
        )
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < vocabulary:
        raise ValueError(
            f"tokens from {numbers.min()} to {numbers.max()}: accepted are whole numbers from 0 to {vocabulary - 1}"
        )
    return numbers
