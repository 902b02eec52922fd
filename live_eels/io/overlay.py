"""HDF5 at arm's length: it writes to memory, and the file is changed by plain writes.

Lives here: `Overlay`, a file as it will be, for h5py to work on, and the plain writes. HDF5
never opens the recording itself for writing, because it gives no promise about the file when
the disk is full or the program is killed while it does.
"""

# ruff: noqa: D102 (the methods are those of io.RawIOBase)
from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import shutil
import sys
from pathlib import Path
from typing import Any

_PAGE = 64 * 1024


class Overlay(io.RawIOBase):
    """A file as it will be: reads fall through to ``base``, writes stay in memory."""

    def __init__(self, base: io.FileIO | io.BytesIO) -> None:
        self._base = base
        self.base_size = base.seek(0, io.SEEK_END)
        self.size = self.base_size
        self.pages: dict[int, bytearray] = {}
        self._position = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = start + offset
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        count = max(0, min(len(target), self.size - self._position))
        target[:count] = bytes(count)
        done = 0
        while done < count:
            number, within = divmod(self._position + done, _PAGE)
            step = min(_PAGE - within, count - done)
            page = self.pages.get(number)
            if page is not None:
                target[done : done + step] = page[within : within + step]
            else:
                self._base.seek(self._position + done)
                self._base.readinto(target[done : done + step])
            done += step
        self._position += count
        return count

    def write(self, data: Any) -> int:
        source = memoryview(data).cast("B")
        done = 0
        while done < len(source):
            number, within = divmod(self._position + done, _PAGE)
            step = min(_PAGE - within, len(source) - done)
            self._page(number)[within : within + step] = source[done : done + step]
            done += step
        self._position += done
        self.size = max(self.size, self._position)
        return done

    def _page(self, number: int) -> bytearray:
        page = self.pages.get(number)
        if page is None:
            page = self.pages[number] = bytearray(_PAGE)
            self._base.seek(number * _PAGE)
            self._base.readinto(page)
        return page

    def commit(self, file: io.FileIO) -> None:
        """Copy the changes into ``file``, the base or a new one: from the last byte to the first.

        What lies beyond the end of the base is written first, and is on the disk before
        anything refers to it. Then follows what was changed in place, in one go, the first page
        last: in between, which is a moment, the file does not fit together (a reader tries again).
        """
        file.truncate(max(self.size, self.base_size))
        self._write(file, self.base_size, self.size)
        if self.base_size:
            os.fsync(file.fileno())
            self._write(file, 0, min(self.base_size, self.size))
            os.fsync(file.fileno())

    def _write(self, file: io.FileIO, first: int, end: int) -> None:
        """Write what was changed of the bytes from ``first`` to ``end``, last page first."""
        for number in sorted(self.pages, reverse=True):
            start = number * _PAGE
            low, high = max(first - start, 0), min(end - start, _PAGE)
            if low < high:
                write_all(file, start + low, memoryview(self.pages[number])[low:high])


def write_all(file: io.FileIO, offset: int, data: Any) -> None:
    """Write all bytes of a contiguous buffer at ``offset``, however many calls it takes."""
    file.seek(offset)
    rest = memoryview(data).cast("B")
    written = file.write(rest)
    while written is not None and written < len(rest):
        rest = rest[written:]
        written = file.write(rest)


def reserve_space(path: Path, offset: int, nbytes: int) -> None:
    """Take disk space where the system can do so without writing it (Linux).

    Not `os.posix_fallocate`: where a file system cannot do it, that writes to every block of
    the file, which takes minutes over a network.
    """
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    with path.open("r+b") as file:
        if fallocate(file.fileno(), 0, offset, nbytes) != 0:
            number = ctypes.get_errno()
            if number not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise OSError(number, os.strerror(number), str(path))


def disk_trouble(path: Path, error: OSError) -> str:
    """Say what went wrong with a file, and what to do."""
    reason = error.strerror or str(error)
    with contextlib.suppress(OSError):
        reason += f" ({shutil.disk_usage(path.parent).free / 1e9:.3g} GB left on its disk)"
    return f"{path}: cannot write the recording: {reason}. Free some space or record elsewhere."
