"""Equations with the numbers of a real step, one entry of an array each, that a reader can compute again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layer import Layer
from nnscratch.nn.layers import AveragePool, BatchNorm, Dense, MaxPool, Softmax
from nnscratch.nn.losses import CrossEntropy, Loss, MeanSquaredError
from nnscratch.teaching.mathematics import evaluate, number, substitute
from nnscratch.training.optimizers import SGD, Adam, Lion, Optimizer, RMSProp

SHOWN_TERMS = 4


@dataclass(frozen=True)
class Equation:
    """`name` (one entry of an array) = `formula` = `numbers` = `value`; formulas as in `mathematics`."""

    name: str
    formula: str
    numbers: str
    value: float
    note: str = ""

    @property
    def computed(self) -> float:
        """The value again, from the printed numbers."""
        return evaluate(self.numbers)


def forward_equations(layer: Layer, x: Array, y: Array) -> Iterator[Equation]:
    """The largest output of the first example, from its inputs."""
    at = np.unravel_index(int(np.argmax(np.abs(y[0]))), y[0].shape)
    if layer.equations and x.shape == y.shape:
        values = {**_fields(layer), "x": float(x[(0, *at)])}
        for name, formula in layer.equations.items():
            if "dy" in formula or name.startswith("d"):
                break
            values[name] = evaluate(formula, values)
            known = values | {name: float(y[(0, *at)])} if name == "y" else values
            yield Equation(_entry(name, 0, *at), formula, substitute(formula, values), known[name])
    elif isinstance(layer, Dense):
        j = int(at[0])
        terms = list(zip(x[0], layer.W[:, j], strict=True))
        bias = [float(layer.b[j])] if layer.bias else []
        formula = "sum_k(x_nk * W_kj)" + (" + b_j" if layer.bias else "")
        yield _sum(_entry("y", 0, j), formula, terms, bias, float(y[0, j]))
    elif isinstance(layer, MaxPool | AveragePool) and layer.size**2 <= 16:
        i, j, c = (int(each) for each in at)
        stride = layer.stride or layer.size
        window = x[0, i * stride : i * stride + layer.size, j * stride : j * stride + layer.size, c].ravel()
        shown = [number(float(each)) for each in window]
        if isinstance(layer, MaxPool):
            formula, numbers = "max(x_1, x_n)", f"max({', '.join(shown)})"
        else:
            formula, numbers = "sum_w(x_w) / size**2", f"({' + '.join(shown)}) / {layer.size}**2"
        yield Equation(_entry("y", 0, i, j, c), formula, numbers, float(y[(0, *at)]), "over the window's pixels")
    elif isinstance(layer, BatchNorm):
        c = int(at[-1])
        own = x[..., c]
        values = {
            "x": float(x[(0, *at)]),
            "mu": float(own.mean()),
            "v": float(own.var()),
            "epsilon": layer.epsilon,
            "gamma": float(layer.gamma[c]) if layer.scale else 1.0,
            "beta": float(layer.beta[c]) if layer.shift else 0.0,
        }
        formula = "gamma * (x - mu) / sqrt(v + epsilon) + beta"
        numbers = substitute(formula, values)
        yield Equation(_entry("y", 0, *at), formula, numbers, float(y[(0, *at)]), "mu and v over the batch")
    elif isinstance(layer, Softmax) and y.ndim == 2:
        j = int(at[0])
        powers = " + ".join(f"exp({number(each)})" for each in x[0])
        formula = "exp(x_nj) / sum_i(exp(x_ni))"
        yield Equation(_entry("y", 0, j), formula, f"exp({number(x[0, j])}) / ({powers})", float(y[0, j]))


def backward_equations(
    layer: Layer, x: Array, y: Array, dy: Array, dx: Array | None, gradients: Mapping[str, Array]
) -> Iterator[Equation]:
    """The largest entry of each gradient the layer makes."""
    if isinstance(layer, Dense):
        dW = gradients["weight"]
        k, j = (int(i) for i in np.unravel_index(int(np.argmax(np.abs(dW))), dW.shape))
        yield _sum(_entry("dW", k, j), "sum_n(x_nk * dy_nj)", list(zip(x[:, k], dy[:, j], strict=True)), [], dW[k, j])
        if layer.bias:
            db = gradients["bias"]
            j = int(np.argmax(np.abs(db)))
            yield _sum(_entry("db", j), "sum_n(dy_nj)", [(value, 1.0) for value in dy[:, j]], [], float(db[j]))
        if dx is not None:
            k = int(np.argmax(np.abs(dx[0])))
            terms = list(zip(dy[0], layer.W[k], strict=True))
            yield _sum(_entry("dx", 0, k), "sum_j(dy_nj * W_kj)", terms, [], float(dx[0, k]))
    elif dx is not None and layer.equations and x.shape == y.shape:
        at = np.unravel_index(int(np.argmax(np.abs(dx[0]))), dx[0].shape)
        values = {**_fields(layer), **{name: float(array[(0, *at)]) for name, array in (("x", x), ("dy", dy))}}
        for name, formula in layer.equations.items():
            values[name] = evaluate(formula, values)
            if name.startswith("d"):
                value = float(dx[(0, *at)]) if name == "dx" else values[name]
                yield Equation(_entry(name, 0, *at), formula, substitute(formula, values), value)
    elif dx is not None and isinstance(layer, Softmax) and y.ndim == 2:
        j = int(np.argmax(np.abs(dx[0])))
        products = " + ".join(_product(a, b) for a, b in zip(dy[0], y[0], strict=True))
        numbers = f"{number(y[0, j])} * ({number(dy[0, j])} - ({products}))"
        yield Equation(_entry("dx", 0, j), "y_nj * (dy_nj - sum_i(dy_ni * y_ni))", numbers, float(dx[0, j]))


def loss_equations(loss: Loss, y: Array, t: Array, value: float, dy: Array) -> Iterator[Equation]:
    """The first example's loss, the mean over the batch, and the largest entry of dy."""
    losses = loss.per_example(y, t)
    N = len(losses)
    if isinstance(loss, CrossEntropy) and y.shape[1] <= 100:
        mixed = t.ndim == 2
        s, label, K = loss.label_smoothing, int(np.argmax(t[0]) if mixed else t[0]), y.shape[1]
        powers = " + ".join(f"exp({number(each)})" for each in y[0])
        total = float(np.exp(y[0]).sum())
        p = np.exp(y[0]) / total
        j = int(np.argmax(np.abs(dy[0])))
        for index in dict.fromkeys((label, j)):
            numbers = f"exp({number(y[0, index])}) / ({powers})"
            yield Equation(_entry("p", 0, index), "exp(y_nj) / sum_i(exp(y_ni))", numbers, float(p[index]))
        truth = t[0] if mixed else np.arange(K) == label
        q = (1 - s) * truth + s / K
        weight = float(truth @ loss.weights) if loss.weights is not None else 1.0
        w, w_numbers = ("w_t * ", f"{number(weight)} * ") if loss.weights is not None else ("", "")
        if mixed:
            logarithms = " + ".join(f"{number(a)} * log({number(b)})" for a, b in zip(q, p, strict=True) if a)
            numbers = f"{w_numbers}(-({logarithms}))"
            yield Equation("L_0", f"{w}(-sum_i(q_ni * log(p_ni)))", numbers, float(losses[0]), "labels are mixed")
        elif s:
            logarithms = " + ".join(f"log({number(each)})" for each in p)
            numbers = f"-(1 - {number(s)}) * log({number(p[label])}) - {number(s)} / {K} * ({logarithms})"
            formula = f"{w}(-(1 - s) * log(p_nt) - s / K * sum_i(log(p_ni)))"
            yield Equation("L_0", formula, f"{w_numbers}({numbers})", float(losses[0]), f"the label t is {label}")
        else:
            numbers = f"{w_numbers}-log({number(p[label])})"
            yield Equation("L_0", f"{w}-log(p_nt)", numbers, float(losses[0]), f"the label t is {label}")
        numbers = f"{w_numbers}({number(p[j])} - {number(q[j])}) / {N}"
        note = "" if mixed else "q is 1 for the label"
        yield Equation(_entry("dy", 0, j), f"{w}(p_nj - q_nj) / N", numbers, float(dy[0, j]), note)
    elif isinstance(loss, MeanSquaredError):
        j = int(np.argmax(np.abs(dy[0])))
        target = float(t[0] == j) if t.ndim == 1 else float(t[0, j])
        numbers = f"2 * ({number(y[0, j])} - {number(target)}) / ({N} * {y.shape[1]})"
        yield Equation(_entry("dy", 0, j), "2 * (y_nj - t_nj) / (N * K)", numbers, float(dy[0, j]))
    yield _mean("L", "sum_n(L_n) / N", [float(each) for each in losses], value)


def penalty_equation(strength: float, squares: float, value: float) -> Equation:
    """The L2 penalty, from the sum of all squared weights."""
    numbers = f"{number(strength)} / 2 * {number(squares)}"
    return Equation("R", "lamda / 2 * sum_i(W_i**2)", numbers, value, "over all weights, not the biases")


def update_equations(
    optimizer: Optimizer, rate: float, before: Mapping[str, float], after: Mapping[str, float], decays: bool
) -> Iterator[Equation]:
    """One weight's update. `before` and `after` hold theta, g (with the penalty's share) and the optimizer's state."""
    g, theta, new = before["g"], before["theta"], after["theta"]
    values = {"g": g, "theta": theta, "alpha": rate, "epsilon": getattr(optimizer, "epsilon", 0.0), "t": optimizer.t}
    lines: list[tuple[str, str]]
    decay, start = getattr(optimizer, "weight_decay", 0.0), "theta"
    if decay and decays:
        values["omega"] = decay
        start = "theta * (1 - alpha * omega)"
    if isinstance(optimizer, Adam):
        b1, b2 = optimizer.beta1, optimizer.beta2
        values |= {"beta1": b1, "beta2": b2, "m": before["mean"] * (1 - b1), "v": before["mean_square"] * (1 - b2)}
        lines = [
            ("m_new", "beta1 * m + (1 - beta1) * g"),
            ("v_new", "beta2 * v + (1 - beta2) * g**2"),
            ("m_hat", "m_new / (1 - beta1**t)"),
            ("v_hat", "v_new / (1 - beta2**t)"),
        ]
        lines.append(("theta_new", f"{start} - alpha * m_hat / (sqrt(v_hat) + epsilon)"))
    elif isinstance(optimizer, RMSProp):
        values |= {"rho": optimizer.decay, "v": before["mean_square"] * (1 - optimizer.decay)}
        lines = [
            ("v_new", "rho * v + (1 - rho) * g**2"),
            ("theta_new", "theta - alpha * g / (sqrt(v_new) + epsilon)"),
        ]
    elif isinstance(optimizer, SGD) and optimizer.momentum:
        values |= {"mu": optimizer.momentum, "delta": optimizer.dampening, "v": before["velocity"]}
        step = "g + mu * v_new" if optimizer.nesterov else "v_new"
        lines = [("v_new", "mu * v + (1 - delta) * g"), ("theta_new", f"{start} - alpha * ({step})")]
    elif isinstance(optimizer, SGD):
        lines = [("theta_new", f"{start} - alpha * g")]
    elif isinstance(optimizer, Lion):
        values |= {"beta1": optimizer.beta1, "beta2": optimizer.beta2, "m": before["mean"] * (1 - optimizer.beta2)}
        lines = [
            ("theta_new", f"{start} - alpha * sign(beta1 * m + (1 - beta1) * g)"),
            ("m_new", "beta2 * m + (1 - beta2) * g"),
        ]
    else:
        return
    for name, formula in lines:
        values[name] = evaluate(formula, values)
        value = new if name == "theta_new" else values[name]
        yield Equation(name, formula, substitute(formula, values), value)


def _fields(layer: Layer) -> dict[str, float]:
    """The layer's settings that are numbers."""
    fields = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer) if field.init}
    return {name: float(value) for name, value in fields.items() if type(value) in (int, float)}


def _entry(name: str, *index: object) -> str:
    return f"{name}_{{{','.join(str(int(each)) for each in index)}}}"  # type: ignore[call-overload]


def _product(a: float, b: float) -> str:
    return f"{number(a)} * {number(b)}" if b != 1.0 else number(a)


def _sum(name: str, formula: str, terms: list[tuple[float, float]], more: Iterable[float], value: float) -> Equation:
    """A sum of products: all of them when they are few, else the largest, and the rest as one number."""
    order = sorted(range(len(terms)), key=lambda i: -abs(terms[i][0] * terms[i][1]))
    few = len(terms) <= 2 * SHOWN_TERMS
    chosen = sorted(order if few else order[:SHOWN_TERMS])
    parts = [_product(*terms[i]) for i in chosen]
    note = ""
    if not few:
        rest = math.fsum(a * b for a, b in terms) - math.fsum(terms[i][0] * terms[i][1] for i in chosen)
        parts.append(number(rest))
        note = f"{number(rest)} is the sum of the other {len(terms) - len(chosen):,} terms"
    parts += [number(each) for each in more]
    return Equation(name, formula, " + ".join(parts), float(value), note)


def _mean(name: str, formula: str, numbers: list[float], value: float) -> Equation:
    """A mean: of all numbers when they are few, else of some, and the others as their sum."""
    few = len(numbers) <= 2 * SHOWN_TERMS
    parts = numbers if few else [*numbers[:SHOWN_TERMS], math.fsum(numbers[SHOWN_TERMS:])]
    note = "" if few else f"{number(parts[-1])} is the sum of the other {len(numbers) - SHOWN_TERMS:,}"
    return Equation(name, formula, f"({' + '.join(map(number, parts))}) / {len(numbers)}", value, note)
