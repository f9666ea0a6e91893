"""Text for language models: any folder of it, as tokens in a file, as batches of windows."""

from jaxlab.text.corpus import Corpus, Document, corpus, standard_library
from jaxlab.text.held_out import HeldOut
from jaxlab.text.stream import Stream
from jaxlab.text.tokenizer import Bytes, Subwords, Tokenizer, tokenizer
from jaxlab.text.tokens import TokenFile, open_tokens, write_tokens

__all__ = [
    "Bytes",
    "Corpus",
    "Document",
    "HeldOut",
    "Stream",
    "Subwords",
    "TokenFile",
    "Tokenizer",
    "corpus",
    "open_tokens",
    "standard_library",
    "tokenizer",
    "write_tokens",
]
