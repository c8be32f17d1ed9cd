"""LASSL: left-atrium segmentation by semi-supervised learning.

On import, before torch and numpy are loaded, this process and those that it starts are told how their threads behave.
Those of OpenMP, which torch uses, stop spinning soon when they wait: on a machine with other work they would hold the
processor that the others need. OpenBLAS, which numpy uses, has one: the products here are small, and to share them out
costs more than to make them. A choice made in the environment stays. It changes no bit of a result.
"""

import os

if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"  # turns of the waiting loop; left alone, GNU OpenMP spins for milliseconds
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
