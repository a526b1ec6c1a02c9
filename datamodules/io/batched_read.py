"""Many reads of files in one system call, through the kernel's ``io_submit(2)``.

``os.preadv`` reads one stretch a call, and takes Python's lock again after each: with rows of some kilobytes, threads
that read beside each other spend their time handing it over. The kernel takes a list of reads instead. Of files that
were opened in the ordinary way it does them one after another within the call, so nothing is asynchronous about it
but its name.

Linux on x86-64 and 64-bit ARM. Elsewhere, and where a container or a limit forbids it, nothing is read here, and the
caller reads in the ordinary way.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import os
import platform
import sys
from collections import deque

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1024  # reads a call
# The calls' numbers: io_setup, io_destroy, io_getevents, io_submit.
_NUMBERS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
_SETUP, _DESTROY, _GETEVENTS, _SUBMIT = _NUMBERS.get(platform.machine(), (-1, -1, -1, -1))
_POSSIBLE = sys.platform == "linux" and sys.byteorder == "little" and sys.maxsize > 2**32 and _SETUP >= 0

# struct iocb of linux/aio_abi.h. The operation 0 is a read.
_REQUEST = np.dtype(
    [
        ("data", "<u8"),
        ("key", "<u4"),
        ("flags", "<i4"),
        ("operation", "<u2"),
        ("priority", "<i2"),
        ("file", "<u4"),
        ("memory", "<u8"),
        ("nbytes", "<u8"),
        ("offset", "<i8"),
        ("unused", "<u8", 2),
    ]
)
# struct io_event: what came of it, with the request's data.
_EVENT = np.dtype([("data", "<u8"), ("request", "<u8"), ("result", "<i8"), ("more", "<i8")])


class _Queue:
    """A kernel's context, for one thread at a time."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._context = ctypes.c_ulong(0)
        _call(_SETUP, ctypes.c_long(_AT_ONCE), ctypes.byref(self._context))
        self._requests = np.zeros(_AT_ONCE, _REQUEST)
        self._requests["data"] = np.arange(_AT_ONCE)
        first = self._requests.ctypes.data
        self._pointers = np.arange(first, first + self._requests.nbytes, _REQUEST.itemsize, dtype=np.uint64)
        self._events = np.zeros(_AT_ONCE, _EVENT)

    def __del__(self) -> None:
        # In a process that was forked the number may be that of a context of its own.
        if self._context.value and self._process == os.getpid():
            _call(_DESTROY, self._context)  # waits for whatever is still being read

    def read(
        self,
        files: NDArray[np.int64],
        offsets: NDArray[np.int64],
        memory: NDArray[np.int64],
        nbytes: NDArray[np.int64],
        found: NDArray[np.int64],
    ) -> None:
        """As :func:`read_many`, for at most ``_AT_ONCE``; fills ``found``."""
        n = len(files)
        requests = self._requests[:n]
        for field, values in (("file", files), ("offset", offsets), ("memory", memory), ("nbytes", nbytes)):
            requests[field] = values
        submitted = 0
        while submitted < n:
            try:
                pointers = ctypes.c_void_p(self._pointers.ctypes.data + submitted * self._pointers.itemsize)
                submitted += _call(_SUBMIT, self._context, ctypes.c_long(n - submitted), pointers)
            except OSError:  # of the request at this place, such as a file that can't be read so
                break
        while submitted:
            least = ctypes.c_long(submitted)
            events = ctypes.c_void_p(self._events.ctypes.data)
            count = _call(_GETEVENTS, self._context, least, least, events, None)
            done = self._events[:count]
            found[done["data"]] = np.maximum(done["result"], 0)
            submitted -= count


_queues: deque[_Queue] = deque()  # those that nobody uses; its ends are safe to use from several threads
os.register_at_fork(after_in_child=_queues.clear)
atexit.register(_queues.clear)


def read_many(
    files: NDArray[np.int64], offsets: NDArray[np.int64], memory: NDArray[np.int64], nbytes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Read stretches of files to where they belong, without Python's lock.

    Args:
        files: (N,) descriptors.
        offsets: (N,) where in the file each begins.
        memory: (N,) addresses, which have to stay valid until this returns.
        nbytes: (N,) how many bytes.

    Returns:
        How many bytes each read gave, (N,); fewer than were asked for, or 0, where it is for the caller to read in the
        ordinary way, and to find out what is wrong.
    """
    found = np.zeros(len(files), np.int64)
    queue = _take()
    if queue is None:
        return found
    try:
        for start in range(0, len(files), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            queue.read(files[part], offsets[part], memory[part], nbytes[part], found[part])
    except OSError:  # of asking what came of them, which somebody forbids
        _give_up()
        del queue  # waits for them
        return np.zeros_like(found)
    # After any other exception, such as an interrupt, it isn't given back either: requests may be under way.
    _queues.append(queue)
    return found


def _give_up() -> None:
    global _POSSIBLE
    _POSSIBLE = False


def _take() -> _Queue | None:
    try:
        return _queues.pop()
    except IndexError:
        if not _POSSIBLE:
            return None
    try:
        return _Queue()
    except OSError as error:
        # For now, others use up memory or what fs.aio-max-nr allows. Else the kernel doesn't know it, or may not do it.
        if error.errno not in (errno.EAGAIN, errno.ENOMEM):
            _give_up()
        return None


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _call(number: int, *arguments: object) -> int:
    """A system call, again if a signal came between.

    Raises:
        OSError: it failed.
    """
    while (result := int(_libc.syscall(ctypes.c_long(number), *arguments))) < 0:
        if ctypes.get_errno() != errno.EINTR:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
