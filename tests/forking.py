"""A process that has imported what a worker imports, and forks a worker whenever it is asked.

It has run no operation, so it has none of TensorFlow's threads, and a child is what a process of
its own would be after its imports. `forked.py` starts it: `python forking.py DESCRIPTOR`.
"""

from __future__ import annotations

import gc
import os
import pickle
import selectors
import signal
import socket
import struct
import sys
import tempfile
import traceback
from importlib import import_module
from pkgutil import iter_modules

from automl_cv.loading import process_is_ours

LONGEST = 100_000  # bytes of a message, most of them environment
BEGINNINGS = ("TF_", "KERAS_", "OMP_", "OPENBLAS_", "CUDA_", "XDG_", "HOME", "PYTHON")


def read_when_loaded() -> dict[str, str]:
    """Return the variables that may decide how libraries are loaded."""
    return {name: text for name, text in os.environ.items() if name.startswith(BEGINNINGS)}


def load() -> bool:
    """Import what workers do, as they do; tell whether children can use it."""
    process_is_ours()
    for room in ("automl_cv.worker", "automl_cv.engine"):
        for module in iter_modules(import_module(room).__path__, f"{room}."):
            import_module(module.name)
    import tensorflow as tf
    from tensorflow.python.eager import context

    # What holds a GPU can't be forked.
    return not tf.config.list_physical_devices("GPU") and not context.context()._initialized


def serve(orders: socket.socket) -> None:
    """Fork until tests hang up; tell how each child ended."""
    can_fork = load()
    orders.send(pickle.dumps(read_when_loaded() if can_fork else None))
    gc.freeze()  # children would copy what a collection touches
    with selectors.DefaultSelector() as events:
        events.register(orders, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fileobj is not orders:
                    pid, ending = key.data
                    os.write(ending, struct.pack("i", os.waitpid(pid, 0)[1]))
                    events.unregister(key.fileobj)
                    os.close(key.fd)
                    os.close(ending)
                    continue
                order, given, _, _ = socket.recv_fds(orders, LONGEST, 3)
                if not order:
                    return
                pid = os.fork()
                if pid == 0:
                    held = [key.fd for key in events.get_map().values()]
                    held += [key.data[1] for key in events.get_map().values() if key.data]
                    events.close()
                    become_worker(*pickle.loads(order), given, held)
                *theirs, ending = given
                for descriptor in theirs:
                    os.close(descriptor)
                events.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, ending))
                orders.send(struct.pack("i", pid))


def become_worker(
    environment: dict[str, str], folder: str, given: list[int], held: list[int]
) -> None:
    """Be a worker process, to its end."""
    connection, log, ending = given
    status = 1
    try:
        for descriptor in (*held, ending):
            os.close(descriptor)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        loaded = read_when_loaded()
        os.environ.clear()
        os.environ.update({**loaded, **environment})
        tempfile.tempdir = None  # it was read from the other environment
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["-m", str(connection)]
        import numpy as np

        from automl_cv.worker.process import main

        np.random.seed()
        main()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # tests decide when it ends
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        serve(orders)
