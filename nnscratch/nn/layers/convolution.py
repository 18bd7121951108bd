"""Convolution: the same small linear map at every place of an image (Fukushima 1980; LeCun et al. 1989)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from nnscratch.component import setting
from nnscratch.errors import ShapeError
from nnscratch.nn.compute.batch_correlation import cheapest, correlate, correlate_back, fewest
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.correlation import Geometry, Im2col
from nnscratch.nn.equations import Equation, entry, largest
from nnscratch.nn.initializers import Initializer
from nnscratch.nn.layers.weighted_sum import WeightedSum
from nnscratch.nn.parameters import Parameters


@dataclass(eq=False)
class Conv(WeightedSum):
    """y[n, i, j, k] = b_k + sum_abc x[n, i s + a - p, j s + b - p, c] W[a, b, c, k]    s the stride, p the padding

    x (N, H, W, C), zero outside the image; W (kernel, kernel, C, channels); y (N, H', W', channels) with
    H' = (H + 2 p - kernel) / s + 1, rounded down. `same` pads so that H' = H / s, rounded up; p is then what stands
    above, and the like left, which may differ; of an odd number the one more goes below and right. As everywhere in
    this field, it is a correlation: W is not flipped.

    With g = `groups`, W is (kernel, kernel, C / g, channels): channels in and out are cut into g equal parts, and an
    output sums over the part of the input that is its own (Krizhevsky et al. 2012, section 3.5). With as many groups as
    channels ("depthwise", Chollet 2017) every channel has its own kernel. Weights and operations are g times fewer.

    Gradients: dW = sum_nij x dy, db = sum_nij dy, dx = dy correlated with W flipped. The module `correlation` says how
    they become matrix products, `winograd` how kernels of 3x3 and more need several times fewer multiplications.

    Derivation: W[a, b, c, k] enters every y[n, i, j, k] with the factor x[n, i s + a - p, j s + b - p, c], so
        dW[a, b, c, k] = sum_nij x[n, i s + a - p, j s + b - p, c] dy[n, i, j, k]
    x[n, u, v, c] enters those y[n, i, j, k] for which u = i s + a - p and v = j s + b - p; with stride 1,
        dx[n, u, v, c] = sum_abk dy[n, u + p - a, v + p - b, k] W[a, b, c, k]
    which is a correlation of dy with W turned around in a and b, from k to c channels.
    """

    name: ClassVar[str] = "conv"
    also_called: ClassVar[tuple[str, ...]] = ("conv2d", "convolution", "conv3x3")
    short: ClassVar[str | None] = "channels"

    channels: int = setting(help="output channels", ge=1)
    kernel: int = setting(3, "height and width of the kernels", ge=1)
    stride: int = setting(1, "pixels from one output to the next", ge=1)
    padding: int | Literal["same", "valid"] = setting(
        "same", "zeros on each side: a number, `same` (output as large as input / stride) or `valid` (none)", ge=0
    )
    groups: int = setting(1, "parts of the channels that do not see one another; all of them is depthwise", ge=1)
    bias: bool = setting(True, "add b")
    weight_init: Initializer | None = setting(None, "how W starts; left out: the model's weight_init")
    frozen: bool = setting(False, "W keeps its starting values; b, if there is one, still learns")
    learning_rate_scale: float = setting(1.0, "multiplies the learning rate of W and b", gt=0)

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        if len(input_shape) != 3:
            hint = "put it before `flatten`; tables and flat inputs have no place for it"
            raise ShapeError(f"conv takes images (H, W, C), but is given {input_shape}", hint)
        H, W, C = input_shape
        top, rows = self._extent(H)
        left, columns = self._extent(W)
        if rows < 1 or columns < 1:
            raise ShapeError(f"a kernel of {self.kernel} does not fit {H} x {W} pixels with padding {self.padding}")
        self._check_groups(C)
        fans = (self.kernel**2 * C // self.groups, self.kernel**2 * self.channels // self.groups)
        self.declare(parameters, (self.kernel, self.kernel, C // self.groups, self.channels), fans, self.groups)
        if self.starts_from_data and self.groups > 1:
            raise ShapeError("weights that start from data are those of one group; this layer has more", "groups: 1")
        if self.starts_from_data and min(H, W) < self.kernel:
            raise ShapeError(
                f"weights that start from data need patches of {self.kernel} x {self.kernel} pixels, "
                f"but the images have {H} x {W}"
            )
        self.geometry = Geometry(
            H, W, C, self.channels, self.kernel, self.stride, top, left, rows, columns, self.groups
        )
        self.method_of_few = Im2col(self.geometry)
        self.batch: int | None = None
        self.want_dx(self.needs_dx)
        self.method = self.method_of_batches
        return rows, columns, self.channels

    def expect(self, batch: int) -> None:
        self.batch = batch
        self.want_dx(self.needs_dx)

    def want_dx(self, wanted: bool) -> None:
        super().want_dx(wanted)
        self.method_of_batches = cheapest(self.geometry, wanted, self.batch)
        self.few = fewest(self.method_of_batches, self.method_of_few)

    def needs_x_again(self) -> bool:
        return not self.frozen

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        self.method = self.method_of_batches if training or len(x) >= self.few else self.method_of_few
        self.method.set_weights(self.W, self.workers)
        y = self.y_buffer((len(x), self.geometry.rows, self.geometry.columns, self.channels), x)
        for rows in self.moment.parts:
            correlate(self.method, x[rows], self.b if self.bias else None, y[rows], self.workers)
        return y

    def backward(self, dy: Array) -> Array | None:
        dx = self.dx_buffer(self.x.shape, dy) if self.needs_dx else None
        for number, rows in enumerate(self.moment.parts):
            dW = None if self.frozen else self.moment.sums_of(self.dW)[number]
            db = self.moment.sums_of(self.db)[number] if self.bias else None
            gradients = dW, db, None if dx is None else dx[rows]
            correlate_back(self.method, self.x[rows], dy[rows], gradients, self.buffers, self.workers)
        return dx

    def flops(self, input_shape: Shape, output_shape: Shape) -> int:
        rows, columns, channels = output_shape
        return 2 * rows * columns * channels * self.kernel**2 * input_shape[2] // self.groups

    def _check_groups(self, C: int) -> None:
        if C % self.groups or self.channels % self.groups:
            common = math.gcd(C, self.channels)
            fitting = ", ".join(str(each) for each in range(1, common + 1) if common % each == 0)
            what = f"{self.groups} groups do not divide both the {C} channels of the input and its own {self.channels}"
            raise ShapeError(what, f"groups can be {fitting}")

    def _part(self, channels: int, group: int) -> slice:
        """Of so many channels, those of a group."""
        size = channels // self.groups
        return slice(group * size, (group + 1) * size)

    def _extent(self, size: int) -> tuple[int, int]:
        """Padding before, and outputs, along an axis of that size."""
        if self.padding == "same":
            outputs = -(-size // self.stride)
            return max((outputs - 1) * self.stride + self.kernel - size, 0) // 2, outputs
        before = 0 if self.padding == "valid" else int(self.padding)
        return before, (size + 2 * before - self.kernel) // self.stride + 1

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        i, j, k = largest(y[n])
        (a, u), (b, v) = self._meetings(x.shape[1], 0, i), self._meetings(x.shape[2], 0, j)
        formula, part = "sum_abc(x_uvc * W_abck)", self._part(x.shape[3], k // (self.channels // self.groups))
        values = {"x_uvc": x[n][np.ix_(u, v)][..., part].ravel(), "W_abck": self.W[np.ix_(a, b)][..., k].ravel()}
        if self.bias:
            formula, values = formula + " + b_k", {**values, "b_k": self.b[k]}
        yield Equation.of(entry("y", n, i, j, k), formula, values, y[n, i, j, k], self._places(x))

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        if not self.frozen:
            yield self._worked_dW(x, dy)
        if self.bias:
            (k,) = largest(self.db)
            yield Equation.of(entry("db", k), "sum_nij(dy_nijk)", {"dy_nijk": dy[..., k].ravel()}, self.db[k])
        if dx is not None:
            yield self._worked_dx(x, dy, dx, n)

    def _worked_dW(self, x: Array, dy: Array) -> Equation:
        a, b, c, k = largest(self.dW)
        (i, u), (j, v) = self._meetings(x.shape[1], 1, a), self._meetings(x.shape[2], 1, b)
        seen = x[:, u][:, :, v, self._part(x.shape[3], k // (self.channels // self.groups))]
        values = {"x_nuvc": seen[..., c].ravel(), "dy_nijk": dy[:, i][:, :, j, k].ravel()}
        name, formula = entry("dW", a, b, c, k), "sum_nij(x_nuvc * dy_nijk)"
        return Equation.of(name, formula, values, self.dW[a, b, c, k], self._places(x))

    def _worked_dx(self, x: Array, dy: Array, dx: Array, n: int) -> Equation:
        u, v, c = largest(dx[n])
        (i, a), (j, b) = self._meetings(x.shape[1], 2, u), self._meetings(x.shape[2], 2, v)
        group, own = divmod(c, x.shape[3] // self.groups)
        part = self._part(self.channels, group)
        values = {
            "dy_ijk": dy[n][np.ix_(i, j)][..., part].ravel(),
            "W_abck": self.W[np.ix_(a, b)][:, :, own, part].ravel(),
        }
        return Equation.of(entry("dx", n, u, v, c), "sum_abk(dy_ijk * W_abck)", values, dx[n, u, v, c], self._places(x))

    def _meetings(self, size: int, which: int, place: int) -> tuple[Array, Array]:
        """Outputs i, kernel places a and pixels u meet, along an axis of that size, where u = i stride + a - padding.

        With one of them (i is 0, a is 1, u is 2) at that place, the other two.
        """
        before, outputs = self._extent(size)
        met = [(i, a, i * self.stride + a - before) for i in range(outputs) for a in range(self.kernel)]
        found = [each for each in met if each[which] == place and 0 <= each[2] < size]
        first, second = np.delete(np.array(found, int).reshape(-1, 3), which, axis=1).T
        return first, second

    def _places(self, x: Array) -> str:
        """Which pixel u, v the kernel's place a, b falls on."""
        stride = f"{self.stride} " if self.stride > 1 else ""
        before = [f" - {self._extent(size)[0]}".removesuffix(" - 0") for size in x.shape[1:3]]
        outside = "x is 0 outside the image" + ("; c and k of one group" if self.groups > 1 else "")
        return f"u = {stride}i + a{before[0]}, v = {stride}j + b{before[1]}; {outside}"
