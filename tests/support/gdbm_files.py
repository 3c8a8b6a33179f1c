# SPDX-License-Identifier: MIT
"""gdbm and ndbm files, made by their own libraries."""
import ctypes
import os


class Datum(ctypes.Structure):
    _fields_ = [("dptr", ctypes.c_char_p), ("dsize", ctypes.c_int)]


def datum(octets):
    return Datum(octets, len(octets))


def make_gdbm(path, records):
    gdbm = ctypes.CDLL("libgdbm.so.6")
    gdbm.gdbm_open.restype = ctypes.c_void_p
    gdbm.gdbm_store.argtypes = [ctypes.c_void_p, Datum, Datum, ctypes.c_int]
    gdbm.gdbm_close.argtypes = [ctypes.c_void_p]
    file = gdbm.gdbm_open(path.encode(), 0, 3, 0o600, None)  # GDBM_NEWDB
    assert file
    for key, value in records:
        assert gdbm.gdbm_store(file, datum(key), datum(value), 1) == 0
    gdbm.gdbm_close(file)


def make_ndbm(path, records):
    """PATH.dir and PATH.pag."""
    ctypes.CDLL("libgdbm.so.6", mode=ctypes.RTLD_GLOBAL)
    ndbm = ctypes.CDLL("libgdbm_compat.so.4")
    ndbm.dbm_open.restype = ctypes.c_void_p
    ndbm.dbm_store.argtypes = [ctypes.c_void_p, Datum, Datum, ctypes.c_int]
    ndbm.dbm_close.argtypes = [ctypes.c_void_p]
    file = ndbm.dbm_open(path.encode(), os.O_RDWR | os.O_CREAT, 0o600)
    assert file
    for key, value in records:
        assert ndbm.dbm_store(file, datum(key), datum(value), 1) == 0
    ndbm.dbm_close(file)
