"""Every algorithm on a V-Net that leaves z alone at first: its losses and their gradients are finite."""

import pytest
import torch
import yaml

from helpers.project import ROOT
from lassl.data.patches import Batch
from lassl.learning.base import Progress
from lassl.methods import algorithms, build
from lassl.model.vnet import VNet
from lassl.settings.compose import compose
from lassl.settings.config import Config, load
from lassl.settings.sections import Network

THICK = ((2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2))
CONTENTS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "conf/method").glob("*.yaml"))}
ROWS = {content["algorithm"]: row for row, content in CONTENTS.items() if "algorithm" in content}  # one for each


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    params = tmp_path_factory.mktemp("thick") / "params.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        compose(params, f"method=[{','.join(ROWS.values())}]")
    return load(params)


@pytest.mark.parametrize("algorithm", algorithms())
def test_a_step_with_thick_slices_is_finite(config, algorithm):
    method = config.methods[ROWS[algorithm]]
    torch.manual_seed(0)
    network = Network(width=2, residual=False, dropout=0.2, halve=THICK)
    learner = build(algorithm, lambda: VNet(network), method.options)
    image = torch.randn(method.batch.labeled + method.batch.unlabeled, 1, 16, 32, 8)
    batch = Batch(image, (image[: method.batch.labeled, 0] > 0.5).to(torch.uint8))
    torch.stack(list(learner.losses(batch, Progress(20, 40, 0, 0)).terms.values())).sum().backward()
    gradients = [p.grad for p in learner.parameters() if p.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)
