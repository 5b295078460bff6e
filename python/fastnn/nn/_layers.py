# SPDX-License-Identifier: BSD-3-Clause
"""Linear, PReLU and the layers that draw random numbers in training, with the usual settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ._initializer import DEFAULT, Initializer, chosen, given_values
from ._initializers import INITIALIZERS
from ._layer import ModelLayer, ParameterLayer, Setting

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["Dropout", "GaussianNoise", "Linear", "PReLU"]


class Dropout(ModelLayer):
    """In training, set values to 0 with probability p and multiply the others by 1 / (1 - p).

    The mask depends on the model's seed, the layer, the row, the column, the step and, within a
    step, on the number of training passes since the last update: every
    ``forward(x, training=True)`` has a new mask. The first pass of a step has the mask of
    ``train_step``.

    Parameters
    ----------
    p : float, default 0.5
        From 0 to 1. It may be assigned later, as in ``model[3].p = 0``, and takes effect with the
        next step.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Dropout(0.2)
    Dropout(p=0.2)
    """

    registry_name: ClassVar[str] = "dropout"
    noise: ClassVar[str] = "p"

    p: Setting[float] = Setting()

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p=p)

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {"p": self.p}

    def __repr__(self) -> str:
        return f"Dropout(p={self.p})"


class GaussianNoise(ModelLayer):
    """In training, add normally distributed numbers with the standard deviation `std`.

    Prediction leaves x as it is, as Keras' layer of this name does. The numbers depend on the
    model's seed, the layer, the row, the column, the step and the number of training passes since
    the last update, as the masks of `Dropout` do: every ``forward(x, training=True)`` has new ones,
    and none depends on the number of threads.

    Parameters
    ----------
    std : float, default 0.1
        At least 0. It may be assigned later and takes effect with the next step.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.GaussianNoise(0.2)
    GaussianNoise(std=0.2)
    """

    registry_name: ClassVar[str] = "gaussian_noise"
    noise: ClassVar[str] = "std"

    std: Setting[float] = Setting()

    def __init__(self, std: float = 0.1) -> None:
        super().__init__(std=std)

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {"std": self.std}

    def flops(self, n_in: int) -> int:
        """Return a multiplication and an addition per column."""
        return 2 * n_in

    def __repr__(self) -> str:
        return f"GaussianNoise(std={self.std})"


class Linear(ParameterLayer):
    """Compute y = x W^T + b with W of shape (out_features, in_features), as in torch.

    The initial values are drawn when a Sequential is made, by default from U(-1/sqrt(in),
    1/sqrt(in)) as in torch.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, default True
    init : str, Initializer or array_like, default "default"
        What draws W: a name such as ``"kaiming_normal"``, an object of `nn.init`, or W itself, a
        finite array of shape (out_features, in_features), which is copied.
    bias_init : str, Initializer or array_like, default "default"
        The same for b: an array of shape (out_features,), or an initializer that does not need a
        matrix.

    Raises
    ------
    ValueError, TypeError
        If a size or an initializer is unknown, or an array has another shape or values that are
        not finite.

    Examples
    --------
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 3))
    >>> model[0].weight.shape
    (3, 4)
    >>> model = nn.Sequential(nn.Linear(4, 3, init="xavier_normal", bias_init="zeros"))
    >>> model[0].init, model[0].bias.tolist()
    (XavierNormal(gain=1.0), [0.0, 0.0, 0.0])
    """

    registry_name: ClassVar[str] = "linear"

    in_features: int
    out_features: int
    has_bias: bool
    init: Initializer
    bias_init: Initializer

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        init: Any = DEFAULT,
        bias_init: Any = DEFAULT,
    ) -> None:
        super().__init__()
        settings = {"in_features": in_features, "out_features": out_features, "bias": bias}
        known = self._checked(settings)
        vars(self).update(has_bias=known.pop("bias"), **known)
        for what, value, name in (("init", init, "weight"), ("bias_init", bias_init, "bias")):
            self._choose(what, value, name)

    def _choose(self, what: str, value: Any, name: str) -> None:
        """Keep the initializer of a value, or the value itself until a model takes it."""
        is_default = isinstance(value, str) and value == DEFAULT
        if name == "bias" and not (self.has_bias or is_default):
            raise ValueError(f"[Linear] {what} came with bias=False; expected no {what}")
        shape = self.shapes().get(name, ())
        array = given_values("Linear", what, value, shape)
        if array is not None:
            vars(self)["_waiting"] = {**(self._waiting or {}), name: array}
            value = DEFAULT
        known = INITIALIZERS
        vars(self)[what] = chosen("Linear", what, value, known, vector=name == "bias")

    def _initials(self) -> dict[str, Initializer]:
        """Return the initializers that are not the default, by their arguments."""
        given = {"init": self.init, "bias_init": self.bias_init}
        return {name: each for name, each in given.items() if each.registry_name != DEFAULT}

    @property
    def weight(self) -> Array:
        """View of the model's values, (out_features, in_features); read-only while fit runs."""
        return self._value("weight")

    @property
    def bias(self) -> Array | None:
        """View of the model's values, (out_features,); None without bias."""
        return self._value("bias") if self.has_bias else None

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        sizes = {"in_features": self.in_features, "out_features": self.out_features}
        initials = {name: each.spec() for name, each in self._initials().items()}
        return self.registry_name, {**sizes, "bias": self.has_bias, **initials}

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return out_features."""
        self._expected(where, n_in, self.in_features)
        return self.out_features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of weight and bias."""
        weight = {"weight": (self.out_features, self.in_features)}
        return weight | ({"bias": (self.out_features,)} if self.has_bias else {})

    def flops(self, n_in: int) -> int:
        """Return a multiplication and an addition for each weight."""
        return 2 * self.in_features * self.out_features

    def __repr__(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        initials = "".join(f", {name}={each!r}" for name, each in self._initials().items())
        return f"Linear({sizes}, bias={self.has_bias}{initials})"


class PReLU(ParameterLayer):
    """Compute x where x is positive and weight * x elsewhere, with a weight that is trained.

    As in torch, the derivative at 0 is the weight. Weight decay draws the weight to 0; a group of
    the optimizer's ``param_groups`` can exempt it. (He et al., 2015.)

    Parameters
    ----------
    num_parameters : int, default 1
        1 for one weight for all columns, or the number of columns for one each.
    init : float, default 0.25
        Initial weight.

    Examples
    --------
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.PReLU(8))
    >>> model[1]
    PReLU(num_parameters=8, init=0.25)
    >>> model[1].weight.tolist()
    [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]
    """

    registry_name: ClassVar[str] = "prelu"

    num_parameters: int
    init: float

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__(num_parameters=num_parameters, init=init)

    @property
    def weight(self) -> Array:
        """View of the factors of negative numbers, (num_parameters,)."""
        return self._value("weight")

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {"num_parameters": self.num_parameters, "init": self.init}

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return num_parameters, or the number of input columns where there is one weight."""
        if self.num_parameters == 1:
            return n_in
        return self._expected(where, n_in, self.num_parameters)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of the weight."""
        return {"weight": (self.num_parameters,)}

    def flops(self, n_in: int) -> int:
        """Return one operation per column."""
        return n_in

    def __repr__(self) -> str:
        return f"PReLU(num_parameters={self.num_parameters}, init={self.init})"
