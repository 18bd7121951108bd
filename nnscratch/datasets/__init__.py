"""Datasets: every source is a component, so importing them here is what makes them known."""

from nnscratch.datasets.dataset import Dataset, Source
from nnscratch.datasets.sources import cifar10, csv_table, fashion_mnist, image_folder, mnist, npz, shapes

__all__ = ["Dataset", "Source", "cifar10", "csv_table", "fashion_mnist", "image_folder", "mnist", "npz", "shapes"]
