"""Train neural networks from first principles, with NumPy only."""

from typing import TYPE_CHECKING

# The BLAS settings take effect only before NumPy is imported, so this comes first and nothing else is imported here.
from nnscratch import cpu, version

if TYPE_CHECKING:
    from nnscratch.interface import Model, TrainedRun, load, train

__version__ = version.VERSION

__all__ = ["Model", "TrainedRun", "__version__", "cpu", "load", "train"]

if not TYPE_CHECKING:  # which would take any name for one of these

    def __getattr__(name: str) -> object:
        """`load`, `train` and what they return, imported when they are first asked for."""
        if name in ("Model", "TrainedRun", "load", "train"):
            from nnscratch import interface

            return getattr(interface, name)
        raise AttributeError(f"module 'nnscratch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
