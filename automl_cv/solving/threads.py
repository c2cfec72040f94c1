"""One thread for every product: the cores are for problems that do not wait for each other."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController


@functools.cache
def _controller() -> ThreadpoolController:
    """Return what limits the threads of the libraries that are loaded; looking takes a while."""
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS has one thread.

    Its threads wait for each other by spinning. Where others used the cores too, a path of 24
    penalties took 168 s with two threads, and some minutes before 12 s with one. And results
    do not depend on how many cores there are.
    """
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited
