"""Made-up but realistic results for the tests of plots, tables and pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnscratch.report.classification import confusion_matrix, per_class
from nnscratch.report.curves import curves
from nnscratch.report.elements import Headline, Picture
from nnscratch.report.gradient_flow import gradient_flow
from nnscratch.report.page import Mistake, ReportContents
from nnscratch.report.samples import image_png
from nnscratch.report.style import NARROW, WIDTH
from nnscratch.report.tables import Column, Table, most_confused, per_class_table
from nnscratch.report.values import ClassScores

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture
def classes() -> tuple[str, ...]:
    return CLASSES


@pytest.fixture
def epochs() -> list[dict[str, float | None]]:
    """Fifty epochs of a classifier: overfits after a while, cosine learning rate, gradients of three layers."""
    return made_up_epochs(50)


def made_up_epochs(number: int, seed: int = 0, final: float = 0.56) -> list[dict[str, float | None]]:
    rng = np.random.default_rng(seed)
    rows: list[dict[str, float | None]] = []
    for epoch in range(1, number + 1):
        progress = 1 - np.exp(-epoch / 9)
        row: dict[str, float | None] = {
            "epoch": epoch,
            "train_loss": 2.25 - 1.25 * progress - 0.006 * epoch + rng.normal(0, 0.006),
            "val_loss": 2.2 - 0.95 * progress + 0.00008 * epoch**2 + rng.normal(0, 0.015),
            "train_accuracy": 0.2 + (final - 0.12) * progress + 0.002 * epoch + rng.normal(0, 0.002),
            "val_accuracy": 0.2 + (final - 0.2) * progress + rng.normal(0, 0.006),
            "learning_rate": 0.0005 * (1 + np.cos(np.pi * (epoch - 1) / number)),
        }
        for depth, layer in enumerate(("0.dense", "2.dense", "4.dense")):
            row[f"gradient_norm/{layer}"] = float(0.4 * 0.5**depth * np.exp(-epoch / 40 + rng.normal(0, 0.1)))
            row[f"update_ratio/{layer}"] = float(3e-3 * 0.6**depth * np.exp(-epoch / 20 + rng.normal(0, 0.1)))
        rows.append(row)
    return rows


def made_up_confusion(classes: int, seed: int = 1) -> NDArray[np.int64]:
    """Counts of a classifier of middling quality that mixes up neighbouring classes most."""
    rng = np.random.default_rng(seed)
    places = np.arange(classes)
    likely = np.exp(-np.abs(places[:, None] - places[None, :]) / 1.2) + 0.02
    likely[places, places] += rng.uniform(0.8, 4.0, classes)
    counts: NDArray[np.int64] = np.stack([rng.multinomial(1000, row / row.sum()) for row in likely]).astype(np.int64)
    return counts


@pytest.fixture
def confusion() -> NDArray[np.int64]:
    return made_up_confusion(10)


def made_up_images(number: int, side: int = 32, seed: int = 2) -> NDArray[np.uint8]:
    """Coloured discs and squares on a gradient, (N, side, side, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    images = np.empty((number, side, side, 3))
    for index in range(number):
        ground, shape = rng.uniform(0, 255, (2, 3))
        middle, size = rng.uniform(0.35, 0.65, 2), rng.uniform(0.15, 0.32)
        distance = np.hypot(x - middle[0], y - middle[1]) if index % 2 else np.maximum(abs(x - middle[0]), abs(y - 0.5))
        images[index] = ground * (0.6 + 0.4 * y[..., None])
        images[index][distance < size] = shape
    return np.clip(images + rng.normal(0, 8, images.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def sample() -> dict[str, Any]:
    """Arguments of `predictions`: 32 images, every third one wrong."""
    rng = np.random.default_rng(3)
    true = rng.integers(0, 10, 32)
    predicted = np.where(np.arange(32) % 3 == 0, (true + 1) % 10, true)
    return {
        "images": made_up_images(32),
        "true": true,
        "predicted": predicted,
        "confidence": rng.uniform(0.35, 1.0, 32),
        "classes": CLASSES,
    }


@pytest.fixture(scope="session")
def report_contents(tmp_path_factory: pytest.TempPathFactory) -> ReportContents:
    """A report with every section filled, drawn from the data above; the class name of a cat is hostile."""
    return made_up_report(tmp_path_factory.mktemp("plots"))


HOSTILE = '<script>alert("cat")</script>'


def made_up_report(folder: Path) -> ReportContents:
    names = [HOSTILE if name == "cat" else name for name in CLASSES]
    counts = made_up_confusion(10)
    rng = np.random.default_rng(4)
    scores = [
        ClassScores(name, rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.8), 1000) for name in names
    ]
    images = made_up_images(12)

    def picture(draw: Callable[[Path, float], object], alt: str, caption: str = "") -> Picture:
        draw(folder / "wide.png", WIDTH)
        draw(folder / "narrow.png", NARROW)
        wide, narrow = ((folder / name).read_bytes() for name in ("wide.png", "narrow.png"))
        return Picture(wide, alt, caption, narrow)

    rows = made_up_epochs(50)
    layers = (
        ("0.dense", "3072", "512", "1,573,376"),
        ("1.relu", "512", "512", "0"),
        ("2.dense", "512", "256", "131,328"),
    )
    return ReportContents(
        name="cifar_best",
        subtitle="cifar10, 45,000 training and 5,000 validation images; dense 3072-512-256-10",
        status="completed",
        headlines=(
            Headline("Test accuracy", "57.12 %", "10,000 images, once"),
            Headline("Validation accuracy", "57.40 %", "best epoch 41 of 50"),
            Headline("Test loss", "1.241"),
            Headline("Parameters", "1,707,274"),
            Headline("Training time", "3 min 05 s", "12,160 images per second"),
        ),
        notes=("These images were decoded from JPEG quality 75.",),
        command="nnscratch train configs/cifar_best.yaml --seed 42 optimizer.learning_rate=0.001 " + "l2=0.001 " * 8,
        config="name: cifar_best\nseed: 42\nmodel:\n  hidden_layers: [512, 256]\n  # <b>not bold</b>\nclasses: "
        + "x" * 200,
        network=Table(
            (Column("layer"), Column("input"), Column("output"), Column("parameters", is_number=True)), layers
        ),
        curves=picture(
            lambda path, width: curves(rows, path, best_epoch=41, width=width), "Loss and accuracy over 50 epochs"
        ),
        confusion_matrix=picture(
            lambda path, width: confusion_matrix(counts, names, path, width=width), "Confusion matrix of ten classes"
        ),
        most_confused=most_confused(counts, names),
        per_class=per_class_table(scores),
        class_plots=(picture(lambda path, width: per_class(scores, path, width=width), "Scores by class"),),
        mistakes=tuple(
            Mistake(names[index % 10], names[(index + 3) % 10], 0.99 - index / 50, image_png(image), f"test/{index}")
            for index, image in enumerate(images)
        ),
        plots=(
            picture(
                lambda path, width: gradient_flow(rows, path, width=width), "Gradients by layer", "The band is healthy."
            ),
        ),
        timings={"Training": "3 min 05 s", "Validation": "4.1 s", "Evaluation": "0.8 s", "Per epoch": "3.7 s"},
        environment={
            "Processor": "AMD EPYC 9B45",
            "Threads": "2",
            "NumPy": "2.4.0",
            "BLAS": "OpenBLAS 0.3.30 SkylakeX",
        },
    )
