"""The baseline: V-Net trained only on the labeled cases."""

from torch import nn

from lassl.data.patches import Batch
from lassl.learning.base import Algorithm, MakeNetwork, Progress, Step


class Supervised(Algorithm):
    """One network, loss 0.5 (cross-entropy + Dice)."""

    def __init__(self, make_network: MakeNetwork):
        super().__init__()
        self.network = make_network()

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms; logs the batch's foreground Dice."""
        return self.supervised(self.network(batch.image), batch)
