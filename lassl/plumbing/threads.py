"""How threads of OpenMP and OpenBLAS behave in the processes that this project starts."""

import os


def set_defaults() -> None:
    """Put defaults into the environment for the threads of this process and of those that it starts.

    Entry points call it before torch and numpy are loaded, which read the environment then. Threads of OpenMP, which
    torch uses, stop spinning soon when they wait: on a machine with other work they would hold the processor that the
    others need. OpenBLAS, which numpy uses, has one: the products here are small, and to share them out costs more than
    to make them. What the environment has already stays. No bit of a result changes.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "1000"  # turns of the waiting loop; without it GNU OpenMP spins for milliseconds
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
