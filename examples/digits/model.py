"""The network: two convolutions and two linear layers for 8x8 pictures of handwritten digits.

Packed into the archive as its model file; ``train.py`` makes the weights, the handler loads both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class DigitNet(nn.Module):
    """Scores for the ten digits, shape (n, 10), from pictures of shape (n, 1, 8, 8) in 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(32 * 4 * 4, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """One row of scores per picture."""
        scores: Tensor = self.layers(pictures)
        return scores
