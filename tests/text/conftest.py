"""Folders of text."""

import pytest

from jaxlab.text import Bytes, corpus, write_tokens


@pytest.fixture
def folder(tmp_path):
    """Makes a folder with these files."""

    def make(files):
        root = tmp_path / "text"
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return root

    return make


@pytest.fixture
def token_file(folder, tmp_path):
    """Makes a token file of one text."""

    def make(text, tokenizer=None):
        return write_tokens(tmp_path / "text.tokens", corpus(folder({"a.txt": text})), tokenizer or Bytes())

    return make
