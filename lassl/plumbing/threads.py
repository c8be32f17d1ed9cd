"""Sets how threads of OpenMP and OpenBLAS behave in the processes that this project starts."""

import os


def set_defaults() -> None:
    """Set environment defaults for the threads of this process and of those that it starts.

    Entry points call it before they load torch and numpy, which then read the environment. OpenMP threads, which torch
    uses, soon stop spinning while they wait; otherwise, on a busy machine, they would occupy cores that others need.
    OpenBLAS, which numpy uses, gets one thread, because the products here are too small to share. Variables that are
    set already stay. No bit of a result changes.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = (
            "1000"  # iterations of the waiting loop; by default GNU OpenMP spins for milliseconds
        )
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
