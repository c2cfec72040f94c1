"""LAPACK's routines, called without Python's lock.

SciPy's wrappers hold it for as long as a routine runs, so that two threads reduce two matrices one
after the other. SciPy also hands out the addresses of the same routines (`cython_lapack`), and
ctypes calls them without the lock: the numbers are the same.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import cython_lapack

Argument = bytes | int | np.ndarray


def called(name: str, *arguments: Argument, skipped: int = 0) -> None:
    """Call a routine, whose last argument says what went wrong.

    Args:
        name: of the routine, such as "dgtsv".
        arguments: all but the last. An array is float64 and lies in memory as the routine expects
            it: its rows are Fortran's columns, or it has Fortran's order. What the routine writes
            is written there.
        skipped: numbers at the start of every array of two axes that the routine does not see.

    Raises:
        ValueError: an argument is not such as the routine takes.
    """
    failed = ctypes.c_int()
    _routine(name, len(arguments) + 1)(
        *(_passed(one, skipped) for one in arguments), ctypes.byref(failed)
    )
    if failed.value < 0:
        raise ValueError(f"{name} does not take its argument {-failed.value}")


@functools.cache
def _routine(name: str, arguments: int) -> Callable[..., None]:
    """Return a routine of so many arguments."""
    capsule = cython_lapack.__pyx_capi__[name]
    told, address = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    told.restype, told.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    made = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)
    return made(address(capsule, told(capsule)))


def _passed(argument: Argument, skipped: int) -> Any:
    """Return what C takes for an argument."""
    if isinstance(argument, bytes):
        return argument
    if isinstance(argument, int):
        return ctypes.byref(ctypes.c_int(argument))
    start = argument.ctypes.data
    return start + skipped * argument.itemsize if argument.ndim == 2 else start
