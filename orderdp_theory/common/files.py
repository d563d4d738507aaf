"""Files that appear whole or not at all."""

import errno
import os
import stat
import tempfile
from mmap import ACCESS_READ, mmap
from pathlib import Path

from orderdp_theory.common.errors import InputError

PARTIAL = ".partial"  # ends the names of files that are not whole yet, which a kill can leave


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write `content` to `path` so that a reader, or a crash, never sees half of it.

    The bytes go to a temporary file in the same folder, reach the disk, and take the name in one
    step; an existing file stays as it was until then, and its permissions stay. Symbolic links are
    followed; devices and pipes are written to as they are. Text is written as UTF-8.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; nothing is left over.
    """
    target, data = Path(path), content.encode() if isinstance(content, str) else content
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    target = Path(os.path.realpath(target))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~_umask()
    try:
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=PARTIAL
        )
    except OSError as error:  # name the folder, not the temporary file
        raise type(error)(error.errno, error.strerror, str(target.parent)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_file(path: Path) -> bytes:
    """The bytes of a file; `InputError` for a device or a pipe, of which there may be no end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path} is a device or a pipe: give a file")
    return path.read_bytes()


def expect_writable(path: Path) -> None:
    """`OSError` if a file cannot be written there: known before a computation, not after it."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    folder = Path(os.path.realpath(path)).parent
    if path.is_file() or not path.exists():
        if not folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(folder))
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, "permission denied", str(folder))
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "permission denied", str(path))


def expect_ours(path: Path, mark: str) -> None:
    """`InputError` if a file of that name holds something else than what bears the `mark`.

    An empty file holds nothing that could be lost.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        ours = content.find(mark.encode()) >= 0
    if not ours:
        raise InputError(
            f"{path} exists and is not what this command wrote: give another name, or remove it"
        )


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
