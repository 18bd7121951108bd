"""A network as a whole: started again, in another precision, on other threads; and containers of layers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pytest

from nnscratch.component import catalogue
from nnscratch.errors import UserError
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.gradient_check import check_gradients
from nnscratch.nn.initializers import Whitening
from nnscratch.nn.layer import Chain, Layer
from nnscratch.nn.layers import (
    GELU,
    AveragePool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Identity,
    LayerNorm,
    LeakyReLU,
    MaxPool,
    ReLU,
    Residual,
    Scale,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from nnscratch.nn.losses import CrossEntropy, Loss, MeanSquaredError
from nnscratch.nn.network import Network
from nnscratch.nn.parameters import Parameters
from nnscratch.nn.random_streams import RandomStreams

IMAGE = (6, 6, 2)

MADE: dict[str, Callable[[], Layer]] = {
    "identity": Identity,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "gelu": GELU,
    "silu": SiLU,
    "softmax": Softmax,
    "conv": lambda: Conv(3),
    "conv of stride 2": lambda: Conv(3, stride=2),
    "dense": lambda: Residual((Flatten(), Dense(4)), (Flatten(), Dense(4))),
    "dropout": lambda: Dropout(0.3),
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "max_pool": MaxPool,
    "average_pool": AveragePool,
    "global_average_pool": GlobalAveragePool,
    "residual": lambda: Residual((Conv(2), GELU()), (Conv(2, 1),)),
    "scale": lambda: Scale(0.5),
    "flatten": Flatten,
}


def layer_classes() -> set[str]:
    return {name for name, each in catalogue(Layer).items() if each.__module__.startswith("nnscratch.")}


def memory(network: Network) -> Iterator[Array]:
    """Every array that some layer keeps."""
    for layer in network.walk():
        yield from layer.buffers._memory.values()
        yield from (value for value in vars(layer).values() if isinstance(value, np.ndarray))


def test_every_layer_is_among_those_that_are_started_again() -> None:
    assert {name.partition(" ")[0] for name in MADE} == layer_classes()


@pytest.mark.parametrize("name", MADE)
def test_a_network_started_again_in_float64_is_a_float64_network(name: str) -> None:
    network = Network([Conv(2), MADE[name](), Flatten(), Dense()], IMAGE, outputs=3)
    loss = CrossEntropy()
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((4, *IMAGE)), np.array([0, 2, 1, 1])
    network.initialize(RandomStreams(0))
    network.skip_input_gradient(False)
    _, dy = loss(network.forward(x.astype(np.float32), training=True), t)
    network.backward(dy)

    network.initialize(RandomStreams(0), np.float64)
    _, dy = loss(network.forward(x, training=True), t)
    network.backward(dy)
    rows = check_gradients(network, loss, x, t, samples=10)
    assert max(row.worst for row in rows) < 1e-6
    assert {array.dtype.name for array in memory(network) if array.dtype.kind == "f"} == {"float64"}


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.1, class_weights=(1.0, 2.0, 3.0)), MeanSquaredError()])
def test_a_loss_object_answers_in_the_precision_of_what_it_is_given(loss: Loss) -> None:
    rng = np.random.default_rng(0)
    y, labels = rng.standard_normal((4, 3)), np.array([0, 2, 1, 1])
    loss.prepare(labels, 3)
    for t in (labels, np.eye(3)[labels]):
        fresh = loss(y, t)[1].copy()
        rounded = loss(y.astype(np.float32), t.astype(np.float32) if t.ndim == 2 else t)[1].copy()
        again = loss(y, t)[1]
        assert [rounded.dtype.name, again.dtype.name] == ["float32", "float64"]
        np.testing.assert_array_equal(again, fresh)


def test_threads_may_be_given_before_the_weights() -> None:
    network, workers = Network([Conv(2), Flatten(), Dense(3)], IMAGE), Workers(2)
    network.use_workers(workers)
    network.initialize(RandomStreams(0))
    assert all(layer.workers is workers for layer in network.walk())
    assert network.forward(np.zeros((2, *IMAGE), np.float32)).shape == (2, 3)


def test_there_is_no_way_back_before_the_way_forward() -> None:
    network = Network([Dense(2)], (3,))
    network.initialize(RandomStreams(0))
    dy = np.ones((1, 2), np.float32)
    with pytest.raises(UserError, match=r"has seen no batch yet\n  call network\.forward"):
        network.backward(dy)
    network.forward(np.ones((1, 3), np.float32), training=True)
    network.backward(dy)
    assert network.parameters.named(network.parameters.gradient)["0.dense.bias"].tolist() == [1, 1]


def test_weights_cannot_be_fitted_to_data_before_there_are_any() -> None:
    network = Network([Conv(2, weight_init=Whitening())], IMAGE)
    with pytest.raises(UserError, match=r"no weights yet\n  call network\.initialize"):
        network.fit_to(np.zeros((4, *IMAGE), np.float32))


@dataclass(eq=False)
class Fork(Layer):
    """y = the sum of what the branches make of x: a container as a plugin would write it, its chains in a dict."""

    backward_needs_input = True
    branches: dict[str, Chain]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = "fork"  # type: ignore[misc]  # of the object alone: no config is to know it

    def children(self) -> tuple[Chain, ...]:
        return tuple(self.branches.values())

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        shapes = [chain.build(input_shape, parameters) for chain in self.branches.values()]
        return shapes[0]

    def forward(self, x: Array, training: bool) -> Array:
        return np.asarray(sum(chain.forward(x, training) for chain in self.branches.values()))

    def backward(self, dy: Array) -> Array | None:
        gradients = [chain.backward(dy) for chain in self.branches.values()]
        return np.asarray(sum(gradients)) if self.needs_dx else None  # type: ignore[arg-type]  # a list of arrays has a sum


@dataclass(eq=False)
class Turned(Layer):
    """Rows become columns, in arrays whose numbers do not lie in the order of their places."""

    backward_needs_input = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = "turned"  # type: ignore[misc]  # of the object alone: no config is to know it

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        H, W, C = input_shape
        return (W, H, C)

    def forward(self, x: Array, training: bool) -> Array:
        return x.copy().transpose(0, 2, 1, 3)

    def backward(self, dy: Array) -> Array | None:
        return dy.copy().transpose(0, 2, 1, 3)


@pytest.mark.parametrize("make", [BatchNorm, LayerNorm, ReLU, GELU, lambda: MaxPool(2), lambda: Residual((ReLU(),))])
def test_layers_compute_the_same_beside_one_whose_arrays_are_views_turned_around(make: Callable[[], Layer]) -> None:
    for middle in ([Turned(), make()], [make(), Turned()]):
        network = Network([Conv(4), *middle, Flatten(), Dense(3)], (6, 4, 2))
        network.initialize(RandomStreams(0), np.float64)
        x = np.random.default_rng(0).standard_normal((4, 6, 4, 2))
        rows = check_gradients(network, CrossEntropy(), x, np.array([0, 1, 2, 1]), samples=20)
        assert {row.verdict for row in rows} == {"right"}


def test_dropout_drops_out_of_arrays_that_are_views_turned_around_too() -> None:
    network = Network([Conv(4), Turned(), Dropout(0.5), Flatten(), Dense(3)], (6, 4, 2))
    network.initialize(RandomStreams(0), np.float64)
    turned = network.layers[1].forward(network.layers[0].forward(np.ones((50, 6, 4, 2)), True), True)
    before = turned.copy()
    y = network.layers[2].forward(turned, training=True)
    assert 0.4 < np.mean(y == 0) < 0.6
    np.testing.assert_allclose(y[y != 0], 2 * before[y != 0])


class ForgetfulFork(Fork):
    """One whose author has forgotten `children`."""

    def children(self) -> tuple[Chain, ...]:
        return ()


def forked() -> Network:
    left: list[Layer] = [Conv(2, 1, weight_init=Whitening()), GELU(), Residual((BatchNorm(), ReLU()))]
    right: list[Layer] = [Conv(2), Dropout(0.5), MaxPool(1)]
    fork = Fork({"a": Chain(left, "left"), "b": Chain(right, "right")})
    return Network([Scale(2.0), fork, Flatten(), Dense(3)], IMAGE)


def test_what_a_container_holds_in_a_dict_is_part_of_the_network() -> None:
    network, workers = forked(), Workers(2)
    network.initialize(RandomStreams(5), np.float64, workers)
    assert [layer.path for layer in network.walk()] == [
        "0.scale",
        "1.fork",
        "1.fork.left.0.conv",
        "1.fork.left.1.gelu",
        "1.fork.left.2.residual",
        "1.fork.left.2.residual.0.batch_norm",
        "1.fork.left.2.residual.1.relu",
        "1.fork.right.0.conv",
        "1.fork.right.1.dropout",
        "1.fork.right.2.max_pool",
        "2.flatten",
        "3.dense",
    ]
    assert {"1.fork.left.0.conv.weight", "1.fork.right.0.conv.bias"} <= set(network.parameters.named())
    assert all(layer.workers is workers and layer.dtype is np.float64 for layer in network.walk())
    assert all(layer.moment.streams.seed == 5 for layer in network.walk())


def test_a_container_asks_its_chains_what_the_network_asks_of_it() -> None:
    network = forked()
    network.initialize(RandomStreams(0), np.float64)
    x = np.random.default_rng(0).standard_normal((20, *IMAGE))
    before = network.parameters.named()["1.fork.left.0.conv.weight"].copy()
    assert network.starts_from_data
    network.fit_to(x)
    assert not np.array_equal(before, network.parameters.named()["1.fork.left.0.conv.weight"])

    network.forward(x, training=True)
    (kinks,) = network.kinks()  # of the relu, and both that max_pool has
    assert kinks.size == 3 * x.size
    rows = check_gradients(network, CrossEntropy(), x[:4], np.array([0, 2, 1, 1]), samples=10)
    assert max(row.worst for row in rows) < 1e-6

    pixels, numbers = 6 * 6, 6 * 6 * 2
    convolutions, dense = 2 * pixels * 2 * 2 * (1 + 9), 2 * numbers * 3
    assert [summary.flops for summary in network.summaries] == [0, convolutions, 0, dense]
    network.skip_input_gradient(True)
    assert network.training_flops() == 2 * convolutions + 3 * dense
    network.skip_input_gradient(False)
    assert network.training_flops() == 3 * convolutions + 3 * dense
    assert network.activation_size() == 10 * numbers + 3  # all but flatten, which returns a view


def test_a_container_that_leaves_its_chains_out_of_children_is_refused_by_name() -> None:
    fork = ForgetfulFork({"a": Chain([ReLU()], "left"), "b": Chain([Tanh()], "right")})
    with pytest.raises(UserError, match=r"^1\.fork built 2 chains, but its children\(\) leads to 0 of them\n"):
        Network([Tanh(), fork], (4,))


def test_chains_that_would_share_the_names_of_their_arrays_are_refused() -> None:
    with pytest.raises(UserError, match=r"0\.fork\.0\.dense\.weight is declared twice"):
        Network([Fork({"a": Chain([Dense(3)]), "b": Chain([Dense(3)])})], (4,))


def test_a_deep_copy_is_a_copy_whose_layers_use_its_own_parameters() -> None:
    network = forked()
    network.initialize(RandomStreams(0), np.float64)
    x = np.random.default_rng(0).standard_normal((3, *IMAGE))
    y = network.forward(x).copy()
    twin = deepcopy({"network": network})["network"]
    np.testing.assert_array_equal(twin.forward(x), y)
    twin.parameters.theta[:] = 0
    assert not np.array_equal(twin.forward(x), y)
    np.testing.assert_array_equal(network.forward(x), y)


def test_a_copy_has_the_same_numbers_and_leaves_the_original_alone() -> None:
    network = Network([Dense(4), BatchNorm(), Residual((Dense(4), GELU())), Dense(3)], (5,))
    network.initialize(RandomStreams(3))
    x = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
    y = network.forward(x, training=True).copy()
    network.backward(np.ones_like(y))
    values, gradient = network.parameters.values.copy(), network.parameters.gradient.copy()

    twin = network.copy()
    np.testing.assert_array_equal(twin.parameters.values, values)
    np.testing.assert_array_equal(twin.parameters.gradient, gradient)
    np.testing.assert_array_equal(twin.forward(x, training=True), y)
    twin.skip_input_gradient(False)
    twin.backward(np.ones((6, 3), np.float32))
    twin.parameters.values += 1
    twin.moment.step = 9
    assert twin.workers is network.workers
    assert not network.layers[0].needs_dx
    assert network.moment.step == 0
    np.testing.assert_array_equal(network.parameters.values, values)
    np.testing.assert_array_equal(network.parameters.gradient, gradient)
    assert not np.array_equal(twin.forward(x), network.forward(x))
    assert {id(layer) for layer in twin.walk()}.isdisjoint({id(layer) for layer in network.walk()})


def test_a_network_that_is_not_initialised_can_be_copied_too() -> None:
    twin = Network([Dense(2)], (3,)).copy()
    twin.initialize(RandomStreams(0))
    assert twin.forward(np.ones((1, 3), np.float32)).shape == (1, 2)


def calls_to_build(layers: int) -> int:
    """How many Python functions are called while a network of so many layers is made."""
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    stack: list[Layer] = [layer for _ in range(layers // 2) for layer in (Dense(2), ReLU())]
    sys.setprofile(count)
    try:
        Network([*stack, Dense()], (2,), outputs=2)
    finally:
        sys.setprofile(None)
    return counted


def test_the_work_to_build_a_network_grows_with_its_layers_and_not_with_their_square() -> None:
    assert calls_to_build(800) < 2.2 * calls_to_build(400)


def deep_convolutions() -> Network:
    """Convolutions whose outputs go on through normalisation, activations and pooling, plain and in a block."""
    block = Residual((Conv(4), BatchNorm(), GELU(), MaxPool(1), Conv(8)), (Conv(8, 1),))
    layers = [Conv(4), MaxPool(2), BatchNorm(), GELU(), block, ReLU(), Residual((Conv(8), GELU())), Flatten(), Dense(3)]
    network = Network(layers, IMAGE)
    network.initialize(RandomStreams(5), np.float64)
    return network


def test_two_networks_that_share_threads_do_not_disturb_each_others_steps() -> None:
    """Arrays that only a neighbour reads go through memory that all layers of these threads share."""
    rng = np.random.default_rng(0)
    (x, other), dy = rng.standard_normal((2, 5, *IMAGE)), rng.standard_normal((5, 3))
    alone, disturbed, disturber = deep_convolutions(), deep_convolutions(), deep_convolutions()
    disturber.use_workers(disturbed.workers)
    alone.forward(x, training=True)
    alone.backward(dy.copy())
    y = disturbed.forward(x, training=True)
    disturber.forward(other, training=True)
    disturber.backward(-dy)
    np.testing.assert_array_equal(y, alone.forward(x, training=True))
    disturbed.backward(dy.copy())
    np.testing.assert_array_equal(disturbed.parameters.gradient, alone.parameters.gradient)


def test_what_no_backward_pass_reads_is_not_kept() -> None:
    network = deep_convolutions()
    kept = {layer.path: layer.keeps_y for layer in network.layers if not layer.returns_view}
    assert kept == {
        "0.conv": False,  # max_pool remembers which pixels it took
        "1.max_pool": True,  # batch_norm reads its input again
        "2.batch_norm": True,  # gelu writes over it, and the block's own layers need it
        "3.gelu": True,
        "4.residual": True,  # relu writes over it, and needs it again
        "5.relu": True,
        "6.residual": True,  # dense reads it again, through a view
        "8.dense": True,  # the result
    }
    inner, _ = network.layers[4].children()
    assert [layer.keeps_y for layer in inner.layers] == [True, False, False, True, True]


def test_a_step_keeps_what_it_is_reckoned_to() -> None:
    network, N = deep_convolutions(), 1000
    network.forward(np.ones((N, *IMAGE)), training=True)
    network.backward(np.ones((N, 3)))
    held = sum(layer.buffers.nbytes for layer in network.walk()) / 8
    assert held / N == pytest.approx(network.kept_size(), rel=0.1)  # without bytes that remember a pixel
    assert network.training_size() == network.kept_size() + 2 * (6 * 6 * 4) < 2 * network.activation_size()


@pytest.mark.parametrize("inside", [False, True])
def test_a_layer_that_stands_in_two_places_is_refused(inside: bool) -> None:
    shared = Dense(4, bias=False)
    layers: list[Layer] = [Residual((shared, shared))] if inside else [shared, ReLU(), shared]
    place = r"0\.residual\.1\.dense" if inside else r"2\.dense"
    with pytest.raises(UserError, match=f"layer {place} is an object that stands in the network before, too"):
        Network(layers, (4,))
    Network([shared], (4,))  # in a network of its own it is a layer like any other
