"""All layers. A new one is a class in a module here; importing the module is what makes its YAML name known."""

from nnscratch.nn.layers.activations import (
    GELU as GELU,
)
from nnscratch.nn.layers.activations import (
    Identity as Identity,
)
from nnscratch.nn.layers.activations import (
    LeakyReLU as LeakyReLU,
)
from nnscratch.nn.layers.activations import (
    ReLU as ReLU,
)
from nnscratch.nn.layers.activations import (
    Sigmoid as Sigmoid,
)
from nnscratch.nn.layers.activations import (
    SiLU as SiLU,
)
from nnscratch.nn.layers.activations import (
    Softmax as Softmax,
)
from nnscratch.nn.layers.activations import (
    Tanh as Tanh,
)
from nnscratch.nn.layers.convolution import Conv as Conv
from nnscratch.nn.layers.dense import Dense as Dense
from nnscratch.nn.layers.dropout import Dropout as Dropout
from nnscratch.nn.layers.normalization import (
    BatchNorm as BatchNorm,
)
from nnscratch.nn.layers.normalization import (
    LayerNorm as LayerNorm,
)
from nnscratch.nn.layers.pooling import (
    AveragePool as AveragePool,
)
from nnscratch.nn.layers.pooling import (
    GlobalAveragePool as GlobalAveragePool,
)
from nnscratch.nn.layers.pooling import (
    MaxPool as MaxPool,
)
from nnscratch.nn.layers.residual import Residual as Residual
from nnscratch.nn.layers.scale import Scale as Scale
from nnscratch.nn.layers.shape import Flatten as Flatten
