"""Text that is on every machine, the Python standard library's own source, and the words in it."""

import functools
import re
from pathlib import Path

from jaxlab.text import Corpus, standard_library

_TOKEN = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*|[0-9][A-Za-z0-9_.]*|[^\sA-Za-z0-9_]")
_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")


@functools.cache
def library(folder: Path | None = None) -> Corpus:
    """The library's files, looked up once for all tasks; see :func:`jaxlab.text.standard_library`."""
    return standard_library(folder)


def module(path: str) -> str:
    """The top-level module or package that a file of the library belongs to.

    >>> module("json/decoder.py"), module("ast.py")
    ('json', 'ast')
    """
    return path.split("/", maxsplit=1)[0].removesuffix(".py")


def tokens(text: bytes) -> list[bytes]:
    """Words, numbers and single signs, in their order; space separates and is dropped.

    >>> tokens(b"x_1 += f(2.5)  # so")
    [b'x_1', b'+', b'=', b'f', b'(', b'2.5', b')', b'#', b'so']
    """
    return _TOKEN.findall(text)


def identifiers(text: bytes) -> list[bytes]:
    """Words alone, keywords and those of comments too.

    >>> identifiers(b"x_1 += f(2.5)  # so")
    [b'x_1', b'f', b'so']
    """
    return _IDENTIFIER.findall(text)
