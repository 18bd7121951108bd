"""What `nnscratch train configs/reference/{cifar,fashion}_notebook.yaml` does, in PyTorch: data, split, training,
validation after every epoch, test at the end. For the end-to-end comparison; prints its test accuracy.

    python tests/benchmarks/pytorch_training.py cifar data 3
"""

from __future__ import annotations

import argparse
import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np


def cifar(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    parts = []
    for names in ([f"data_batch_{i}.bin" for i in range(1, 6)], ["test_batch.bin"]):
        raw = np.concatenate([np.fromfile(folder / "cifar-10-batches-bin" / name, np.uint8) for name in names])
        parts.append(raw.reshape(-1, 3073))
    return [part[:, 1:].copy() for part in parts], [part[:, 0].astype(np.int64) for part in parts]


def fashion(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    def read(name: str, offset: int) -> np.ndarray:
        return np.frombuffer(gzip.open(folder / "fashion-mnist" / f"{name}-ubyte.gz").read(), np.uint8, offset=offset)

    images = [read(f"{split}-images-idx3", 16).reshape(-1, 784) for split in ("train", "t10k")]
    return images, [read(f"{split}-labels-idx1", 8).astype(np.int64) for split in ("train", "t10k")]


def train(name: str, folder: Path, epochs: int) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    images, labels = (cifar if name == "cifar" else fashion)(folder)
    hidden, batch, decay, held_out = ((512, 256), 128, 1e-3, 5000) if name == "cifar" else ((128,) * 3, 64, 1e-4, 0)
    x, x_test = (torch.from_numpy(np.array(each)) for each in images)
    t, t_test = (torch.from_numpy(each) for each in labels)
    order = torch.randperm(len(x))
    validation, training = order[:held_out], order[held_out:]

    widths = (x.shape[1], *hidden, 10)
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(widths):
        linear = torch.nn.Linear(a, b)
        torch.nn.init.normal_(linear.weight, 0, (2 / a) ** 0.5)
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    groups = [
        {"params": [p for p in model.parameters() if p.ndim == 2], "weight_decay": decay},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.Adam(groups, lr=1e-3, fused=True)

    def score(inputs: torch.Tensor, targets: torch.Tensor, rows: torch.Tensor) -> tuple[float, float]:
        loss = correct = 0.0
        with torch.no_grad():
            for piece in rows.split(256):
                y = model(inputs[piece].float().div_(255))
                loss += float(cross_entropy(y, targets[piece], reduction="sum"))
                correct += int((y.argmax(1) == targets[piece]).sum())
        return loss / len(rows), correct / len(rows)

    for epoch in range(epochs):
        loss_sum, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for rows in training[torch.randperm(len(training))].split(batch):
            y = model(x[rows].float().div_(255))
            loss = cross_entropy(y, t[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(rows)
            correct += (y.argmax(1) == t[rows]).sum()
        line = f"epoch {epoch + 1} loss {loss_sum / len(training):.4f} accuracy {correct / len(training):.4f}"
        if held_out:
            line += " validation {:.4f} {:.4f}".format(*score(x, t, validation))
        print(line)
    print(f"test_accuracy {score(x_test, t_test, torch.arange(len(x_test)))[1]:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=["cifar", "fashion"])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("epochs", type=int)
    options = parser.parse_args()
    train(options.case, options.data_dir, options.epochs)


if __name__ == "__main__":
    main()
