"""Many reads of files in one system call, through the kernel's ``io_submit(2)``.

``os.preadv`` reads one stretch per call and takes Python's lock again after each call. With rows of some kilobytes,
parallel threads spend their time passing this lock around. ``io_submit`` takes a list of reads in one call instead.
Despite the name "asynchronous I/O", the kernel does the reads of an ordinary file one after another within the call.

This works on Linux on x86-64 and 64-bit ARM. On other systems, and where a container or a limit forbids the call,
:func:`read_many` reads nothing, and the caller uses ``os.preadv``.
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

_MAX_READS = 1024  # per call
# Numbers of the system calls io_setup, io_destroy, io_getevents, io_submit.
_NUMBERS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
_SETUP, _DESTROY, _GETEVENTS, _SUBMIT = _NUMBERS.get(platform.machine(), (-1, -1, -1, -1))
_supported = sys.platform == "linux" and sys.byteorder == "little" and sys.maxsize > 2**32 and _SETUP >= 0

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
# struct io_event: the result of a request, with the request's data.
_EVENT = np.dtype([("data", "<u8"), ("request", "<u8"), ("result", "<i8"), ("more", "<i8")])


class _Queue:
    """A context of the kernel's asynchronous I/O, for one thread at a time."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._context = ctypes.c_ulong(0)
        _call(_SETUP, ctypes.c_long(_MAX_READS), ctypes.byref(self._context))
        self._requests = np.zeros(_MAX_READS, _REQUEST)
        self._requests["data"] = np.arange(_MAX_READS)
        first = self._requests.ctypes.data
        self._pointers = np.arange(first, first + self._requests.nbytes, _REQUEST.itemsize, dtype=np.uint64)
        self._events = np.zeros(_MAX_READS, _EVENT)

    def __del__(self) -> None:
        # In a forked process, the same number may belong to another context of that process.
        if self._context.value and self._process == os.getpid():
            _call(_DESTROY, self._context)  # waits for unfinished reads

    def read(
        self,
        files: NDArray[np.int64],
        offsets: NDArray[np.int64],
        memory: NDArray[np.int64],
        nbytes: NDArray[np.int64],
        found: NDArray[np.int64],
    ) -> None:
        """Do at most ``_MAX_READS`` reads and put their lengths into ``found``; see :func:`read_many`."""
        n = len(files)
        requests = self._requests[:n]
        for field, values in (("file", files), ("offset", offsets), ("memory", memory), ("nbytes", nbytes)):
            requests[field] = values
        submitted = 0
        while submitted < n:
            try:
                pointers = ctypes.c_void_p(self._pointers.ctypes.data + submitted * self._pointers.itemsize)
                submitted += _call(_SUBMIT, self._context, ctypes.c_long(n - submitted), pointers)
            except OSError:  # the request at this place failed, e.g. the file does not support it
                break
        while submitted:
            least = ctypes.c_long(submitted)
            events = ctypes.c_void_p(self._events.ctypes.data)
            count = _call(_GETEVENTS, self._context, least, least, events, None)
            done = self._events[:count]
            found[done["data"]] = np.maximum(done["result"], 0)
            submitted -= count


_queues: deque[_Queue] = deque()  # free queues; appends and pops are safe from several threads
os.register_at_fork(after_in_child=_queues.clear)
atexit.register(_queues.clear)


def read_many(
    files: NDArray[np.int64], offsets: NDArray[np.int64], memory: NDArray[np.int64], nbytes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Read stretches of files into memory, without holding Python's lock.

    Args:
        files: (N,) descriptors.
        offsets: (N,) byte of the file at which each stretch begins.
        memory: (N,) addresses to write to; they must stay valid until this returns.
        nbytes: (N,) length of each stretch.

    Returns:
        (N,) bytes read of each stretch. Where this is less than ``nbytes``, the caller must read the stretch with
        ``os.preadv``, which also reports errors.
    """
    found = np.zeros(len(files), np.int64)
    queue = _take()
    if queue is None:
        return found
    try:
        for start in range(0, len(files), _MAX_READS):
            part = slice(start, start + _MAX_READS)
            queue.read(files[part], offsets[part], memory[part], nbytes[part], found[part])
    except OSError:  # io_getevents is forbidden
        _disable()
        del queue  # waits for unfinished reads
        return np.zeros_like(found)
    # Any other exception, such as an interrupt, also skips this line: the queue may have unfinished reads.
    _queues.append(queue)
    return found


def _disable() -> None:
    global _supported
    _supported = False


def _take() -> _Queue | None:
    try:
        return _queues.pop()
    except IndexError:
        if not _supported:
            return None
    try:
        return _Queue()
    except OSError as error:
        # EAGAIN and ENOMEM pass: memory or the limit fs.aio-max-nr is used up now. After any other error, never retry.
        if error.errno not in (errno.EAGAIN, errno.ENOMEM):
            _disable()
        return None


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _call(number: int, *arguments: object) -> int:
    """Make a system call, and repeat it if a signal interrupts it.

    Raises:
        OSError: the call failed.
    """
    while (result := int(_libc.syscall(ctypes.c_long(number), *arguments))) < 0:
        if ctypes.get_errno() != errno.EINTR:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
