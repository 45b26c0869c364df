"""Following a file through everything that happens to log files."""
from __future__ import annotations

import os
import pathlib
from typing import List

import pytest

from adb_lineage.databricks import follow
from adb_lineage.databricks.follow import Follower


@pytest.fixture()
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "events.jsonl"


def follower(path: pathlib.Path) -> Follower:
    return Follower(str(path), str(path.parent / "state"))


def append(path: pathlib.Path, text: str) -> None:
    with open(path, "a") as stream:
        stream.write(text)


def read(one: Follower, commit: bool = True) -> List[str]:
    """All there is; two empty answers in a row are the end (one may be a change of file)."""
    found, empty = [], 0
    while empty < 3:
        lines = one.lines()
        empty = 0 if lines else empty + 1
        found += [line.text.decode() for line in lines]
        if lines and commit:
            one.commit(lines[-1].after)
    return found


def test_lines_as_they_come(path: pathlib.Path) -> None:
    one = follower(path)
    assert read(one) == []
    append(path, "a\nb\n")
    assert read(one) == ["a", "b"]
    append(path, "par")
    assert read(one) == []
    append(path, "tial\n\nc\n")
    assert read(one) == ["partial", "c"]


def test_a_restart_goes_on_where_it_was_committed(path: pathlib.Path) -> None:
    append(path, "a\nb\npar")
    assert read(follower(path)) == ["a", "b"]
    append(path, "tial\n")
    assert read(follower(path), commit=False) == ["partial"]
    assert read(follower(path)) == ["partial"]
    assert read(follower(path)) == []


def test_rotation_by_rename(path: pathlib.Path) -> None:
    one = follower(path)
    append(path, "a\n")
    assert read(one) == ["a"]
    append(path, "b\nlast without an end")
    os.rename(path, f"{path}.1")
    append(path, "c\n")
    assert read(one) == ["b", "last without an end", "c"]
    append(path, "d\n")
    assert read(one) == ["d"]


def test_rotations_while_nobody_followed(path: pathlib.Path) -> None:
    append(path, "a\n")
    assert read(follower(path)) == ["a"]
    append(path, "b\n")
    for number in (2, 1):
        os.rename(path, f"{path}.{number}")
        os.utime(f"{path}.{number}", (1_000_000 - number, 1_000_000 - number))
        append(path, f"c{number}\n")
    assert read(follower(path)) == ["b", "c2", "c1"]
    assert read(follower(path)) == []


def test_the_file_we_were_in_is_gone(path: pathlib.Path) -> None:
    append(path, "a\n")
    assert read(follower(path)) == ["a"]
    keep = open(path)  # noqa: SIM115  the inode must not be given to the new file
    path.unlink()
    append(path, "b\n")
    assert read(follower(path)) == ["b"]
    keep.close()


def test_truncation(path: pathlib.Path) -> None:
    one = follower(path)
    append(path, "a\nb\n")
    assert read(one) == ["a", "b"]
    os.truncate(path, 0)
    append(path, "c\n")
    assert read(one) == ["c"]


def copy_and_empty(path: pathlib.Path, name: str = ".1") -> None:
    """What logrotate's `copytruncate` does."""
    pathlib.Path(f"{path}{name}").write_bytes(path.read_bytes())
    os.truncate(path, 0)


def test_rotation_by_copy(path: pathlib.Path) -> None:
    one = follower(path)
    append(path, "a\nb\n")
    assert read(one) == ["a", "b"]
    append(path, "c\nlast without an end")
    copy_and_empty(path)
    append(path, "d\n")
    assert read(one) == ["c", "last without an end", "d"]
    append(path, "e\n")
    copy_and_empty(path)
    assert read(one) == ["e"]
    append(path, "f\n")
    assert read(one) == ["f"]


def test_rotation_by_copy_while_nobody_followed(path: pathlib.Path) -> None:
    append(path, "a\n")
    assert read(follower(path)) == ["a"]
    append(path, "b\n")
    copy_and_empty(path)
    append(path, "the new file is longer than what had been read of the old one\n")
    assert read(follower(path)) == ["b", "the new file is longer than what had been read of the old one"]
    assert read(follower(path)) == []


@pytest.mark.parametrize("before", ["a\nb\n", "a\npart of a line", "part of a line"])
def test_an_emptied_file_that_has_grown_again(path: pathlib.Path, before: str) -> None:
    one = follower(path)
    append(path, before)
    read(one)
    os.truncate(path, 0)
    append(path, "the first line of the new ones\nand the second\n")
    assert read(one) == ["the first line of the new ones", "and the second"]


def test_another_file_with_the_inode_of_the_one_we_were_in(path: pathlib.Path) -> None:
    """A file system gives a free inode to the next file: so it looks to a follower that starts afterwards."""
    append(path, "a\nb\n")
    assert read(follower(path)) == ["a", "b"]
    path.write_text("c\nd\ne\n")
    assert read(follower(path)) == ["c", "d", "e"]


def test_a_state_of_the_version_before(path: pathlib.Path) -> None:
    append(path, "a\nb\n")
    (path.parent / "state").write_text(f"[{path.stat().st_ino}, 2]")
    assert read(follower(path)) == ["b"]


def test_a_file_that_comes_later_and_goes(path: pathlib.Path) -> None:
    one = follower(path)
    append(path, "a\n")
    assert read(one) == ["a"]
    path.unlink()
    assert read(one) == []
    append(path, "b\n")
    assert read(one) == ["b"]


def test_what_only_begins_with_the_name_is_another_file(path: pathlib.Path) -> None:
    append(path, "a\n")
    for name in ("2", "x.jsonl"):
        append(pathlib.Path(f"{path}{name}"), "another\n")
    pathlib.Path(f"{path}.folder").mkdir()
    assert read(follower(path)) == ["a"]


def test_a_line_without_end_is_passed_over(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "LINE_BYTES", 100)
    monkeypatch.setattr(follow, "_CHUNK", 64)
    append(path, "a\n" + "x" * 1000 + "\nb\n")
    assert read(follower(path)) == ["a", "", "b"]


def test_a_state_file_that_is_torn(path: pathlib.Path) -> None:
    append(path, "a\n")
    (path.parent / "state").write_text("{")
    assert read(follower(path)) == ["a"]
