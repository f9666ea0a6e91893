"""What a language model is trained on: text as token files, which a run that goes on finds as it left them."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental import multihost_utils

from jaxlab import text
from jaxlab.core.files import write_atomically
from jaxlab.core.hyper import RunError

SIDES = ("training", "held_out")
NAME = "text.json"


class Tokens(NamedTuple):
    """The token files of both sides."""

    training: text.TokenFile
    held_out: text.TokenFile


@dataclasses.dataclass(frozen=True)
class Source:
    """A folder of text, a tokenizer, and where their token files lie.

    Attributes:
      corpus, tokenizer: what is read, and by what.
      cache: the folder of the token files. Their names say what they were made of and by what, so runs may share it.
    """

    corpus: text.Corpus
    tokenizer: text.Tokenizer
    cache: Path

    @property
    def is_python(self) -> bool:
        """Whether most of the text is Python."""
        files = self.corpus.files
        return 2 * sum(file.size for file in files if file.path.endswith(".py")) > self.corpus.size

    def path(self, side: str) -> Path:
        """Where a side's token file lies, or will."""
        return self.cache / f"{self.corpus.digest[:16]}-{self.tokenizer.digest[:16]}-{side}.tokens"

    def open(self, side: str) -> text.TokenFile | None:
        """A side's token file, read and found whole; None where there is none.

        Raises:
          ValueError: it is truncated, changed, or of another text or tokenizer.
        """
        if not self.path(side).exists():
            return None
        try:
            file = text.open_tokens(self.path(side), self.tokenizer)
            file.check_content()
        except ValueError as error:
            raise ValueError(f"{error}. Remove the file, and the run makes it again") from error
        if file.corpus_digest != self.corpus.digest:
            raise ValueError(
                f"{file.path} was made of text with SHA-256 {file.corpus_digest[:12]}, and this text has "
                f"{self.corpus.digest[:12]}: accepted is its own; remove the file and it is made again"
            )
        return file

    def tokens(self) -> Tokens:
        """The token files, of which those that are not there are made, by the first process alone.

        Raises:
          RunError: one that is there cannot be used, or cannot be made.
        """
        try:
            if jax.process_index() == 0:
                self.cache.mkdir(parents=True, exist_ok=True)
                for side in SIDES:
                    if not self.path(side).exists():
                        text.write_tokens(self.path(side), self.corpus, self.tokenizer, held_out=side == "held_out")
            if jax.process_count() > 1:
                multihost_utils.sync_global_devices("token files")
            training, held_out = map(self.open, SIDES)
        except (ValueError, OSError) as error:
            raise RunError(str(error)) from error
        assert training is not None
        assert held_out is not None
        return Tokens(training, held_out)

    def identity(self, tokens: Tokens) -> dict[str, Any]:
        """What a run remembers of its text."""
        return {
            "corpus": {"name": self.corpus.name, "digest": self.corpus.digest},
            "tokenizer": {
                "name": self.tokenizer.name,
                "vocabulary": self.tokenizer.vocabulary,
                "digest": self.tokenizer.digest,
            },
            "tokens": {side: file.content_digest for side, file in zip(SIDES, tokens, strict=True)},
        }


def read(folder: Path | None, tokenizer: Path | None, cache: Path) -> Source:
    """The text and its tokenizer, both sides of it with some text.

    Raises:
      ValueError, OSError, ImportError: no text, none on one of the sides, no such tokenizer.
    """
    by = text.tokenizer("bytes" if tokenizer is None else tokenizer)
    corpus = text.corpus(folder)
    for held_out in (False, True):
        corpus.side(held_out=held_out)
    return Source(corpus, by, cache)


def check_length(source: Source, context: int, batch_size: int) -> None:
    """Refuses text that is too short, as far as its length in bytes tells.

    Raises:
      ValueError: not even one batch for training, or one window to evaluate.
    """
    for held_out, needed in ((False, batch_size * context), (True, context)):
        files = source.corpus.side(held_out=held_out)
        # No tokenizer makes more tokens than bytes, and one separator for each document.
        most = sum(file.size + 1 for file in files)
        if most < needed:
            what = "windows are as long as" if held_out else f"a batch is batch_size = {batch_size} times"
            raise ValueError(
                f"context = {context}: the {'held-out' if held_out else 'training'} side of {source.corpus.describe()} "
                f"has at most {most:,} tokens, and {what} the context; accepted is a shorter one, or more text"
            )


def check_unchanged(source: Source, run: Path) -> None:
    """Refuses to go on with other text than the run began with, before anything is compiled.

    Raises:
      ValueError: another text, another tokenizer, a token file that is truncated or has other tokens; both sides are
        named.
    """
    path = run / NAME
    if not path.exists():  # It was stopped before it had made its token files.
        return
    saved, corpus, tokenizer = _remembered(path), source.corpus, source.tokenizer
    if saved["tokenizer"]["digest"] != tokenizer.digest:
        was = saved["tokenizer"]
        raise ValueError(
            f"{run} was trained with the tokenizer {was['name']} (vocabulary {was['vocabulary']:,}, SHA-256 "
            f"{was['digest'][:12]}), and what is there now is {tokenizer}: accepted is the one that it began with"
        )
    if saved["corpus"]["digest"] != corpus.digest:
        raise ValueError(
            f"{run} was trained on {saved['corpus']['name']} with SHA-256 {saved['corpus']['digest'][:12]}, and in "
            f"{corpus.root} there is now {corpus.describe()}: accepted is the text that it began with, to the byte"
        )
    for side in SIDES:
        file = source.open(side)
        if file is not None and file.content_digest != saved["tokens"][side]:
            raise ValueError(
                f"{file.path} has tokens with SHA-256 {file.content_digest[:12]}, and {run} was trained on "
                f"{saved['tokens'][side][:12]}: accepted are those that it began with; remove the file and it is made "
                "again"
            )


def remember(source: Source, tokens: Tokens, run: Path) -> dict[str, Any]:
    """Writes into the run's folder which text it is, if that is not there.

    Raises:
      RunError: token files that were made again are not what they were.
    """
    identity, path = source.identity(tokens), run / NAME
    if not path.exists():
        if jax.process_index() == 0:
            write_atomically(path, json.dumps(identity, indent=1) + "\n")
        return identity
    saved = _remembered(path)
    if saved != identity:
        raise RunError(
            f"the token files that were made again have SHA-256 {identity['tokens']}, and {run} was trained on "
            f"{saved['tokens']}: accepted is a tokenizer of the same version"
        )
    return identity


def _remembered(path: Path) -> dict[str, Any]:
    """What :func:`remember` wrote."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        digests = saved["corpus"]["digest"], saved["tokenizer"]["digest"], *(saved["tokens"][side] for side in SIDES)
    except (ValueError, KeyError, TypeError):
        saved, digests = {}, (None,)
    if not all(isinstance(digest, str) for digest in digests):
        raise ValueError(f"{path} does not say what the run was trained on: accepted is what the run wrote")
    return saved
