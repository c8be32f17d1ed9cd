"""`lassl compose`: writes params.yaml from the defaults in conf/, as `dvc exp run` does before an experiment."""

import argparse

from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import whole
from lassl.runs.lockfile import sync_lock
from lassl.settings import conf_files
from lassl.settings.compose import CONF, PARAMS, compose
from lassl.settings.config import load


def run(arguments: argparse.Namespace) -> int:
    """Compose a valid params.yaml, and move the entries of its runs into dvc.lock; returns 0. Raises LasslError."""
    if problems := list(conf_files.problems(CONF)):
        raise LasslError("\n".join(problems))
    with whole(PARAMS) as temporary:
        compose(temporary, *arguments.overrides)
        try:
            settings = load(temporary)
        except LasslError as error:
            raise LasslError(str(error).replace(str(temporary), str(PARAMS))) from None
    sync_lock(settings)
    return 0
