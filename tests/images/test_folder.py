"""Which images are in a folder, of which class, and what is said where there are none."""

import hashlib
import os
import re

import pytest

from jaxlab.images import Resize, image_folder, open_images
from jaxlab.images import folder as folders

A, B, C = b"image a", b"image b", b"image c"


def refused(match, folder, error=ValueError):
    return pytest.raises(error, match=match.replace("ROOT", re.escape(str(folder))))


def test_images_are_sorted_named_by_their_class_and_what_else_is_there_is_listed(photos):
    root = photos(
        {
            "dog/b.JPG": A,
            "dog/2020/c.tiff": B,
            "cat/a.jpeg": C,
            "cat/by.txt": b"me",
            "cat/a.jpeg.xmp": b"me",
            "cat/copy.png": C,
            "cat/.hidden.png": b"never",
            ".git/x.png": b"never",
            "list.csv": b"never",
            "loose.png": b"loose",
        }
    )
    found = image_folder(root)
    assert found.classes == ("cat", "dog")
    assert found.paths == ("cat/a.jpeg", "dog/2020/c.tiff", "dog/b.JPG")
    assert found.labels.tolist() == [0, 1, 1]
    assert found.labels.dtype == "int32"
    assert list(found.digests) == [hashlib.sha256(content).hexdigest() for content in (C, B, A)]
    assert found.left_out == {
        "cat/a.jpeg.xmp": "no image by its name",
        "cat/by.txt": "no image by its name",
        "cat/copy.png": "the same as 'cat/a.jpeg'",
        "list.csv": "in no class folder",
        "loose.png": "in no class folder",
    }
    assert re.fullmatch(r"'photos' \(3 images, 2 classes, SHA-256 \w{12}, 5 files left out\)", found.describe())


def test_the_digest_is_of_names_and_contents_of_images_alone(photos):
    root = photos({"a/1.png": A, "b/1.png": B, "b/by.txt": b"me"})
    before = image_folder(root).digest
    listed = "".join(
        f"{name}\0{hashlib.sha256(found).hexdigest()}\0" for name, found in (("a/1.png", A), ("b/1.png", B))
    )
    assert before == hashlib.sha256(listed.encode()).hexdigest()
    (root / "b/by.txt").unlink()
    assert image_folder(root).digest == before
    (root / "b/1.png").write_bytes(C)
    assert image_folder(root).digest != before


def test_links_are_followed_once_and_broken_ones_told(photos, tmp_path):
    root = photos({"a/1.png": A, "b/1.png": B})
    photos({"2.png": C}, root="elsewhere")
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "again.png").symlink_to(root / "a" / "1.png")
    (root / "b" / "self.png").symlink_to(root / "b" / "self.png")
    (root / "b" / "nowhere.png").symlink_to(tmp_path / "missing")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "b" / "pipe.png")
    found = image_folder(root)
    assert found.paths == ("a/1.png", "b/1.png", "c/2.png")
    assert found.left_out == {
        "a/again.png": "the same as 'a/1.png'",
        "b/nowhere.png": "no regular file",
        "b/pipe.png": "no regular file",
        "b/self.png": "no regular file",
    }


def test_names_that_are_no_utf8(photos):
    root = photos({"a/1.png": A, "b/1.png": B})
    (root / "b" / "1.png").rename(os.fsdecode(os.fsencode(root) + b"/b/\xff.png"))
    found = image_folder(root)
    assert found.paths == ("a/1.png", "b/\udcff.png")
    assert len(found.digest) == 64


def test_no_folder(photos):
    root = photos({"a/1.png": A, "b/1.png": B})
    with refused(r"folder = 'ROOT/c' is not there: accepted is a folder with one folder of", root, FileNotFoundError):
        image_folder(root / "c")
    with refused(r"folder = 'ROOT/a/1\.png' is a file: accepted is a folder", root, NotADirectoryError):
        image_folder(root / "a/1.png")


def test_no_class_folders(photos):
    root = photos({"1.png": A, "2.png": B, "by.txt": b"me"})
    with refused("'ROOT' has no class folders, 2 images lie in it directly: accepted is one folder of images", root):
        image_folder(root)
    root = photos({"by.txt": b"me"}, root="other")
    with refused("has no class folders, of its 1 files none is an image: accepted is one folder of images for", root):
        image_folder(root)


def test_one_class(photos):
    root = photos({"cat/1.png": A})
    with refused("'ROOT' has one class folder, 'cat', and nothing to tell it from: accepted is one folder", root):
        image_folder(root)


def test_parts_of_a_data_set_are_no_classes(photos):
    root = photos({"train/cat/1.png": A, "train/dog/1.png": B, "Val/cat/2.png": C})
    with refused(
        "'ROOT' has the folders Val, train, parts of a data set and no classes: accepted is one of these", root
    ):
        image_folder(root)
    assert image_folder(root / "train").classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({}, "is empty"),
        ({"b/by.txt": b"me", "b/x/1.raw": b"?"}, r"is 2 files that are left out, such as 'b/by\.txt' \(no image by"),
    ],
    ids=["empty", "others"],
)
def test_a_class_without_images(photos, files, what):
    root = photos({"a/1.png": A, **files})
    (root / "b").mkdir(exist_ok=True)
    with refused(
        rf"the class folder 'ROOT/b' has no images, it {what}.*: accepted are files that end with \.avif", root
    ):
        image_folder(root)


def test_one_image_in_two_classes(photos):
    root = photos({"a/1.png": A, "a/2.png": B, "b/3.png": A})
    with refused("'a/1.png' and 'b/3.png' in 'ROOT' are one image in two classes, byte by byte: accepted is one", root):
        image_folder(root)


def test_what_the_system_does_not_let_be_read(photos, monkeypatch):
    root = photos(["a/1.png", "a/2.png", "b/3.png"])
    digest = folders._digest
    denied = PermissionError(13, "Permission denied")
    monkeypatch.setattr(folders, "_digest", lambda file: denied if file.name == "2.png" else digest(file))
    with refused(r"an image cannot be read \(Permission denied\); accepted with skip.*ROOT/a/2", root, PermissionError):
        image_folder(root)
    assert image_folder(root, skip_unreadable=True).left_out == {"a/2.png": "cannot be read (Permission denied)"}
    assert "a/2.png" in open_images(root, Resize(4), skip_unreadable=True).left_out
