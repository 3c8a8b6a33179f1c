# SPDX-License-Identifier: MIT
"""Which names appeared in a folder, those that are gone again too (inotify)."""
import ctypes
import os
import struct

_IN_CREATE = 0x100
_EVENT = struct.Struct("iIII")


class CreatedNames:
    """As a context manager: from its beginning, every name that is made in the folder."""

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, os.fsencode(folder), _IN_CREATE) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def take(self):
        """The names since the last call, in their order."""
        names = []
        while True:
            try:
                events = os.read(self.fd, 65536)
            except BlockingIOError:
                return names
            while events:
                length = _EVENT.unpack_from(events)[3]
                names.append(os.fsdecode(events[_EVENT.size:_EVENT.size + length].rstrip(b"\0")))
                events = events[_EVENT.size + length:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)
