"""What a language model writes, and how much of it reads as Python."""

import io
import tokenize
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxlab import text, verdict

TEMPERATURE = 0.5
PROMPTS = ("", "import ", "def ", "class ")
"""How Python may begin; other text begins from nothing."""


class Judged(NamedTuple):
    """Lines of code: how many pass, how many there are, and the share's interval over the texts that they are from."""

    passed: int
    lines: int
    interval: tuple[float, float]

    @property
    def share(self) -> float:
        """Of the lines that are not blank; not a number where there is none."""
        return self.passed / self.lines if self.lines else float("nan")


def beginnings(tokenizer: text.Tokenizer, count: int, *, python: bool) -> Int[np.ndarray, "count given"]:
    """What each text begins with: empty lines that make all of one length, the end of a document, and the prompt."""
    chosen = [(PROMPTS if python else PROMPTS[:1])[i % (len(PROMPTS) if python else 1)] for i in range(count)]
    own = [tokenizer.encode(prompt).astype(np.int32) for prompt in chosen]
    line = tokenizer.encode("\n").astype(np.int32)[-1:]
    start = line if tokenizer.separator is None else np.array([tokenizer.separator], np.int32)
    longest = max(map(len, own))
    return np.stack([np.concatenate([*[line] * (longest - len(some)), start, some]) for some in own])


def texts(
    tokenizer: text.Tokenizer, begun: Int[np.ndarray, "n given"], written: Int[np.ndarray, "n more"]
) -> list[str]:
    """The texts, each with its beginning; where a document ends and the next one begins there is a new line."""
    return [_decoded(tokenizer, row) for row in np.concatenate([begun, written], axis=1)]


def _decoded(tokenizer: text.Tokenizer, tokens: Int[np.ndarray, " n"]) -> str:
    ends = np.flatnonzero(tokens == tokenizer.separator) if tokenizer.separator is not None else np.array([], int)
    parts = [tokenizer.decode(part[part != tokenizer.separator]) for part in np.split(tokens, ends)]
    return "\n".join(part.rstrip("\n") if i < len(parts) - 1 else part for i, part in enumerate(parts)).lstrip("\n")


def judged(written: list[str]) -> Judged:
    """How many of the lines that are not blank pass :func:`tokenizes`, each alone.

    The last line of a text is left out: it is where the writing was cut off.
    """
    passed, counts = [], []
    for one in written:
        lines = [line for line in one.split("\n")[:-1] if line.strip()]
        passed.append(sum(map(tokenizes, lines)))
        counts.append(len(lines))
    shares = [part / count for part, count in zip(passed, counts, strict=True) if count]
    low, high = verdict.t_interval(shares) if len(shares) > 1 else (0.0, 1.0)
    return Judged(sum(passed), sum(counts), (max(0.0, low), min(1.0, high)))


def tokenizes(line: str) -> bool:
    """Whether a line, without its indentation, passes Python's ``tokenize`` alone.

    Strict: a string or a bracket that is open at the end of the line does not, nor does a backslash there, nor a sign
    that Python does not know, though the lines around it might make it right.

    >>> [tokenizes(line) for line in ("    return x", "def f(x):", "f(", 'x = "a', "a ? b", "'''a")]
    [True, True, False, False, False, False]
    """
    try:
        found = list(tokenize.generate_tokens(io.StringIO(line.strip() + "\n").readline))
    except (tokenize.TokenError, SyntaxError):
        return False
    # What Python 3.12 refuses is a token of its own kind before.
    return all(token.type != tokenize.ERRORTOKEN for token in found)
