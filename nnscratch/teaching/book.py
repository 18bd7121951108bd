"""The book in docs/, made from the components' own docstrings, fields and code:

    python -m nnscratch.teaching.book docs

Every component has its formula, the derivation of its gradient, its source and the file and line that computes it. A
test fails when the pages are not what this would write now.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import nnscratch
import nnscratch.config.builtins  # so that every component is known
from nnscratch.component import Component, catalogue, opening, settings_of
from nnscratch.files import write_atomically
from nnscratch.nn.initializers import Initializer
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers.activations import Activation
from nnscratch.nn.losses import Loss
from nnscratch.teaching.mathematics import to_tex
from nnscratch.teaching.topics import ABOUT_TOPICS, TOPICS, Topic
from nnscratch.teaching.worked_formulas import worked_formulas
from nnscratch.training.augmentation.augmentation import Augmentation
from nnscratch.training.averaging import Averaging
from nnscratch.training.metrics.metric import Metric
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.scaling import Scaling
from nnscratch.training.schedules import Schedule

ROOT = Path(nnscratch.__file__).parent.parent

COMPUTING = (
    "function", "derivative", "function_and_derivative", "forward", "backward",
    "__call__", "update", "factor", "variance", "values", "fit", "move", "apply",
)  # fmt: skip
"""The methods that compute a formula unless a component names its own (`formula_in`), in the order they are shown."""

DERIVATION = "Derivation: "

MADE = "<!-- Made by `python -m nnscratch.teaching.book docs`: change the docstrings, not this page. -->"

YEAR = re.compile(r"\b1[789]\d\d\b|\b20[012]\d\b")
"""Of a publication: a docstring that names none gets its module's opening words, which do."""


@dataclass(frozen=True)
class Page:
    """A page of the book: one kind of component."""

    name: str
    title: str
    where: str
    """Where a config names them."""
    text: str
    base: type[Component]
    without: type[Component] | None = None
    """A part of the kind that has a page of its own."""

    @property
    def components(self) -> list[type[Component]]:
        """In order of definition."""
        known: list[type[Component]] = list(catalogue(self.base).values())
        return [
            each
            for each in known
            if each.__module__.startswith("nnscratch.") and (self.without is None or not issubclass(each, self.without))
        ]


PAGES = (
    Page(
        "layers", "Layers", "model.layers",
        "A layer gives y from x (`forward`), and from dy, the gradient of the loss with respect to y, its own "
        "gradients and dx (`backward`). N examples make a batch; images are N, H, W, C.",
        Layer, Activation,
    ),
    Page(
        "activations", "Activations", "model.activation, model.output and model.layers",
        "Layers that change every number on its own, and softmax.", Activation,
    ),
    Page(
        "losses", "Losses", "loss",
        "What training minimises: a mean over the batch of a function of the outputs y and the targets t. Backward "
        "starts from its gradient dy. Where examples have weights w (a table's `data.dataset.weight`, an NPZ file's "
        "`sample_weight`), it is the mean of w_n L_n with w of mean 1 over the split, and so the weighted mean of the "
        "split; only losses are weighted, as in scikit-learn where `sample_weight` is given to `fit` alone.",
        Loss,
    ),
    Page(
        "optimizers", "Optimizers", "optimizer",
        "How a gradient g changes the weights theta; `rate` is the learning rate of the step, t counts the steps.",
        Optimizer,
    ),
    Page(
        "schedules", "Schedules", "schedule",
        "A factor that multiplies the learning rate: a function of how far training has come, from 0 to 1.", Schedule,
    ),
    Page("initializers", "Initializers", "model.weight_init", "How weights start. Biases start at zero.", Initializer),
    Page(
        "scaling",
        "Scaling",
        "data.scaling",
        "What inputs are scaled to, by the training split's figures. A regression's targets are scaled too, to mean 0 "
        "and deviation 1 (`data.target_scaling: none` leaves them): its losses are of the scaled targets, predictions "
        "and the errors that `evaluate` gives are in the targets' own units.",
        Scaling,
    ),
    Page(
        "augmentation", "Augmentation", "data.augment",
        "Random changes of training images that keep what they show.", Augmentation,
    ),
    Page(
        "metrics", "Metrics", "training.monitor, as val_ and the name",
        "What `evaluate` and the report say of a trained network, from labels t and probabilities p, or from numbers t "
        "and predictions y in the targets' own units; each that scikit-learn has equals it, over the classes that have "
        "examples. C counts them, true classes as rows and predicted ones as columns. `training: {monitor: "
        "val_macro_f1}` "
        "computes one after every epoch and keeps the weights that are best by it; a sweep's metric is one that its "
        "config monitors. Figures come with 95 % intervals: an accuracy's is Wilson's (1927), all others are "
        "percentiles over 1,000 bootstrap resamples of the split, from the run's seed; where all are alike "
        "there is none, nor where the figure is outside, as average precision over many classes of few examples may "
        "be: resamples hold examples twice, which raises it by itself. Noise only adds to the calibration error, so "
        "what perfect probabilities would have by chance "
        "stands beside it, and its interval reaches as far below it as above. Where a figure has no "
        "meaning there is none, and it is said why.",
        Metric,
    ),
    Page("averaging", "Averaging", "training.averaging", "Averages of the weights along the way.", Averaging),
)  # fmt: skip


def book() -> dict[str, str]:
    """Every generated file of docs/ by name."""
    pages = {f"{page.name}.md": "\n".join(_page(page)) + "\n" for page in PAGES}
    pages["step.md"] = "\n".join([MADE, "# Around a step", "", ABOUT_TOPICS, *chain(*map(_topic, TOPICS))]) + "\n"
    return {"README.md": "\n".join(_contents()) + "\n", **pages}


def write_book(folder: Path) -> None:
    for name, text in book().items():
        write_atomically(folder / name, text)


def _contents() -> Iterator[str]:
    yield from ("# How it works", "")
    yield (
        "Everything a network of nnscratch computes, with the formula, why its gradient is what it is, where it was "
        "published, and the lines of NumPy that compute it. Made from the code's own words by "
        "`python -m nnscratch.teaching.book docs`."
    )
    yield from (
        "",
        "A step of training is: [scale](scaling.md) a batch and [change it a little](augmentation.md), send it "
        "through the [layers](layers.md) and [activations](activations.md), whose weights "
        "[started](initializers.md) at random; compare with the targets by the [loss](losses.md); go back through "
        "the layers for the gradients; let the [optimizer](optimizers.md) change the weights at the rate of the "
        "[schedule](schedules.md), and perhaps [average](averaging.md) them.",
        "",
        "New to all this? [Nine chapters](learn/README.md) begin at one neuron, with pictures and exercises.",
        "",
        "Three commands show it at work on any config:",
        "",
        "- `nnscratch explain CONFIG` tells one such step in these formulas and its own numbers,",
        "- `nnscratch gradcheck CONFIG` compares every gradient with difference quotients,",
        "- `nnscratch diagnose RUN` says in which layer a training went wrong.",
        "",
        "[A layer of your own](teaching.md) takes one file; [a trained network elsewhere](export.md), one command, "
        "[as a service](serving.md) another; "
        "[working on nnscratch](contributing.md) has the map of the code.",
        "",
        "| Page | In a config | Components |",
        "|---|---|---|",
    )
    for page in PAGES:
        names = ", ".join(f"[{each.name}]({page.name}.md#{each.name})" for each in page.components)
        yield f"| [{page.title}]({page.name}.md) | `{page.where}` | {names} |"
    names = ", ".join(f"[{topic.name}](step.md#{topic.name.lower().replace(' ', '-')})" for topic in TOPICS)
    yield f"| [Around a step](step.md) | | {names} |"


def _page(page: Page) -> Iterator[str]:
    yield MADE
    yield from (f"# {page.title}", "", f"{page.text} In a config: `{page.where}`. [Contents](README.md)")
    for component in page.components:
        yield from _component(component)


def _component(component: type[Component]) -> Iterator[str]:
    yield from ("", f"## {component.name}", "")
    statement, paragraphs = opening(component)
    yield from _fenced(statement)
    yield from _typeset(worked_formulas(component))
    for paragraph in paragraphs:
        yield ""
        if paragraph.startswith(DERIVATION):
            yield from _derivation(paragraph.removeprefix(DERIVATION))
        elif _is_formula(paragraph):
            yield from _fenced(paragraph)
        else:
            yield _prose(paragraph)
    introduction = inspect.cleandoc(inspect.getmodule(component).__doc__ or "").split("\n\n")[0]
    if not YEAR.search(component.__doc__ or "") and YEAR.search(introduction):
        yield from ("", _prose(introduction))
    fields = settings_of(component)
    if fields:
        yield from ("", "| Field | Default | Meaning |", "|---|---|---|")
        for field in fields:
            short = " (short form)" if field.name == component.short else ""
            yield f"| `{field.name}`{short} | {_default(field)} | {_prose(field.metadata.get('help', ''))} |"
    yield from ("", "Computed in " + ", ".join(_links(component)) + ".")


def _topic(topic: Topic) -> Iterator[str]:
    yield from ("", f"## {topic.name}", "", f"In a config: `{topic.where}`.")
    for paragraph in inspect.cleandoc(topic.computed.__doc__ or "").split("\n\n"):
        yield from ("", _prose(paragraph))
    yield from _typeset(topic.formulas())
    yield from ("", f"Computed in {_link(topic.computed.__name__, topic.computed)}.")


def _typeset(formulas: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Formulas below each other, as the code host shows mathematics: between $$ it would take Markdown's signs away."""
    if formulas:
        lines = [rf"{to_tex(name)} &= {to_tex(formula)}" for name, formula in formulas]
        yield from ("", "```math", r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}", "```")


def _derivation(text: str) -> Iterator[str]:
    """Prose, and as a block every indented line."""
    yield "**Derivation.** " + _capital(_prose(text.split("\n    ")[0].replace("\n", " ")))
    block: list[str] = []
    for line in text.split("\n")[len(text.split("\n    ")[0].split("\n")) :]:
        if line.startswith("    "):
            block.append(line.strip())
            continue
        if block:
            yield from ("", *_fenced("\n".join(block)), "")
            block = []
        yield _prose(line)
    if block:
        yield from ("", *_fenced("\n".join(block)))


def _fenced(text: str) -> Iterator[str]:
    yield from ("```text", *(line.rstrip() for line in textwrap.dedent(text).split("\n")), "```")


def _is_formula(paragraph: str) -> bool:
    """Whether a paragraph is set as written: it starts with a formula or Gradient(s), or its lines are laid out."""
    return bool(re.match(r"(    |Gradients?:|[A-Za-z_^]+ (=|-=|\+=) )", paragraph) or re.search(r"\S   +\S", paragraph))


def _prose(text: str) -> str:
    """One line of Markdown in which no character has a meaning of its own."""
    parts = " ".join(text.split()).split("`")  # every other one is code, in which a backslash would be seen
    parts[::2] = [re.sub(r"([*_<>\[\]|^~$\\])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _capital(text: str) -> str:
    return text if re.match(r"(?!a )[a-z]\b|[a-z]+ =|theta|dy|dx", text) else text[:1].upper() + text[1:]


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{_yaml(field.default)}`"
    if field.default_factory is not dataclasses.MISSING:
        return f"`{_yaml(field.default_factory())}`"
    return "required"


def _yaml(value: object) -> str:
    if isinstance(value, Component):
        return value.name
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else "[]" if value == () else str(value)


def _links(component: type[Component]) -> list[str]:
    """A link for every method in which the component, or a class it derives from, computes."""
    for names in (component.formula_in, COMPUTING):
        links = [_link(name, method) for name in names if (method := _computing(component, name)) is not None]
        if links:
            return links
    return []


def _computing(component: type[Component], name: str) -> Callable[..., object] | None:
    """The method of that name; none where it is there for others to override, or to run an activation's formulas."""
    owner = next((owner for owner in component.__mro__ if name in vars(owner)), None)
    if owner is None or owner is Activation or "NotImplementedError" in inspect.getsource(vars(owner)[name]):
        return None
    method: Callable[..., object] = vars(owner)[name]
    return method


def _link(name: str, method: Callable[..., object] | type) -> str:
    file = Path(inspect.getsourcefile(method) or "").resolve().relative_to(ROOT)
    line = inspect.getsourcelines(method)[1]
    return f"[`{name}`](../{file.as_posix()}#L{line}) ({file.name}:{line})"


if __name__ == "__main__":
    write_book(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
