# SPDX-License-Identifier: MIT
"""Processes that end when the test that started them does, however it ends."""
import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def dies_with_us(signal_number=signal.SIGTERM):
    """For `preexec_fn` of subprocess: the child gets the signal when the thread that started it ends. Kept over exec, and lost by a process that changes its
    user; what a server's roles do about their monitor is the server's own affair."""
    parent = os.getpid()

    def ask():
        if _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        if os.getppid() != parent:  # it was gone before we asked
            os.kill(os.getpid(), signal_number)

    return ask


def end_on_sigterm():
    """SIGTERM ends this script as an error does, so that it takes back what it has made."""
    def end(number, _):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
