"""The game's photographs come out of its resource files as they went in, each once, with its credits."""

import io
import re
import struct
import zlib
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from experiments import photographs
from jaxlab.images import Resize, open_images

ACTIVITIES = "/gcompris/src/activities"


def resources(files, version=3, flags=0):
    """Qt's resource file, written level by level, as its format says."""
    tree, names, data = b"", b"", b""
    level, following = [PurePosixPath("/")], 1
    while level:
        children = []
        for folder in level:
            name = struct.pack(">HI", len(folder.name), 0) + folder.name.encode("utf-16-be")
            inside = sorted({path for file in files for path in [PurePosixPath(file), *PurePosixPath(file).parents]})
            inside = [path for path in inside if path.parent == folder != path]
            tree += struct.pack(">I", len(names))
            if inside or not files:
                tree += struct.pack(">HII", 2, len(inside), following)
                following += len(inside)
                children += inside
            else:
                content = files[str(folder)]
                stored = struct.pack(">I", len(content)) + zlib.compress(content) if flags & 1 else content
                tree += struct.pack(">HHHI", flags, 0, 0, len(data))
                data += struct.pack(">I", len(stored)) + stored
            tree += bytes(8) if version > 1 else b""
            names += name
        level = children
    first = 20 if version < 3 else 24
    places = first, first + len(tree), first + len(tree) + len(data)
    return (struct.pack(">4sIIII", b"qres", version, *places)).ljust(first, b"\0") + tree + data + names


def photo(seed):
    file = io.BytesIO()
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (8, 12, 3)).astype(np.uint8)).save(file, "WEBP")
    return file.getvalue()


def told(*entries):
    """A README of the game: licence, source and files of each entry."""
    return "\n\n".join(
        f"Copyright: Somebody\nSource: {source}\nLicense: {licence}\nFiles:\n{files}"
        for licence, source, files in entries
    ).encode()


FREE, CLOSED = "Public Domain", "All rights reserved"


@pytest.fixture
def game(tmp_path):
    """Two photographs of each class, and others that are none, or not free, or not told of."""
    folders = {
        "explore_farm_animals": {"animals": ["cow.webp", "README", "cow.svg"]},
        "explore_world_animals": {"animals": ["koala.webp", "README"]},
        "erase": {"": ["again.webp", "closed.webp", "untold.webp", "README"]},
        "explore_monuments": {"india": ["tower.webp"], "": ["README"]},
        "categorization": {
            f"images/{name}": [f"{file}1.webp", f"{file}2.webp", "README"]
            for name, file in {"fishes": "fish", "monuments": "arch", "tools": "saw", "renewable": "windmill"}.items()
        },
    }
    written = {}
    for number, (activity, places) in enumerate(folders.items()):
        files = {}
        for place, names in places.items():
            root = str(PurePosixPath(ACTIVITIES, activity, "resource", place))
            for name in names:
                files[f"{root}/{name}"] = photo(len(written) + len(files)) if name.endswith(".webp") else b"?"
            own = [name for name in names if name.endswith(".webp") and name not in ("closed.webp", "untold.webp")]
            entries = [(FREE, f"from {'koala.webp' if name == 'again.webp' else name}", name) for name in own]
            entries += [(CLOSED, "here", "closed.webp"), (FREE, "there", "missing.webp"), (FREE, "here", "cow.svg")]
            if activity == "explore_monuments":
                entries += [("CC-BY-SA 4.0", "from tower", "india/tower.webp")]
            if "README" in names:
                files[f"{root}/README"] = told(*entries)
        written.update(files)
        content = resources(files, version=number % 3 + 1, flags=number % 2)
        (tmp_path / f"{activity}.rcc").write_bytes(content)
        assert photographs.read_resources(tmp_path / f"{activity}.rcc") == files
    return tmp_path, written


def test_photographs_are_written_unchanged_once_and_with_credits(game, tmp_path, monkeypatch, capsys):
    folder, written = game
    monkeypatch.setattr("sys.argv", ["photographs", "--out", str(tmp_path / "photos"), "--game", str(folder)])
    photographs.main()
    assert "11 photographs (2 animal, 2 fish, 3 monument, 2 tool, 2 windmill)" in capsys.readouterr().out
    images = open_images(tmp_path / "photos", Resize(8))
    assert images.counts == {"animal": 2, "fish": 2, "monument": 3, "tool": 2, "windmill": 2}
    assert images.left_out == {"CREDITS.txt": "in no class folder"}
    assert images.paths[:2] == ("animal/explore_farm_animals-cow.webp", "animal/explore_world_animals-koala.webp")
    for path in images.paths:
        activity, _, name = path.partition("/")[2].partition("-")
        same = [content for file, content in written.items() if f"/{activity}/" in file and file.endswith(f"/{name}")]
        assert [(tmp_path / "photos" / path).read_bytes()] == same
    lines = (tmp_path / "photos" / "CREDITS.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == list(images.paths)
    assert "monument/explore_monuments-tower.webp\tCC-BY-SA 4.0\tSomebody\tfrom tower" in lines


def test_what_is_missing_damaged_or_there_already_is_one_line(game, tmp_path, monkeypatch, capsys):
    folder, _ = game

    def refused(match):
        monkeypatch.setattr("sys.argv", ["photographs", "--out", str(tmp_path / "photos"), "--game", str(folder)])
        with pytest.raises(SystemExit):
            photographs.main()
        error = capsys.readouterr().err
        assert re.fullmatch(f"error: .*{match}.*\n", error), error
        assert not (tmp_path / "photos" / "animal").exists()

    whole = (folder / "erase.rcc").read_bytes()
    for content, problem in {
        b"": "unpack_from requires",
        b"PK\3\4" + whole[4:]: "begins with b'PK",
        resources({"/a/b": b"x"}, flags=4): "/a/b is compressed by Zstandard",
        resources({"/a/b": b"xyz"}).replace(
            struct.pack(">I", 3) + b"xyz", struct.pack(">I", 999) + b"xyz"
        ): "/a/b is cut",
    }.items():
        (folder / "erase.rcc").write_bytes(content)
        refused(rf"erase\.rcc is no resource file of Qt's that can be read here: {re.escape(problem)}")
    (folder / "erase.rcc").unlink()
    refused(r"erase\.rcc is missing: `apt-get install gcompris-qt-data` brings the game's files to /usr/share/gcompris")
    (tmp_path / "photos").mkdir()
    refused("photos is there already: accepted is a folder that is not")
