"""A pool of worker processes."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager


@contextmanager
def process_pool(module: str) -> Iterator[ProcessPoolExecutor]:
    """Give a pool with one process per core, which have imported `module`; after an error, remaining work is dropped.

    They start from a server without threads: a fork of this process, which may have threads, could wait for a lock
    forever.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    pool = ProcessPoolExecutor(mp_context=context, initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Leave Ctrl-C to the parent, which ends this process, and also end if the parent is killed.

    Errors that cannot be caught are not printed: on a full disk HDF5 has one per object, besides the one raised.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = lambda *_: None
    sys.unraisablehook = lambda _: None
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
