"""A file-like view of an object in a store, for HDF5, which reads small ranges at many places."""

from __future__ import annotations

import io
import os
from typing import Any

from datamodules.io.store import RemoteFolder, StorageError

_BLOCK = 64 << 10  # bytes per request


class RangeFile(io.RawIOBase):
    """A read-only file that fetches blocks of an object when they are needed, and keeps them.

    On an error, reads give zeros, and :attr:`failure` holds the message. The error itself is not raised, since HDF5
    would report an error of the network as a damaged file, or pass it through frames that can't handle it. Nor is the
    error object kept: it would hold h5py's frames, which hold this file out of the garbage collector's sight. HDF5
    would then call into an interpreter that has ended.

    Args:
        folder: folder of the object.
        name: name of the object.
        nbytes: length of the object.
    """

    def __init__(self, folder: RemoteFolder, name: str, nbytes: int) -> None:
        super().__init__()
        self.failure = ""
        self._folder, self._name, self._nbytes = folder, name, nbytes
        self._at = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._nbytes}[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, at most up to the object's end; return the number of bytes read."""
        view = memoryview(buffer).cast("B")
        done, most = 0, min(len(view), self._nbytes - self._at)
        while done < most:
            number, start = divmod(self._at, _BLOCK)
            part = self._block(number)[start : start + most - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return done

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * _BLOCK
            end = min(start + _BLOCK, self._nbytes)
            try:
                if not self.failure:  # the first failure is reported; further attempts would only take time
                    self._blocks[number] = self._folder.read_range(self._name, start, end)
            except StorageError as error:
                self.failure = str(error)
            if self.failure:
                return bytes(end - start)
        return self._blocks[number]
