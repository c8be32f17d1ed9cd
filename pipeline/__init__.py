"""The stages of dvc.yaml, a module each.

DVC runs each stage by the `python` that comes first in PATH. Where that is another one than DVC's own, as after
`.venv/bin/dvc repro` without activating .venv, it says so in a line, in place of a traceback.
"""

import sys
from importlib.util import find_spec

if sys.argv[0] == "-m":  # a stage is being started
    if find_spec("dvc") is None:
        sys.exit(
            f"error: {sys.executable}: found a Python without the project's packages; "
            "`source .venv/bin/activate` first, or use `make repro`"
        )
    from lassl.plumbing import threads

    threads.set_defaults()
