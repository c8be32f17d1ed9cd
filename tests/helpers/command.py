"""The command line on the run of cli/conftest.py, and what its evaluation finds."""

import numpy as np

from helpers.trainings import settings
from lassl.cli import main as cli
from lassl.data.prepared import open_prepared
from lassl.evaluation import inference
from lassl.model.placement import place
from lassl.model.start import find_model
from lassl.predict.model_file import read_exported
from lassl.settings.sections import Data

RUN = "quick/cps-d0-s0"


def lassl(*words: object) -> int:
    """Run the command with these words; gives its exit code."""
    return cli.run([str(word) for word in words])


def expected(tiny_data: Data, case: str = "C6", name: str = "first") -> np.ndarray:
    """The mask that the evaluation makes of a case with a network of the run."""
    config = settings(tiny_data)
    where = place(config.compute)
    networks = {n: where.module(m).eval() for n, m in read_exported(find_model(RUN)).model.networks.items()}
    image = open_prepared(tiny_data.prepared).read_image(case)
    return inference.foregrounds(networks, image, inference.Windows.of(config), where)[name][0] > 0.5
