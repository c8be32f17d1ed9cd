"""LASSL: left-atrium segmentation by semi-supervised learning.

On import, before torch and with it OpenMP is loaded, the threads of this process and of those it starts are told to
stop spinning soon when they wait: on a machine with other work they would hold the processor that the others need. A
choice made in the environment stays. It changes no bit of a result.
"""

import os

if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"  # turns of the waiting loop; left alone, GNU OpenMP spins for milliseconds
