"""A torch perceptron, 784-1024-1024-10, over JSON lists of 784 numbers."""

import torch

torch.set_num_threads(1)
torch.manual_seed(0)
MODEL = torch.nn.Sequential(
    torch.nn.Linear(784, 1024),
    torch.nn.ReLU(),
    torch.nn.Linear(1024, 1024),
    torch.nn.ReLU(),
    torch.nn.Linear(1024, 10),
).eval()


def handle(data, _context):
    if data is None:
        return None
    with torch.inference_mode():
        scores = MODEL(torch.tensor([row.get("data") or row.get("body") for row in data]))
        return [{"label": label} for label in scores.argmax(dim=1).tolist()]
