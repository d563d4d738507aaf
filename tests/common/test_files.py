"""An output changes what it names and nothing else: not a link, not a mode, not a device."""

import os
import stat
from pathlib import Path

import pytest

from orderdp_theory.common.files import PARTIAL, expect_writable, write_atomically


def test_a_link_is_followed_and_the_mode_of_its_target_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("before")
    real.chmod(0o640)
    link.symlink_to(real.name)
    write_atomically(link, "after")
    assert link.is_symlink()
    assert real.read_text() == "after"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    loop = tmp_path / "loop"
    loop.symlink_to(loop.name)
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(loop, "lost")
    assert loop.is_symlink()


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    expect_writable(pipe)
    write_atomically(pipe, b"rows")
    assert os.read(reader, 10) == b"rows"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_atomically("/dev/null", "nothing")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_failed_write_leaves_the_old_file_alone_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("old")

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        expect_writable(tmp_path)
    with pytest.raises(FileNotFoundError):
        expect_writable(tmp_path / "missing" / "file")
    expect_writable(tmp_path / "new")
    assert not list(tmp_path.glob(f"*{PARTIAL}"))
