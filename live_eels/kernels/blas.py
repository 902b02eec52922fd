"""The three BLAS routines of the decomposition, called without holding the interpreter's lock.

scipy's own wrappers (``scipy.linalg.blas``) hold it: for some ms at a time no spectrum would be
received, recorded or analysed. ctypes calls the same routine and lets the others run.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numba.extending import get_cython_function_address
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def _routine(name: str, arguments: int) -> ctypes._FuncPointer:
    """A routine of Fortran's BLAS as scipy has it: every argument is a pointer."""
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)
    return kind(get_cython_function_address("scipy.linalg.cython_blas", name))


_ssyrk, _ssymm, _ssyr2k = _routine("ssyrk", 10), _routine("ssymm", 12), _routine("ssyr2k", 12)


def _int(value: int) -> ctypes._CArgObject:
    return ctypes.byref(ctypes.c_int(value))


def _float(value: float) -> ctypes._CArgObject:
    return ctypes.byref(ctypes.c_float(value))


def add_products(rows: Matrix, gram: Matrix) -> None:
    """Add ``rows.T @ rows`` to the lower triangle of ``gram``.

    Parameters
    ----------
    rows : float32 ``(pixel, channel)``, C order
    gram : float32 ``(channel, channel)``, Fortran order; changed in place
    """
    pixels, channels = rows.shape
    if gram.shape != (channels, channels) or not (
        rows.flags.c_contiguous and gram.flags.f_contiguous
    ):
        raise ValueError("add_products needs rows in C order and a square matrix in Fortran order")
    if not rows.dtype == gram.dtype == np.float32:
        raise TypeError("add_products works on float32")
    n, k = _int(channels), _int(pixels)
    _ssyrk(b"L", b"N", n, k, _float(1.0), rows.ctypes.data, n, _float(1.0), gram.ctypes.data, n)


def add_twofold(left: Matrix, right: Matrix, gram: Matrix) -> None:
    """Add ``left @ right.T + right @ left.T`` to the lower triangle of ``gram``.

    Parameters
    ----------
    left, right : float32 ``(channel, column)``
    gram : float32 ``(channel, channel)``, Fortran order; changed in place
    """
    channels, width = left.shape
    if not gram.flags.f_contiguous or gram.shape != (channels, channels):
        raise ValueError("add_twofold needs a square matrix in Fortran order")
    if right.shape != left.shape:
        raise ValueError("add_twofold needs columns alike")
    if not left.dtype == right.dtype == gram.dtype == np.float32:
        raise TypeError("add_twofold works on float32")
    a, b = np.asfortranarray(left), np.asfortranarray(right)
    n, k = _int(channels), _int(width)
    _ssyr2k(
        b"L", b"N", n, k, _float(1.0), a.ctypes.data, n, b.ctypes.data, n,
        _float(1.0), gram.ctypes.data, n,
    )  # fmt: skip


def times(gram: Matrix, columns: Matrix) -> Matrix:
    """Product of a symmetric matrix, of which the lower triangle is read, and ``columns``.

    Parameters
    ----------
    gram : float32 ``(channel, channel)``, Fortran order
    columns : float32 ``(channel, column)``

    Returns
    -------
    float32 ``(channel, column)``, Fortran order
    """
    channels, width = columns.shape
    if gram.shape != (channels, channels) or not gram.flags.f_contiguous:
        raise ValueError("times needs a square matrix in Fortran order")
    if not gram.dtype == columns.dtype == np.float32:
        raise TypeError("times works on float32")
    right = np.asfortranarray(columns)
    out = np.empty_like(right)
    m, n = _int(channels), _int(width)
    _ssymm(
        b"L", b"L", m, n, _float(1.0), gram.ctypes.data, m, right.ctypes.data, m,
        _float(0.0), out.ctypes.data, m,
    )  # fmt: skip
    return out
