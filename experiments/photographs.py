"""A folder of real photographs of five classes, free and offline: those that come with the game GCompris.

``apt-get install gcompris-qt-data`` (Debian, Ubuntu; 44 MB) brings some two hundred photographs of animals, fish,
monuments, tools and windmills, 320 to 1,920 pixels long, each with its author, its source and a free licence (most are
in the public domain or CC0). ``python -m experiments.photographs`` writes them, unchanged, into one folder a class, for
``python -m experiments.transfer --images photos`` and for ``jaxlab.images.open_images``, with their credits.
"""

import dataclasses
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import tyro

from experiments import cli

GAME = Path("/usr/share/gcompris-qt/rcc")

CLASSES = {
    "animal": (("explore_farm_animals", r"animals/\w+"), ("explore_world_animals", r"animals/\w+"), ("erase", r"\w+")),
    "fish": (("categorization", r"images/fishes/\w+"),),
    "monument": (("categorization", r"images/monuments/\w+"), ("explore_monuments", r"\w+/\w+")),
    "tool": (("categorization", r"images/tools/\w+"),),
    "windmill": (("categorization", r"images/renewable/windmill\d*"),),
}
"""Of each class the game's activities that have photographs of it, and where they are among its resources."""

FREE = re.compile(r"public domain|CC0-1\.0|CC-BY(-SA)?[- ][\d.]+|GPLv[23]\+?", re.IGNORECASE)
"""Free licences: with any other one, or where it is not told, a photograph is left out."""

_COMPRESSED, _FOLDER, _ZSTANDARD = 1, 2, 4


@dataclasses.dataclass(frozen=True)
class Config:
    """Writes the folder.

    Attributes:
      out: a folder that is not there yet.
      game: where the game's resources are.
    """

    out: Path = Path("photos")
    game: Path = GAME


@dataclasses.dataclass(frozen=True)
class Photograph:
    """One of them.

    Attributes:
      path: in the folder to be written: the class, then the activity and the name.
      content: the file.
      author, licence, source: as the game tells.
    """

    path: str
    content: bytes
    author: str
    licence: str
    source: str


def photographs(game: Path) -> Iterator[Photograph]:
    """All of them in one order, each once: where two activities show one photograph, the first one's.

    Raises:
      OSError: the game's resources are not there; says how to get them.
      ValueError: one is damaged; names it.
    """
    seen = set()
    for name, places in CLASSES.items():
        for activity, called in places:
            for photograph in _of_activity(game / f"{activity}.rcc", name, called):
                if photograph.source not in seen:
                    seen.add(photograph.source)
                    yield photograph


def read_resources(path: Path) -> dict[str, bytes]:
    """The files in one of Qt's resource files (format 1 to 3), by their names.

    Raises:
      OSError: there is none; says how to get those of the game.
      ValueError: it is another file, a damaged one, or one that is compressed in a way that Python cannot read.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: `apt-get install gcompris-qt-data` brings the game's files to {GAME}; --game says "
            "where else they are"
        )
    content = path.read_bytes()
    try:
        word, version, tree, data, names = struct.unpack_from(">4sIIII", content)
        if word != b"qres" or version not in (1, 2, 3):
            raise ValueError(f"begins with {content[:8]!r}")
        return dict(_below(content, (tree, data, names), 14 if version == 1 else 22, 0, PurePosixPath("/")))
    except (ValueError, struct.error, zlib.error, RecursionError) as error:
        raise ValueError(f"{path} is no resource file of Qt's that can be read here: {error}") from error


def credited(readme: str) -> dict[str, tuple[str, str, str]]:
    r"""Of each file that a README of the game lists: its author, its licence, its source.

    Files without all three are left out.

    >>> credited("Copyright: Me\nSource: here\nLicense: CC0-1.0\nFiles:\na.webp\nb.webp\n\nFiles: c.webp\n")
    {'a.webp': ('Me', 'CC0-1.0', 'here'), 'b.webp': ('Me', 'CC0-1.0', 'here')}
    """
    found = {}
    for paragraph in re.split(r"\n\s*\n", readme):
        told, _, files = paragraph.partition("Files:")
        fields = [re.search(rf"^{field}: *(.+)$", told, re.MULTILINE) for field in ("Copyright", "License", "Source")]
        author, licence, source = (field[1].strip() if field else "" for field in fields)
        if author and licence and source:
            found.update(dict.fromkeys(files.split(), (author, licence, source)))
    return found


def _of_activity(path: Path, name: str, called: str) -> Iterator[Photograph]:
    files = read_resources(path)
    for readme in sorted(file for file in files if file.endswith("/README")):
        folder = readme.removesuffix("README")
        for file, (author, licence, source) in sorted(credited(files[readme].decode()).items()):
            whole = folder + file
            here = whole.partition("/resource/")[2].removesuffix(".webp")
            if re.fullmatch(called, here) and whole in files and FREE.fullmatch(licence):
                target = f"{name}/{path.stem}-{PurePosixPath(file).name}"
                yield Photograph(target, files[whole], author, licence, source)


def _below(
    content: bytes, parts: tuple[int, int, int], size: int, number: int, folder: PurePosixPath
) -> Iterator[tuple[str, bytes]]:
    """The files of one folder and of those in it, which are entries of ``size`` bytes; Qt's numbers are big-endian."""
    tree, data, names = parts
    name_at, flags = struct.unpack_from(">IH", content, tree + number * size)
    path = folder
    if number:
        (length,) = struct.unpack_from(">H", content, names + name_at)
        start = names + name_at + 6
        path = folder / content[start : start + 2 * length].decode("utf-16-be")
    if flags & _FOLDER:
        count, first = struct.unpack_from(">II", content, tree + number * size + 6)
        for child in range(first, first + count):
            yield from _below(content, parts, size, child, path)
        return
    (offset,) = struct.unpack_from(">I", content, tree + number * size + 10)
    (length,) = struct.unpack_from(">I", content, data + offset)
    start = data + offset + 4
    found = content[start : start + length]
    if flags & _ZSTANDARD or len(found) < length:
        raise ValueError(f"{path} is {'compressed by Zstandard' if flags & _ZSTANDARD else 'cut off'}")
    yield str(path), zlib.decompress(found[4:]) if flags & _COMPRESSED else found


def write(out: Path, game: Path) -> Mapping[str, int]:
    """Writes the folder, with ``CREDITS.txt`` beside the classes; how many photographs each has.

    Raises:
      OSError: the folder is there already, or the game is not.
      ValueError: a file of the game is damaged.
    """
    if out.exists():
        raise FileExistsError(f"--out {out} is there already: accepted is a folder that is not")
    found = list(photographs(game))
    for photograph in found:
        (out / photograph.path).parent.mkdir(parents=True, exist_ok=True)
        (out / photograph.path).write_bytes(photograph.content)
    lines = (f"{one.path}\t{one.licence}\t{one.author}\t{one.source}" for one in found)
    (out / "CREDITS.txt").write_text("\n".join(["file\tlicence\tauthor\tsource", *lines, ""]), encoding="utf-8")
    return {name: sum(one.path.startswith(f"{name}/") for one in found) for name in CLASSES}


def main() -> None:
    """The command."""
    config = tyro.cli(Config, description=__doc__)
    try:
        counts = write(config.out, config.game)
    except (OSError, ValueError) as error:
        cli.fail(str(error))
    listed = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{config.out}: {sum(counts.values())} photographs ({listed})")


if __name__ == "__main__":
    main()
