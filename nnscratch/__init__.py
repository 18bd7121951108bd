"""Train neural networks from first principles, with NumPy only."""

# The BLAS settings take effect only before NumPy is imported, so this comes first and nothing else is imported here.
from nnscratch import cpu, version

__version__ = version.VERSION

__all__ = ["__version__", "cpu"]
