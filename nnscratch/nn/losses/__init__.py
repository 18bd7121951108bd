"""What training minimises. A new loss is a class in a module here: importing it is what makes its YAML name known."""

from nnscratch.nn.losses.cross_entropy import CrossEntropy as CrossEntropy
from nnscratch.nn.losses.differences import DifferenceLoss as DifferenceLoss
from nnscratch.nn.losses.differences import Huber as Huber
from nnscratch.nn.losses.differences import MeanAbsoluteError as MeanAbsoluteError
from nnscratch.nn.losses.differences import MeanSquaredError as MeanSquaredError
from nnscratch.nn.losses.loss import Loss as Loss
from nnscratch.nn.losses.loss import value_and_gradient as value_and_gradient
