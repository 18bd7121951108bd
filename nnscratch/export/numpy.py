"""`--to numpy`: a folder with the arrays, model.npz, and a model.py that is written for this one network."""

from __future__ import annotations

import math
import re
import runpy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from nnscratch.export import formulas
from nnscratch.export.format import Answers, Format, digest
from nnscratch.export.numpy_columns import features, reading, rows_of
from nnscratch.export.numpy_layers import Module, chain, lines
from nnscratch.files import write_atomically
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import count
from nnscratch.results.stored_values import pixels
from nnscratch.runs.loaded import LoadedRun
from nnscratch.training.test_time_augmentation import VIEWS
from nnscratch.version import VERSION

BATCH = 100
"""Examples that the proof asks for at a time."""


@dataclass(frozen=True)
class NumPy(Format):
    """model.py needs NumPy alone, and has each layer's formula, then the layers in order; model.npz has the weights.

    `python model.py picture.png` where Pillow is there, `python model.py rows.csv` for a table; from Python `predict`
    and, of a classifier, `probabilities`. Names of classes and columns are in the arrays: nothing that somebody else
    chose becomes code.
    """

    name: ClassVar[str] = "numpy"
    default: ClassVar[str] = "numpy"

    def require(self, loaded: LoadedRun) -> None:
        lines.require(list(loaded.network.walk()))

    def write(self, loaded: LoadedRun, path: Path) -> None:
        module = Module()
        text = source(loaded, module)
        path.mkdir()
        write_atomically(path / "model.py", text)
        np.savez(path / "model.npz", allow_pickle=False, **_named(loaded, module))

    def answer(self, path: Path, loaded: LoadedRun, stored: Array) -> Answers:
        model = SimpleNamespace(**runpy.run_path(str(path / "model.py")))  # which was written a moment ago
        parts: list[Any] = [stored[start : start + BATCH] for start in range(0, len(stored), BATCH)]
        if loaded.encoding is not None:
            parts = [rows_of(loaded.encoding, part.reshape(len(part), -1)) for part in parts]
        if loaded.classes is None:
            return Answers(np.concatenate([model.predict(part) for part in parts]))
        labels = np.concatenate([model.predict(part) for part in parts])
        return Answers(np.concatenate([model.probabilities(part) for part in parts]), labels)


def _named(loaded: LoadedRun, module: Module) -> dict[str, Array]:
    names = {"classes": loaded.classes, "target_names": loaded.target_names, "feature_names": loaded.feature_names}
    texts = {name: np.array(values, str) for name, values in names.items() if values is not None}
    for name, affine in (("scaling", loaded.affine), ("target_scaling", loaded.target_affine)):
        texts |= {f"{name}.multiplier": affine.multiplier, f"{name}.offset": affine.offset}
    return {**module.arrays, **texts, "digest": np.array(digest(loaded))}


def source(loaded: LoadedRun, module: Module) -> str:
    """The text of model.py; what it refers to is then in the module."""
    result = chain(loaded.network, module, "x", "x")
    network, module.lines = module.lines, []
    encoding = loaded.encoding
    tail = [] if encoding is None else features(encoding, module)
    tail += [*_outputs(loaded, module), *_answers(loaded, module), *_command(loaded, module)]
    shape = "(N, " + ", ".join(map(str, loaded.input_shape)) + ")"
    text = [
        *_head(loaded, shape),
        *(line for formula in module.formulas.values() for line in (formula.rstrip(), "", "")),
        "def network(x: Array) -> Array:",
        f'    """y (N, {loaded.outputs}) for scaled inputs x {shape}: the layers in order."""',
        *(f"    {line}" for line in network),
        f"    return {result}",
        "",
        "",
        *tail,
    ]
    return "\n".join(text) + "\n"


def _head(loaded: LoadedRun, shape: str) -> list[str]:
    name = re.sub(r"[^\w .-]", "_", loaded.run.name)
    given = "pixels, bytes 0..255" if loaded.takes_images else "features as they are"
    if loaded.takes_images and loaded.white is not None:
        given += f", or numbers 0..{loaded.white:g} as the run's data"
    if loaded.encoding is not None:
        given = "what `features` makes of rows; or rows themselves, a list of dicts"
    use = "python model.py picture.png" if _takes_pictures(loaded) else "python model.py rows.csv"
    answers = "predict, probabilities" if loaded.classes is not None else "predict"
    return [
        f'"""The network of the run {name}, as nnscratch {VERSION} wrote it: {count(loaded.network.parameters.size)} '
        "parameters, NumPy alone.",
        "",
        f"    {use}",
        f"    from model import {answers}    # of inputs {shape}: {given}",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        *(["import json"] if loaded.encoding is not None else []),
        "import signal",
        "import sys",
        "from pathlib import Path",
        "from typing import Any",
        "",
        "import numpy as np",
        "",
        "Array = np.ndarray",
        'with np.load(Path(__file__).with_name("model.npz"), allow_pickle=False) as arrays:',
        "    W = {name: arrays[name] for name in arrays.files}",
        "",
        "",
    ]


def _takes_pictures(loaded: LoadedRun) -> bool:
    return loaded.takes_images and len(loaded.input_shape) == 3 and loaded.input_shape[2] in (1, 3)


def _outputs(loaded: LoadedRun, module: Module) -> list[str]:
    views = VIEWS[loaded.record.views]
    if len(views) == 1:
        body = ["    return network(x)"]
    else:
        name = module.needs(formulas.view)
        terms = [f"{each.weight!r} * network({name}(x, {each.pixels}, {each.is_flipped}))" for each in views]
        body = ["    # averaged over changed copies of every image", "    return (", *(f"        {terms[0]}",)]
        body += [f"        + {term}" for term in terms[1:]] + ["    )"]
    as_examples, shape = module.needs(formulas.as_examples), loaded.input_shape
    rows = [
        "    if isinstance(inputs, list) and inputs and isinstance(inputs[0], dict):",
        "        inputs = features(inputs)",
    ]
    as_it_is = "x if x.dtype == np.uint8 else " if loaded.takes_images and not loaded.one_white else ""
    return [
        "def outputs(inputs: Any) -> Array:",
        '    """The network\'s outputs for inputs as they are stored, which are scaled here."""',
        *(rows if loaded.encoding is not None else []),
        *(
            [
                f"    x = {as_examples}(np.asarray(inputs), {shape})",
                f"    x = {as_it_is}{module.needs(pixels)}(x, {loaded.white!r}, {loaded.is_of_arrays})",
                "    x = x.astype(np.float32)",
            ]
            if loaded.takes_images
            else [
                f"    x = {as_examples}(np.asarray(inputs, np.float32), {shape})",
                "    if not np.isfinite(x).all():",
                '        raise ValueError("holds a value that is no number")',
            ]
        ),
        '    x = x * W["scaling.multiplier"] + W["scaling.offset"]',
        *body,
        "",
        "",
    ]


def _answers(loaded: LoadedRun, module: Module) -> list[str]:
    if loaded.classes is None:
        return [
            "def predict(inputs: Any) -> Array:",
            '    """The values (N, K) of W["target_names"], in their own units."""',
            "    y = outputs(inputs).astype(np.float64)",
            '    return (y - W["target_scaling.offset"]) / W["target_scaling.multiplier"]',
            "",
            "",
        ]
    formula = formulas.softmax if loaded.record.includes_softmax else formulas.positive_share
    cooled = f" / {loaded.temperature!r}" if loaded.record.includes_softmax and loaded.temperature != 1 else ""
    return [
        "def probabilities(inputs: Any) -> Array:",
        '    """The probability (N, K) of each of W["classes"]."""',
        f"    return {module.needs(formula)}(outputs(inputs).astype(np.float64){cooled})",
        "",
        "",
        "def predict(inputs: Any) -> Array:",
        '    """The class of each example, by name."""',
        '    return W["classes"][outputs(inputs).argmax(axis=1)]',
        "",
        "",
    ]


def _command(loaded: LoadedRun, module: Module) -> list[str]:
    shape = ", ".join(map(str, loaded.input_shape))
    if _takes_pictures(loaded):
        given = f"{shape}, {loaded.white_of_files!r}{', True' if loaded.takes_negative_pictures else ''}"
        read = [f"return {{path: {module.needs(formulas.read_picture)}(path, {given})}}"]
    elif loaded.encoding is not None:
        read = reading(loaded.encoding, module)
    else:
        module.needs(formulas.read_table)
        module.needs(formulas.is_below)
        numbers = f"list(map(str, range({math.prod(loaded.input_shape)}))), False"
        names = numbers if loaded.feature_names is None else 'W["feature_names"].tolist(), True'
        read = [f"return {module.needs(formulas.read_rows)}(path, {names})"]
    if loaded.classes is None:
        show = ['            print(name, *(f"{n} {v:.6g}" for n, v in zip(W["target_names"], row)), sep="  ")']
        asked = "predict"
    else:
        show = [
            '            best = np.argsort(-row, kind="stable")[:3]',
            '            print(name, *(f"{W[\'classes\'][i]} {row[i]:.1%}" for i in best), sep="  ")',
        ]
        asked = "probabilities"
    return [
        "def read(path: str) -> dict[str, Any]:",
        '    """The examples in a file by what they are called: inputs, or in words what is wrong."""',
        *(f"    {line}" for line in read),
        "",
        "",
        'if __name__ == "__main__":',
        '    if not sys.argv[1:] or {"-h", "--help"} & set(sys.argv[1:]):',
        "        print(__doc__)",
        "        sys.exit(not sys.argv[1:])",
        '    if hasattr(signal, "SIGPIPE"):  # what reads its lines may have enough, as `head` does',
        "        signal.signal(signal.SIGPIPE, signal.SIG_DFL)",
        "    failed = False",
        "    for path in sys.argv[1:]:",
        "        try:",
        "            examples = read(path)",
        "        except Exception as error:  # whatever a file may hold",
        "            examples = {path: str(error)}",
        "        known = [x for x in examples.values() if not isinstance(x, str)]",
        f"        answers = iter({asked}(np.stack(known).reshape(-1, {shape})) if known else ())",
        "        for name, x in examples.items():",
        "            if isinstance(x, str):",
        '                print(f"{name}: {x}", file=sys.stderr)',
        "                failed = True",
        "                continue",
        "            row = next(answers)",
        *show,
        "    sys.exit(failed)",
    ]
