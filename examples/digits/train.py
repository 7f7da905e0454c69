"""Train the digit network on scikit-learn's bundled digits and save its weights: a few seconds.

    python train.py --out digits.pt

Three quarters of the 1797 pictures are learnt, the rest is the test. The seed is fixed, so the same
machine gives the same weights. Exits with 1 when the result is worse than 97 % right.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

import torch
from model import DigitNet
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

EPOCHS = 25
BATCH = 64
GOOD_ENOUGH = 0.97


def digits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Learnt pictures, tested pictures (n, 1, 8, 8) in 0 to 1, and their labels in that order."""
    known = load_digits()
    pictures = torch.tensor(known.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(known.target)
    split = train_test_split(pictures, labels, test_size=0.25, random_state=0, stratify=labels)
    return split[0], split[1], split[2], split[3]


def train(network: DigitNet, pictures: torch.Tensor, labels: torch.Tensor) -> None:
    """Fit the network in place."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    network.train()
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(pictures)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(pictures[chosen]), labels[chosen]).backward()
            optimizer.step()
        schedule.step()


def accuracy(network: DigitNet, pictures: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of pictures that are recognised."""
    network.eval()
    with torch.inference_mode():
        return (network(pictures).argmax(dim=1) == labels).float().mean().item()


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Train the digit network.")
    parser.add_argument("--out", type=Path, required=True, help="where the weights go")
    out: Path = parser.parse_args().out
    torch.manual_seed(0)
    torch.set_num_threads(1)  # more only get in each other's way with a net this small
    learnt, tested, learnt_labels, tested_labels = digits()
    network = DigitNet()
    begin = perf_counter()
    train(network, learnt, learnt_labels)
    right = accuracy(network, tested, tested_labels)
    print(
        f"trained in {perf_counter() - begin:.0f} s, {right:.1%} of {len(tested)} unseen pictures are recognised"
    )
    torch.save(network.state_dict(), out)
    return 0 if right >= GOOD_ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
