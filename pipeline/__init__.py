"""The stages of dvc.yaml, one module each.

DVC runs each stage with the first `python` in PATH. If it lacks the project's packages, as after `.venv/bin/dvc repro`
without activating .venv, a one-line error says so instead of a traceback.
"""

import sys
from importlib.util import find_spec

if sys.argv[0] == "-m":  # a stage is being started
    if find_spec("dvc") is None:
        sys.exit(
            f"error: {sys.executable}: found a Python without the project's packages; "
            "run `source .venv/bin/activate` first, or use `make repro`"
        )
    from lassl.plumbing import threads

    threads.set_defaults()
