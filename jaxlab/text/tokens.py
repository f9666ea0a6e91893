"""Token files: a text as tokens on the disk, mapped into memory, which cannot be taken for another or for a part.

The header has 256 bytes, numbers little-endian: the magic word, the format's version, the bytes of one token, how many
tokens there are, their vocabulary, the bytes of text that they stand for, three SHA-256 (of the tokenizer, of the
corpus, of the tokens), and the CRC-32 of all this. Then the tokens follow, little-endian, and nothing else.
"""

import dataclasses
import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from jaxlab.core.files import replacing
from jaxlab.text.corpus import Corpus, Document
from jaxlab.text.tokenizer import Tokenizer, Tokens, token_dtype

MAGIC, VERSION, HEADER = b"jaxlabTK", 1, 256
TOGETHER = 2**22
"""How many bytes of text a tokenizer is given at a time, in many parts, for all cores."""

_FIELDS = struct.Struct("<8sIIQQQ32s32s32s")
_CHECKSUM = struct.Struct("<I")


@dataclasses.dataclass(frozen=True, eq=False)
class TokenFile:
    """A file of tokens that was opened; :func:`open_tokens` and :func:`write_tokens` make it.

    Attributes:
      path: where it lies.
      tokens: all of them, read-only, on the disk until they are used.
      vocabulary: every token is below this number.
      text_bytes: how many bytes of text they stand for; separators stand for none.
      tokenizer_digest: which tokenizer made them.
      corpus_digest: from which corpus they are.
      content_digest: SHA-256 of the tokens; equal for equal tokens alone.
    """

    path: Path
    tokens: Tokens
    vocabulary: int
    text_bytes: int
    tokenizer_digest: str
    corpus_digest: str
    content_digest: str

    @property
    def bytes_per_token(self) -> float:
        """Of text, on average: nats a token, divided by this and by ln 2, are bits a byte."""
        return self.text_bytes / len(self.tokens)

    def check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Refuses a tokenizer other than the one that made this file.

        Raises:
          ValueError: its vocabulary or its digest is another; both are named.
        """
        if (tokenizer.vocabulary, tokenizer.digest) != (self.vocabulary, self.tokenizer_digest):
            raise ValueError(
                f"{self.path} was made by a tokenizer with vocabulary {self.vocabulary:,} and SHA-256 "
                f"{self.tokenizer_digest[:12]}, and the tokenizer given is {tokenizer}: accepted is the one that made "
                "it; or make the file again with this one"
            )

    def check_content(self) -> None:
        """Reads all of the file and refuses it where a token is not what was written.

        Raises:
          ValueError: the tokens have another SHA-256, or one is outside the vocabulary.
        """
        total = hashlib.sha256()
        length = TOGETHER // self.tokens.itemsize
        for start in range(0, len(self.tokens), length):
            part = self.tokens[start : start + length]
            total.update(part.tobytes())
            if part.max() >= self.vocabulary:
                raise ValueError(
                    f"{self.path} has token {part.max()} at {start + int(part.argmax())}: accepted are tokens below "
                    f"its vocabulary, {self.vocabulary}; make it again"
                )
        if total.hexdigest() != self.content_digest:
            raise ValueError(
                f"{self.path} was changed: its tokens have SHA-256 {total.hexdigest()[:12]}, and its header says "
                f"{self.content_digest[:12]}; make it again"
            )


def write_tokens(path: str | Path, corpus: Corpus, tokenizer: Tokenizer, *, held_out: bool | None = None) -> TokenFile:
    """Encodes a corpus, a few millions of bytes at a time, into a file that is whole or not there.

    Documents follow each other by path, each ended by the tokenizer's separator, empty ones left out. Of a document
    longer than a part (256 KiB), parts are encoded alone: where two meet, after a line, a token that would reach
    across is two.

    Args:
      path: the file, replaced when the new one is complete.
      corpus: what to encode.
      tokenizer: by what.
      held_out: the held-out files, the others (False), or all.

    Raises:
      OSError: a file cannot be read, or the new one cannot be written.
      ValueError: there is nothing to encode; text or a token that cannot be.

    >>> import tempfile
    >>> from jaxlab.text import Bytes, corpus
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "a.txt").write_bytes(b"ab"), (folder / "b.txt").write_bytes(b"c")
    (2, 1)
    >>> made = write_tokens(folder / "all.tokens", corpus(folder), Bytes())
    >>> made.tokens.tolist(), made.text_bytes
    ([97, 98, 0, 99, 0], 3)
    """
    documents = corpus.files if held_out is None else corpus.side(held_out=held_out)
    count, total = 0, hashlib.sha256()
    with replacing(path) as file:
        file.write(bytes(HEADER))  # As long as there are zeros it is no token file.
        for tokens in _encoded(documents, tokenizer):
            if len(tokens) and tokens.max() >= tokenizer.vocabulary:
                raise ValueError(f"{tokenizer} made token {tokens.max()}: accepted are tokens below its vocabulary")
            content = tokens.astype(tokenizer.dtype, copy=False).tobytes()
            file.write(content)
            total.update(content)
            count += len(tokens)
        if not count:
            raise ValueError(f"{corpus.describe()} makes no tokens: accepted is text")
        file.seek(0)
        file.write(
            _header(
                MAGIC,
                VERSION,
                tokenizer.dtype.itemsize,
                count,
                tokenizer.vocabulary,
                sum(document.size for document in documents),
                bytes.fromhex(tokenizer.digest),
                bytes.fromhex(corpus.digest),
                total.digest(),
            )
        )
    return open_tokens(path, tokenizer)


def open_tokens(path: str | Path, tokenizer: Tokenizer | None = None) -> TokenFile:
    """Opens a file of tokens; its header and its length are checked, and no token is read.

    Args:
      path: the file.
      tokenizer: refused if it is not the one that made the file.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is no token file, or not all of it or more than it, or another tokenizer's.
    """
    path = Path(path)
    with path.open("rb") as file:
        header = file.read(HEADER)
    again = "accepted is a file that write_tokens made; make it again"
    if header[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{path} is no token file, or one whose writing was interrupted: {again}")
    if len(header) < HEADER:
        raise ValueError(f"{path} is truncated: its header has {len(header)} of {HEADER} bytes; {again}")
    _, version, itemsize, count, vocabulary, text_bytes, *digests = _FIELDS.unpack_from(header)
    if version != VERSION:
        raise ValueError(f"{path} has format {version}, and {VERSION} is what this jaxlab reads: {again}")
    if header != _header(*_FIELDS.unpack_from(header)) or token_dtype(vocabulary).itemsize != itemsize or not count:
        raise ValueError(f"{path} has a damaged header: {again}")
    excess = path.stat().st_size - HEADER - count * itemsize
    if excess < 0:
        missing = -(excess // itemsize)
        raise ValueError(f"{path} is truncated: of its {count:,} tokens {missing:,} are missing; {again}")
    if excess > 0:
        raise ValueError(f"{path} has {excess:,} bytes behind its {count:,} tokens: {again}")
    # A plain array on the mapped file, for each slice of a memmap is a Python object with a dict.
    tokens = np.memmap(path, token_dtype(vocabulary), "r", HEADER, (count,)).view(np.ndarray)
    opened = TokenFile(path, tokens, vocabulary, text_bytes, *(digest.hex() for digest in digests))
    if tokenizer is not None:
        opened.check_tokenizer(tokenizer)
    return opened


def _header(*fields: bytes | int) -> bytes:
    packed = _FIELDS.pack(*fields)
    return (packed + _CHECKSUM.pack(zlib.crc32(packed))).ljust(HEADER, b"\0")


def _encoded(documents: Iterable[Document], tokenizer: Tokenizer) -> Iterator[Tokens]:
    """The tokens of all documents, in order."""
    end = np.array([] if tokenizer.separator is None else [tokenizer.separator], tokenizer.dtype)
    texts: list[bytes] = []
    ends: list[bool] = []
    size = 0
    for text, ended in _parts(documents):
        texts.append(text)
        ends.append(ended)
        size += len(text)
        if size >= TOGETHER:
            yield _joined(tokenizer.encode_all(texts), ends, end)
            texts, ends, size = [], [], 0
    if texts:
        yield _joined(tokenizer.encode_all(texts), ends, end)


def _parts(documents: Iterable[Document]) -> Iterator[tuple[bytes, bool]]:
    """The parts of every document, and whether each is its last."""
    for document in documents:
        last = None
        for part in document.parts():
            if last is not None:
                yield last, False
            last = part
        if last is not None:
            yield last, True


def _joined(encoded: list[Tokens], ends: list[bool], end: Tokens) -> Tokens:
    return np.concatenate(
        [
            piece
            for tokens, ended in zip(encoded, ends, strict=True)
            for piece in ((tokens, end) if ended else (tokens,))
        ]
    )
