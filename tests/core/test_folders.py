"""Everything below a folder, once."""

import os

import pytest

from jaxlab.core import folders


def test_each_folder_is_read_once_in_one_order_whatever_links_there(tmp_path):
    for name in ("b/c.txt", "a.txt", ".hidden/e.txt", "b/skipped/f.txt", "b/.g.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "b")
    (tmp_path / "shown").symlink_to(tmp_path / ".hidden")
    assert sorted(folders.walk(tmp_path, links=True, without=["skipped"])) == ["a.txt", "b/c.txt", "shown/e.txt"]
    assert sorted(folders.walk(tmp_path, links=False)) == ["a.txt", "b/c.txt", "b/skipped/f.txt"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match=rf"a folder cannot be read \(Permission denied\).*{tmp_path.name}"):
        list(folders.walk(tmp_path, links=True))
