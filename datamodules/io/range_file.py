"""An object of a store as a file, for HDF5, which reads small parts here and there."""

from __future__ import annotations

import io
import os
from typing import Any

from datamodules.io.store import RemoteFolder, StorageError

_BLOCK = 64 << 10  # bytes a request


class RangeFile(io.RawIOBase):
    """Reads blocks of an object when they are needed, and keeps them.

    What can't be read is zeros, and :attr:`failure` says why: HDF5 would call an error of the network a damaged file,
    or hand it through its own frames, which are not made for that. Only the words are kept: an error holds the frames
    below it, h5py's hold this file in a way that the garbage collector can't see, and HDF5 would call into an
    interpreter that has ended.

    Args:
        folder: where the object lies.
        name: of the object.
        nbytes: its length.
    """

    def __init__(self, folder: RemoteFolder, name: str, nbytes: int) -> None:
        super().__init__()
        self.failure = ""
        self._folder, self._name, self._nbytes = folder, name, nbytes
        self._at = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._nbytes}[whence]
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, up to the object's end; bytes that were read."""
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
                if not self.failure:  # one failure is told; more of them would only take time
                    self._blocks[number] = self._folder.read_range(self._name, start, end)
            except StorageError as error:
                self.failure = str(error)
            if self.failure:
                return bytes(end - start)
        return self._blocks[number]
