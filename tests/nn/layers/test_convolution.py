"""Convolution against its definition, PyTorch and central differences, by both ways of computing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import ShapeError
from nnscratch.nn.compute import winograd
from nnscratch.nn.compute.batch_correlation import cheapest, evenly
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.correlation import Correlation, Geometry, Im2col
from nnscratch.nn.compute.depthwise import Depthwise
from nnscratch.nn.compute.winograd import LARGEST, Winograd, transforms
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.gradient_check import check_gradients
from nnscratch.nn.initializers import Constant, Dirac, Whitening
from nnscratch.nn.layers import Conv, Dense, Flatten, ReLU, Residual
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.optimizers import SGD
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import UNCHANGED
from nnscratch.training.trainer import Trainer

TILES = [(r, n - r + 1) for r in (3, 4, 5, 7) for n in range(r + 1, LARGEST + 1)]
"""Kernels and the tiles of m outputs for which the transforms have points enough."""

CASES: list[tuple[dict[str, Any], Shape]] = [
    ({"kernel": 3}, (5, 6, 3)),
    ({"kernel": 3}, (7, 8, 20)),
    ({"kernel": 3, "padding": "valid"}, (6, 5, 20)),
    ({"kernel": 3, "padding": 2}, (3, 3, 20)),
    ({"kernel": 3, "stride": 2}, (8, 7, 3)),
    ({"kernel": 3, "stride": 2, "padding": 1}, (6, 9, 3)),
    ({"kernel": 2}, (5, 4, 3)),
    ({"kernel": 2, "stride": 3, "padding": "valid"}, (9, 7, 3)),
    ({"kernel": 5, "padding": 1}, (6, 7, 2)),
    ({"kernel": 5}, (8, 7, 20)),
    ({"kernel": 1}, (4, 3, 5)),
    ({"kernel": 1, "stride": 2, "padding": "valid"}, (5, 4, 3)),
    ({"kernel": 3, "groups": 2}, (5, 6, 4)),
    ({"kernel": 5, "groups": 2}, (9, 8, 40)),
    ({"kernel": 2, "stride": 3, "groups": 2, "padding": 1}, (5, 4, 4)),
    ({"kernel": 1, "groups": 2}, (4, 3, 4)),
]


def built(layer: Conv, input_shape: Shape, dtype: type = np.float64, threads: int = 1) -> Network:
    network = Network([layer], input_shape)
    network.initialize(RandomStreams(1), dtype, Workers(threads))
    network.skip_input_gradient(False)
    if layer.bias:
        layer.b[:] = np.linspace(-1, 1, layer.channels)
    return network


def images(N: int, shape: Shape, dtype: type = np.float64) -> Array:
    return np.random.default_rng(0).standard_normal((N, *shape)).astype(dtype)


def by_definition(layer: Conv, x: Array, y_shape: Shape) -> Array:
    """The sum as it is written in the docstring, one output at a time."""
    g, k, s = layer.method.geometry, layer.kernel, layer.stride
    padded = np.zeros((len(x), x.shape[1] + 2 * k, x.shape[2] + 2 * k, x.shape[3]))
    padded[:, g.top : g.top + x.shape[1], g.left : g.left + x.shape[2]] = x
    W = np.zeros((k, k, x.shape[3], y_shape[3]))
    for group in range(layer.groups):
        own = (
            slice(channels * group // layer.groups, channels * (group + 1) // layer.groups) for channels in W.shape[2:]
        )
        W[:, :, *own] = layer.W[..., y_shape[3] * group // layer.groups : y_shape[3] * (group + 1) // layer.groups]
    y = np.empty(y_shape)
    for i in range(y_shape[1]):
        for j in range(y_shape[2]):
            seen = padded[:, i * s : i * s + k, j * s : j * s + k]
            y[:, i, j] = np.einsum("nabc,abck->nk", seen, W) + layer.b
    return y


@pytest.mark.parametrize(("options", "shape"), CASES)
def test_forward_is_the_sum_of_the_definition(options: dict[str, Any], shape: Shape) -> None:
    layer = Conv(6, **options)
    x = images(3, shape)
    y = built(layer, shape).forward(x, training=True)
    np.testing.assert_allclose(y, by_definition(layer, x, y.shape), atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "padding"), [(7, 2), (9, 3), (18, 3), (18, 5)])
def test_outputs_that_see_nothing_but_padding_are_the_bias(stride: int, padding: int, groups: int) -> None:
    layer = Conv(2, kernel=1, stride=stride, padding=padding, groups=groups)
    network = built(layer, (3, 3, 2))
    layer.b[...] = [1.5, -2.5]
    for training in (True, False):
        y = network.forward(images(5, (3, 3, 2)), training=training)
        np.testing.assert_array_equal(y, np.broadcast_to([1.5, -2.5], y.shape))
    network.forward(images(5, (3, 3, 2)), training=True)
    np.testing.assert_array_equal(network.backward(np.ones(y.shape)), np.zeros((5, 3, 3, 2)))


@pytest.mark.parametrize(("options", "shape"), CASES)
def test_gradients_agree_with_central_differences(options: dict[str, Any], shape: Shape) -> None:
    network = Network([Conv(4, 2), Conv(20, **options), Flatten(), Dense(5)], shape)
    network.initialize(RandomStreams(0), np.float64)
    rows = check_gradients(network, CrossEntropy(), images(3, shape), np.array([0, 3, 1]), samples=20)
    assert max(row.worst for row in rows) < 1e-6


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("padding", ["same", "valid", 1, 6])
@pytest.mark.parametrize(("H", "W"), [(7, 6), (5, 8)])
def test_depthwise_is_what_columns_give_in_as_many_groups(
    stride: int, kernel: int, padding: Any, H: int, W: int
) -> None:
    layer = Conv(3, kernel, stride, padding, groups=3)
    built(layer, (H, W, 3))
    assert isinstance(layer.method, Depthwise)
    geometry = layer.method.geometry
    kernels, x = images(kernel, (kernel, 1, 3)), images(2, (H, W, 3))
    dy = images(2, (geometry.rows, geometry.columns, 3))
    results = [computed(method, kernels, x, dy) for method in (Im2col(geometry), layer.method)]
    for plain, fast in zip(*results, strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-12)


def test_depthwise_gradients_agree_with_central_differences() -> None:
    layers = [Conv(4, 2), Conv(4, groups=4), Conv(4, stride=2, groups=4, frozen=True), Conv(8, 1, groups=4), Flatten()]
    network = Network([*layers, Dense(5)], (6, 5, 3))
    network.initialize(RandomStreams(0), np.float64)
    rows = check_gradients(network, CrossEntropy(), images(3, (6, 5, 3)), np.array([0, 3, 1]), samples=20)
    assert max(row.worst for row in rows) < 1e-6


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"groups": 2}, r"2 groups do not divide both the 3 channels of the input and its own 6(.|\n)*be 1, 3"),
        ({"channels": 4, "groups": 3}, r"3 groups do not divide both the 3 .* and its own 4(.|\n)*be 1"),
        ({"groups": 3, "weight_init": Whitening()}, "those of one group"),
    ],
)
def test_groups_that_do_not_fit_are_refused_with_those_that_do(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ShapeError, match=error):
        Network([Conv(**{"channels": 6, **options})], (4, 4, 3))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("options", "shape"), [case for case in CASES if case[0].get("stride", 1) == 1])
def test_forward_and_backward_are_those_of_pytorch(
    options: dict[str, Any], shape: Shape, dtype: type, oracle: Callable[[str], Any]
) -> None:
    torch = oracle("torch")
    layer = Conv(24, **options)
    network = built(layer, shape, dtype)
    x = images(4, shape, dtype)
    y = network.forward(x, training=True).copy()
    dy: Array = np.random.default_rng(2).standard_normal(y.shape).astype(dtype)
    theirs_x = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    W = torch.tensor(layer.W.transpose(3, 2, 0, 1), requires_grad=True)
    b = torch.tensor(layer.b, requires_grad=True)
    theirs = torch.nn.functional.conv2d(theirs_x, W, b, 1, options.get("padding", "same"), 1, layer.groups)
    theirs.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    dx = network.backward(dy)
    assert dx is not None
    near = 1e-3 if dtype is np.float32 else 1e-11  # tiles of 8 x 8 outputs: 4e-5 in the middle, 6e-4 at most
    for ours, wanted in (
        (y, theirs.detach().numpy().transpose(0, 2, 3, 1)),
        (dx, theirs_x.grad.numpy().transpose(0, 2, 3, 1)),
        (layer.dW, W.grad.numpy().transpose(2, 3, 1, 0)),
        (layer.db, b.grad.numpy()),
    ):
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=near * max(1, np.std(wanted)))


@pytest.mark.parametrize(("C", "K", "groups", "left"), [(32, 64, 8, 2), (24, 12, 12, 1), (6, 12, 6, 1), (64, 96, 2, 2)])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2)])
def test_groups_of_few_channels_are_merged_and_nobody_sees_it(
    C: int, K: int, groups: int, left: int, kernel: int, stride: int, oracle: Callable[[str], Any]
) -> None:
    torch = oracle("torch")
    layer = Conv(K, kernel, stride, padding=1, groups=groups)
    network = built(layer, (9, 8, C))
    assert layer.method.groups == left
    x = images(5, (9, 8, C))
    theirs_x = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    W = torch.tensor(layer.W.transpose(3, 2, 0, 1), requires_grad=True)
    theirs = torch.nn.functional.conv2d(theirs_x, W, torch.tensor(layer.b), stride, 1, 1, groups)
    y = network.forward(x, training=True)
    np.testing.assert_allclose(y, theirs.detach().numpy().transpose(0, 2, 3, 1), atol=1e-11)
    dy = images(5, y.shape[1:])
    theirs.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    dx = network.backward(dy)
    assert dx is not None
    np.testing.assert_allclose(dx, theirs_x.grad.numpy().transpose(0, 2, 3, 1), atol=1e-11)
    np.testing.assert_allclose(layer.dW, W.grad.numpy().transpose(2, 3, 1, 0), atol=1e-11)


def test_a_kernel_of_ones_counts_the_pixels_it_sees() -> None:
    layer = Conv(1, weight_init=Constant(1.0), bias=False)
    y = built(layer, (3, 3, 1)).forward(np.ones((1, 3, 3, 1)))
    assert y[0, :, :, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


def test_same_padding_of_an_even_kernel_adds_below_and_right() -> None:
    layer = Conv(1, 2, weight_init=Constant(1.0), bias=False)
    y = built(layer, (2, 2, 1)).forward(np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1))
    assert y[0, :, :, 0].tolist() == [[10, 6], [7, 4]]


@pytest.mark.parametrize(
    ("options", "shape", "expected"),
    [
        ({"kernel": 3}, (32, 31, 3), (32, 31, 8)),
        ({"kernel": 2, "padding": "valid"}, (32, 32, 3), (31, 31, 8)),
        ({"kernel": 3, "stride": 2}, (7, 8, 3), (4, 4, 8)),
        ({"kernel": 5, "stride": 2, "padding": 2}, (28, 28, 1), (14, 14, 8)),
    ],
)
def test_output_shape_follows_the_formula(options: dict[str, Any], shape: Shape, expected: Shape) -> None:
    assert Network([Conv(8, **options)], shape).output_shape == expected


def test_flop_count_is_two_per_multiplication_of_the_definition() -> None:
    network = Network([Conv(64), Flatten(), Dense(10)], (31, 31, 24))
    assert network.summaries[0].flops == 2 * 31 * 31 * 64 * 9 * 24


def test_a_flat_input_is_refused_with_the_place_for_the_layer() -> None:
    with pytest.raises(ShapeError, match="conv takes images") as refused:
        Network([Flatten(), Conv(8)], (4, 4, 3))
    assert "before `flatten`" in str(refused.value)


def test_a_kernel_larger_than_the_padded_image_is_refused() -> None:
    with pytest.raises(ShapeError, match="does not fit 4 x 4 pixels"):
        Network([Conv(8, 5, padding="valid")], (4, 4, 3))


@pytest.mark.parametrize(("r", "m"), TILES)
def test_winograd_transforms_turn_a_correlation_into_products(r: int, m: int) -> None:
    A, G, B = transforms(m, r)
    g, d = np.array([3.0, -1.0, 2.0, 0.5, -2.0, 1.0, 4.0])[:r], np.arange(m + r - 1) ** 2.0
    np.testing.assert_allclose(A @ ((G @ g) * (B @ d)), np.correlate(d, g, "valid"), atol=1e-9)


def test_the_smallest_winograd_transform_needs_four_multiplications_for_two_outputs() -> None:
    A, G, B = transforms(2, 3)
    assert A.shape == (2, 4)
    assert G.shape == (4, 3)
    assert B.shape == (4, 4)


@pytest.mark.parametrize(("r", "m"), TILES)
@pytest.mark.parametrize(("H", "W", "top", "left"), [(3, 3, 2, 2), (7, 5, 1, 2), (9, 8, 0, 0), (4, 4, 3, 2)])
def test_winograd_and_im2col_compute_the_same(r: int, m: int, H: int, W: int, top: int, left: int) -> None:
    geometry = Geometry(H, W, 5, 4, r, 1, top, left, H + 2 * top - r + 1, W + 2 * left - r + 1)
    if min(geometry.rows, geometry.columns) < 1:
        pytest.skip("the kernel does not fit")
    kernels, x = images(r, (r, 5, 4)), images(2, (H, W, 5))
    dy = images(2, (geometry.rows, geometry.columns, 4))
    results = [computed(method, kernels, x, dy) for method in (Im2col(geometry), Winograd(geometry, m))]
    for plain, fast in zip(*results, strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-10)


def test_tiles_of_grouped_channels_compute_what_columns_do() -> None:
    geometry = Geometry(9, 7, 6, 4, 3, 1, 1, 1, 9, 7, groups=2)
    kernels, x, dy = images(3, (3, 3, 4)), images(2, (9, 7, 6)), images(2, (9, 7, 4))
    results = [computed(method, kernels, x, dy) for method in (Im2col(geometry), Winograd(geometry, 4))]
    for plain, fast in zip(*results, strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-10)


@pytest.mark.parametrize(("r", "stride"), [(3, 2), (4, 2), (5, 2), (5, 3), (7, 4), (2, 2)])
@pytest.mark.parametrize(("H", "W", "top", "left"), [(9, 8, 1, 0), (8, 11, 2, 1), (7, 7, 0, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_tiles_of_a_stride_compute_what_columns_do(
    r: int, stride: int, H: int, W: int, top: int, left: int, groups: int
) -> None:
    rows, columns = (H + 2 * top - r) // stride + 1, (W + 2 * left - r) // stride + 1
    geometry = Geometry(H, W, 6, 4, r, stride, top, left, rows, columns, groups)
    kernels, x, dy = images(r, (r, 6 // groups, 4)), images(2, (H, W, 6)), images(2, (rows, columns, 4))
    for m in (2, 3):
        results = [computed(method, kernels, x, dy) for method in (Im2col(geometry), Winograd(geometry, m))]
        for plain, fast in zip(*results, strict=True):
            np.testing.assert_allclose(fast, plain, atol=1e-10)


@pytest.mark.parametrize("m", [2, 3, 6])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (2, 3), (3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (2, 1)])
def test_outputs_that_share_a_row_of_columns_are_what_they_are_alone(
    m: int, kernel: int, stride: int, top: int, left: int
) -> None:
    H, W = 9, 5 * stride + kernel - 2 * left
    geometry = Geometry(H, W, 3, 4, kernel, stride, top, left, (H + 2 * top - kernel) // stride + 1, 6)
    kernels, x = images(kernel, (kernel, 3, 4)), images(2, (H, W, 3))
    dy = images(2, (geometry.rows, geometry.columns, 4))
    results = [computed(method, kernels, x, dy) for method in (Im2col(geometry), Im2col(geometry, m))]
    for plain, fast in zip(*results, strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "C", "K", "kernel", "m"), [(28, 1, 6, 5, 7), (28, 1, 32, 3, 4), (32, 3, 32, 3, 2), (31, 3, 32, 3, 1)]
)
def test_layers_that_are_given_images_take_several_outputs_at_a_time_where_their_number_can_be_cut(
    size: int, C: int, K: int, kernel: int, m: int
) -> None:
    network = Network([Conv(K, kernel)], (size, size, C))
    network.skip_input_gradient(True)
    method = network.layers[0].method_of_batches  # type: ignore[attr-defined]
    assert isinstance(method, Im2col)
    assert method.m == m


def use_kernel(monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    """Has methods chosen as where BLAS has such kernels."""
    monkeypatch.setattr(winograd, "has_avx512_kernels", lambda: kernel == "SkylakeX")


def computed(method: Correlation, W: Array, x: Array, dy: Array) -> tuple[Array, Array, Array]:
    workers = Workers()
    y, dx, dW = (np.full(array.shape, np.nan, W.dtype) for array in (dy, x, W))
    method.set_weights(W, workers)
    method.forward(x, y, workers)
    method.prepare_backward(workers)
    dU = np.full(method.U.shape, np.nan, W.dtype)
    method.backward(x, dy, dU, dx, workers)
    method.weight_gradient(dU, dW, workers)
    return y, dx, dW


@pytest.mark.parametrize(("r", "m"), TILES)
def test_winograd_in_float32_stays_within_a_thousandth_of_the_outputs_deviation(r: int, m: int) -> None:
    before = (r - 1) // 2
    geometry = Geometry(m, m, 64, 8, r, 1, before, before, m, m)
    kernels, x = images(r, (r, 64, 8)), images(2, (m, m, 64))
    dy = images(2, (m, m, 8))
    exact = computed(Im2col(geometry), kernels, x, dy)
    rounded = computed(Winograd(geometry, m), *(array.astype(np.float32) for array in (kernels, x, dy)))
    for plain, fast in zip(exact, rounded, strict=True):
        assert np.max(np.abs(fast - plain)) < 2e-3 * np.std(plain)


def test_large_channel_counts_take_winograd_and_few_channels_im2col() -> None:
    for C, kind in ((64, Winograd), (1, Im2col)):
        layer = Conv(64)
        Network([layer], (15, 15, C))
        assert isinstance(layer.method, kind)


@pytest.mark.parametrize(
    ("size", "C", "K", "m", "m_by_copies"),
    [(7, 128, 128, 7, 7), (15, 32, 128, 5, 8), (15, 64, 64, 5, 8), (31, 24, 64, 4, 8)],
)
def test_the_tiles_chosen_are_those_that_take_the_least_time(
    monkeypatch: pytest.MonkeyPatch, size: int, C: int, K: int, m: int, m_by_copies: int
) -> None:
    """15 outputs take 3 tiles of 5: of 3 they would need fewer multiplications with 32 channels, but more copies.

    7 are one tile. 31 could take 4 of 8, but with few channels the transforms, n^4 each, outweigh the products. Where
    BLAS copies small matrices, as without AVX-512, a transform of large tiles takes no longer than one of small ones.
    """
    for kernel, expected in (("SkylakeX", m), ("Haswell", m_by_copies)):
        use_kernel(monkeypatch, kernel)
        method = cheapest(Geometry(size, size, C, K, 3, 1, 1, 1, size, size))
        assert isinstance(method, Winograd)
        assert method.m == expected


@pytest.mark.parametrize("kernel", ["SkylakeX", "Haswell"])
def test_small_batches_take_forms_of_the_kernels_that_are_made_sooner(
    monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    """Of 512x512 kernels, those of 6x6 points are 16 million numbers, made and gone through for a batch of 32."""
    use_kernel(monkeypatch, kernel)
    geometry = Geometry(4, 4, 512, 512, 3, 1, 1, 1, 4, 4)
    sizes = [getattr(cheapest(geometry, True, batch), "n", 0) for batch in (32, 128, 100_000)]
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert sizes[-1] == getattr(cheapest(geometry), "n", 0) > 0


def test_a_training_tells_its_layers_how_many_images_to_expect() -> None:
    layer = Conv(256)
    network = Network([Conv(256), Residual((layer,)), Flatten(), Dense()], (8, 8, 256), outputs=3)
    network.initialize(RandomStreams(0))
    before = layer.method_of_batches.prepared()
    Trainer(network, Recipe(CrossEntropy(), SGD(), epochs=1, batch_size=8), UNCHANGED, RandomStreams(0))
    assert layer.method_of_batches.prepared() < before
    network.skip_input_gradient(False)
    assert layer.method_of_batches.prepared() < before


@pytest.mark.parametrize("kernel", ["SkylakeX", "Haswell"])
def test_columns_are_chosen_where_nobody_needs_dx_as_adding_columns_back_is_what_costs(
    monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    use_kernel(monkeypatch, kernel)
    layer = Conv(32, padding="valid")
    network = Network([Conv(8, padding="valid", bias=False, frozen=True), layer], (28, 28, 1))
    assert isinstance(layer.method_of_batches, Im2col)
    network.skip_input_gradient(False)
    assert isinstance(layer.method_of_batches, Winograd)
    network.skip_input_gradient(True)
    assert isinstance(layer.method_of_batches, Im2col)


def test_dx_can_be_asked_for_between_forward_and_backward() -> None:
    layer = Conv(32, padding="valid")
    network = built(layer, (28, 28, 8), np.float64)
    network.skip_input_gradient(True)
    y = network.forward(images(40, (28, 28, 8)), training=True)
    ones = np.ones_like(y)
    network.skip_input_gradient(False)
    dx = network.backward(ones)
    expected = sum(
        np.pad(ones @ layer.W[a, b].T, ((0, 0), (a, 2 - a), (b, 2 - b), (0, 0))) for a in range(3) for b in range(3)
    )
    assert dx is not None
    np.testing.assert_allclose(dx, expected, atol=1e-10)


def test_a_kernel_of_five_goes_by_tiles_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 4 from 8 need 64 multiplications for 16 outputs, of which the definition needs 25 each."""
    use_kernel(monkeypatch, "SkylakeX")
    method = cheapest(Geometry(16, 16, 32, 64, 5, 1, 2, 2, 16, 16))
    assert isinstance(method, Winograd)
    assert method.m == 4


def test_the_number_of_threads_changes_no_bit() -> None:
    results = []
    for threads in (1, 2, 3):
        layer = Conv(24)
        network = built(layer, (9, 9, 24), np.float32, threads)
        x = images(40, (9, 9, 24), np.float32)
        y = network.forward(x, training=True)
        dx = network.backward(images(40, (9, 9, 24), np.float32))
        assert dx is not None
        results.append((y.copy(), dx.copy(), layer.dW.copy(), layer.db.copy()))
    for other in results[1:]:
        assert all(map(np.array_equal, results[0], other))


def test_a_smaller_batch_after_a_larger_one_gives_what_it_gives_alone() -> None:
    network, alone = built(Conv(24), (7, 7, 20)), built(Conv(24), (7, 7, 20))
    x = images(30, (7, 7, 20))
    network.forward(x, training=True)
    np.testing.assert_allclose(network.forward(x[:3]), alone.forward(x[:3]), atol=1e-13)


def test_one_image_for_prediction_goes_by_columns_and_a_batch_by_tiles_to_the_same_outputs() -> None:
    """Kernels are made into tiles' form anew in every call: with one image, that alone would take most of its time."""
    layer = Conv(64)
    network = built(layer, (14, 14, 64))
    x = images(500, (14, 14, 64))
    of_many = network.forward(x).copy()
    assert isinstance(layer.method, Winograd)
    of_one = network.forward(x[:1])
    assert isinstance(layer.method, Im2col)
    np.testing.assert_allclose(of_one, of_many[:1], atol=1e-11)
    network.forward(x[:1], training=True)
    assert isinstance(layer.method, Winograd)


def test_backward_after_a_prediction_is_that_after_training() -> None:
    layer = Conv(64)
    network = built(layer, (14, 14, 64))
    x, dy = images(1, (14, 14, 64)), images(1, (14, 14, 64))
    gradients = []
    for training in (False, True):
        network.forward(x, training)
        dx = network.backward(dy)
        assert dx is not None
        gradients.append((dx.copy(), layer.dW.copy()))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_evenly_cuts_a_range_without_gap_or_overlap() -> None:
    assert evenly(3, 10, 3) == [slice(3, 5), slice(5, 7), slice(7, 10)]


def test_a_frozen_kernel_is_left_out_of_training_while_its_bias_learns() -> None:
    layer = Conv(4, frozen=True)
    network = Network([layer, Flatten(), Dense(2)], (4, 4, 3))
    assert network.parameters.trainable_size == network.parameters.size - layer.kernel**2 * 3 * 4
    network.initialize(RandomStreams(0), np.float64)
    network.forward(images(2, (4, 4, 3)), training=True)
    network.backward(np.ones((2, 2)))
    assert not layer.dW.any()
    assert layer.db.any()


def test_below_the_first_trained_layer_no_gradient_is_computed() -> None:
    frozen, trained = Conv(4, frozen=True, bias=False), Conv(4)
    network = Network([frozen, ReLU(), trained], (4, 4, 3))
    network.initialize(RandomStreams(0), np.float64)
    network.forward(images(2, (4, 4, 3)), training=True)
    assert not trained.needs_dx
    assert network.backward(np.ones((2, 4, 4, 4))) is None


def test_dirac_passes_the_image_on() -> None:
    x = images(2, (5, 4, 3))
    y = built(Conv(7, weight_init=Dirac(), bias=False), (5, 4, 3)).forward(x)
    np.testing.assert_array_equal(y[..., :3], x)
    assert np.std(y[..., 3:]) > 0.1


@pytest.mark.parametrize(("groups", "channels"), [(2, 4), (2, 12), (4, 4), (4, 8)])
def test_dirac_passes_the_channels_of_every_group_on_as_pytorch_s_does(groups: int, channels: int) -> None:
    torch = pytest.importorskip("torch")
    expected = torch.zeros(channels, 4 // groups, 3, 3)
    torch.nn.init.dirac_(expected, groups)
    layer = Conv(channels, groups=groups, weight_init=Dirac(), bias=False)
    built(layer, (5, 4, 4))
    passed = (expected != 0).any(dim=(1, 2, 3)).numpy()
    np.testing.assert_array_equal(layer.W[..., passed], expected.permute(2, 3, 1, 0).numpy()[..., passed])
    assert np.all(layer.W[..., ~passed] != 0)


def test_whitened_patches_are_uncorrelated_with_variance_one() -> None:
    mixture = np.random.default_rng(3).standard_normal((3, 3))
    x = images(400, (6, 6, 3)) @ mixture
    layer = Conv(24, 2, padding="valid", weight_init=Whitening(1e-9), bias=False, frozen=True)
    network = built(layer, (6, 6, 3))
    assert network.starts_from_data
    network.fit_to(x)
    y = network.forward(x).reshape(-1, 24)
    np.testing.assert_allclose(y[:, :12].T @ y[:, :12] / len(y), np.eye(12), atol=1e-6)
    np.testing.assert_allclose(y[:, 12:], -y[:, :12], atol=1e-12)


def test_whitening_says_how_many_filters_there_can_be() -> None:
    layer = Conv(26, 2, weight_init=Whitening())
    with pytest.raises(ShapeError, match=r"at most 2 x 2 x 2 x 3 = 24, not 26"):
        built(layer, (6, 6, 3))


def test_whitening_of_a_later_layer_sees_that_layers_inputs() -> None:
    layer = Conv(4, 1, weight_init=Whitening(1e-9), bias=False)
    network = Network([Conv(2), layer], (6, 6, 3))
    network.initialize(RandomStreams(0), np.float64)
    x = images(300, (6, 6, 3))
    network.fit_to(x)
    y = network.forward(x).reshape(-1, 4)[:, :2]
    np.testing.assert_allclose(y.T @ y / len(y), np.eye(2), atol=1e-6)


@pytest.mark.parametrize("layer", [Conv(4), Conv(4, groups=4), Conv(4, groups=2), Conv(5, kernel=1), Conv(4, stride=2)])
def test_a_batch_without_images_gives_no_outputs_and_gradients_of_zero(layer: Conv) -> None:
    network = Network([layer, Flatten(), Dense(3)], (12, 12, 4))
    network.initialize(RandomStreams(0))
    network.parameters.gradient[...] = 7
    y = network.forward(np.zeros((0, 12, 12, 4), np.float32), training=True)
    network.backward(np.zeros_like(y))
    assert y.shape == (0, 3)
    assert not network.parameters.gradient.any()
