#!/usr/bin/env python3
"""Trains the classifier of `make demo` on scikit-learn's bundled handwritten digits and exports it.

Writes to tests/data/digits: digits.pt2; digits.npz with the 360 held-back images (in0), torch's outputs (out0) and the labels; and
coremltools.mlpackage, what coremltools makes of the same program.
Seeded: the same torch build on the same machine gives the same weights.
    build/venv/bin/python tools/train_digits.py
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))

import packages

FOLDER = ROOT / "tests" / "data" / "digits"


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(64 * 2 * 2, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, image):
        return self.classifier(self.features(image))


def train(net, images, labels, epochs=30, batch=64):
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=epochs * -(-len(images) // batch))
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(batch):
            loss = F.cross_entropy(net(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()


def shorten_traces(program):
    """Source paths from the repository and from site-packages on, so the file does not depend on where it was made."""
    folders = [f"{ROOT}/", f"{Path(torch.__file__).parent.parent}/"]
    for node in program.graph.nodes:
        for folder in folders:
            if "stack_trace" in node.meta:
                node.meta["stack_trace"] = node.meta["stack_trace"].replace(folder, "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    torch.manual_seed(7)
    torch.set_num_threads(1)  # the order of a sum depends on the number of threads

    data = load_digits()
    images = (data.images / 16.0).astype(np.float32)[:, None]
    split = train_test_split(images, data.target, test_size=360, random_state=0, stratify=data.target)
    # numpy's new axis has stride 1, which torch would take for channels-last.
    x_train, x_test, y_train, y_test = (torch.from_numpy(a).clone(memory_format=torch.contiguous_format) for a in split)

    net = Digits()
    train(net, x_train, y_train)
    with torch.no_grad():
        logits = net(x_test)
        batch = torch.export.Dim("batch", min=1, max=512)
        program = torch.export.export(net, (x_test[:2],), dynamic_shapes={"image": {0: batch}})
    shorten_traces(program)

    args.out.mkdir(parents=True, exist_ok=True)
    torch.export.save(program, args.out / "digits.pt2")
    packages.write(program, args.out / "coremltools.mlpackage")
    np.savez(args.out / "digits.npz", in0=x_test.numpy(), out0=logits.numpy(), labels=y_test.numpy())
    correct = int((logits.argmax(1) == y_test).sum())
    print(f"torch {torch.__version__}: {correct} of {len(y_test)} held-back images right ({correct / len(y_test):.2%})")


if __name__ == "__main__":
    main()
