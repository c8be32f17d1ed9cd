"""`lassl compose`: params.yaml anew from the defaults in conf/, as `dvc exp run` writes it before an experiment."""

import argparse

from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import whole
from lassl.runs.lockfile import sync_lock
from lassl.settings import conf_files
from lassl.settings.compose import CONF, PARAMS, compose
from lassl.settings.config import load


def run(arguments: argparse.Namespace) -> int:
    """Compose params.yaml, if valid, and move the entries of its runs into dvc.lock; gives 0. Raises LasslError."""
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
