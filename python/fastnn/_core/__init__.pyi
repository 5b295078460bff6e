# SPDX-License-Identifier: BSD-3-Clause
"""Types of the compiled core; tests/rooms/test_registry.py compares them with the module."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

# Names with an underscore exist for the type checker alone.
_Array: TypeAlias = NDArray[Any]
_Hyper: TypeAlias = Mapping[str, float | bool | str | Sequence[float] | None]
_Schedule: TypeAlias = tuple[str, _Hyper]
_Split: TypeAlias = tuple[_Array, _Array, _Array | None]

class _Entry(TypedDict):
    key: str
    layer: str
    name: str
    array: _Array
    trainable: bool

class _OptimizerState(TypedDict):
    step: int
    steps: dict[str, int]
    state: list[list[_Entry]]

class Network:
    def __init__(
        self,
        layers: LayerSpecs | Sequence[tuple[str, Mapping[str, Any]]],
        dtype: str = "float32",
        seed: int = 0,
        initialize: bool = True,
    ) -> None: ...
    @property
    def n_features(self) -> int: ...
    @property
    def n_outputs(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def flops_per_row(self) -> float: ...
    @property
    def threads_used(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def busy(self) -> bool: ...
    def expect_idle(self, where: str) -> None: ...
    @property
    def history(self) -> dict[str, list[float]]: ...
    @property
    def epochs(self) -> int: ...
    def num_batches(self, layer: str | None = None) -> dict[str, int]: ...
    def parameters(self, layer: str | None = None) -> list[_Entry]: ...
    def views(self, layer: str | None = None) -> dict[str, dict[str, _Array]]: ...
    def gradients(self) -> list[_Entry]: ...
    def optimizer_state(self) -> _OptimizerState: ...
    @property
    def draw(self) -> int: ...
    def set_progress(
        self, step: int, draw: int = 0, averaged: int = 0, group: Mapping[str, float] | None = None
    ) -> None: ...
    def change_layer(
        self, layers: Sequence[str], kind: str, settings: Mapping[str, Any]
    ) -> None: ...
    stop: bool
    def stop_after(self, seconds: float) -> None: ...
    def load(self, values: Sequence[_Array | None], num_batches: Mapping[str, int]) -> None: ...
    def load_state(self, number: int, arrays: Mapping[str, _Array]) -> None: ...
    def snapshot(self, layers: Sequence[str] | None = None) -> dict[str, Any]: ...
    def lend(self, view: _Array) -> None: ...
    def set_optimizer_steps(self, steps: Mapping[str, int]) -> None: ...
    def set_frozen(self, layer: str, frozen: bool) -> None: ...
    def frozen(self, layer: str) -> bool: ...
    def compile(
        self,
        loss: str,
        loss_params: _Hyper,
        optimizer: str,
        params: _Hyper,
        groups: Mapping[str, _Hyper] = ...,
        schedule: _Schedule | None = None,
        average: tuple[str, _Hyper] | None = None,
        limits: Sequence[tuple[float | None, Sequence[str]]] = ...,
        metrics: Sequence[tuple[str, _Hyper]] = ...,
        **settings: float | None,
    ) -> None: ...
    def compile_as(self, spec: CompileSpec) -> None: ...
    def use_averages(self, on: bool) -> None: ...
    @property
    def averaged(self) -> bool: ...
    def set_optimizer_params(
        self,
        params: _Hyper,
        groups: Mapping[str, _Hyper] = ...,
        schedule: _Schedule | None = None,
        continues: bool = False,
        limits: Sequence[tuple[float | None, Sequence[str]]] = ...,
    ) -> None: ...
    @property
    def lr(self) -> float: ...
    def schedule_position(self) -> dict[str, int | float | None] | None: ...
    def set_schedule_position(self, position: Mapping[str, int | float | None]) -> None: ...
    def fit(
        self,
        x: _Array | None = None,
        y: _Array | None = None,
        sample_weight: _Array | None = None,
        orders: NumpyOrders | Callable[[int], NDArray[np.int64]] | None = None,
        validation: _Split | None = None,
        class_weight: _Array | None = None,
        on_epoch: Callable[[int, dict[str, float]], bool] | None = None,
        on_batch: Callable[[int, float, bool], bool] | None = None,
        own_loss: Callable[[_Array, Any], tuple[float, _Array]] | None = None,
        pieces: Callable[[int, bool], tuple[Any, ...]] | None = None,
        rows: int = 0,
        predictions: _Array | None = None,
        standstill: Mapping[str, float | None] | None = None,
        **settings: int,
    ) -> dict[str, Any]: ...
    def train_step_own(
        self,
        x: _Array,
        sample_weight: _Array | None,
        own_loss: Callable[[_Array, Any], tuple[float, _Array]],
        n_threads: int = 0,
    ) -> float: ...
    def check(
        self,
        x: _Array,
        y: _Array | None,
        sample_weight: _Array | None = None,
        validation: bool = False,
        part: bool = False,
    ) -> int: ...
    def train_step(
        self, x: _Array, y: _Array, sample_weight: _Array | None = None, n_threads: int = 0
    ) -> float: ...
    def train_step_grad(self, x: _Array, grad: _Array, n_threads: int = 0) -> float: ...
    def loss_and_grad(
        self,
        x: _Array,
        y: _Array,
        sample_weight: _Array | None = None,
        n_threads: int = 0,
        training: bool = True,
    ) -> float: ...
    def forward(self, x: _Array, training: bool, n_threads: int = 0) -> _Array: ...
    def backward(
        self, grad: _Array, need_dx: bool = False, n_threads: int = 0
    ) -> _Array | None: ...
    def clip_grad_norm(self, max_norm: float) -> float: ...
    def apply_gradients(self, n_threads: int = 0) -> None: ...
    def input_gradient(
        self, x: _Array, y: _Array | None, n_threads: int = 0, grad: _Array | None = None
    ) -> _Array: ...
    def jacobian(self, x: _Array, link: bool = False, n_threads: int = 0) -> _Array: ...
    def per_sample_gradients(
        self, x: _Array, y: _Array | None, n_threads: int = 0, grad: _Array | None = None
    ) -> dict[str, _Array]: ...
    def evaluate(
        self,
        x: _Array,
        y: _Array,
        sample_weight: _Array | None = None,
        metrics: bool = False,
        n_threads: int = 0,
        predictions: _Array | None = None,
    ) -> dict[str, Any]: ...
    def predict(
        self, x: _Array, link: bool = True, out: _Array | None = None, n_threads: int = 0
    ) -> _Array: ...

isa: str
max_threads: int
built: tuple[str, ...]
runnable: tuple[str, ...]
testing: ModuleType

def registries() -> dict[str, list[dict[str, Any]]]: ...
def outputs_per_target(loss: str, params: _Hyper) -> int: ...
def states_of(name: str, params: _Hyper) -> list[str]: ...
def threads_available() -> int: ...
def limit_this_thread(n: int) -> int: ...
def thread_limits() -> dict[str, int | None]: ...
def build_info() -> dict[str, str]: ...
def linear(
    x: _Array, w: _Array, b: _Array | None = None, out: _Array | None = None, n_threads: int = 0
) -> _Array: ...
def layer_parameters(
    name: str, params: Mapping[str, Any], columns: int
) -> list[tuple[str, int, bool]]: ...
def layer(
    name: str,
    params: Mapping[str, Any],
    x: _Array,
    given: Mapping[str, _Array],
    training: bool = False,
    seed: int = 0,
    layer: int = 0,
    step: int = 0,
    draw: int = 0,
) -> tuple[_Array, dict[str, _Array]]: ...
def layer_backward(
    name: str,
    params: Mapping[str, Any],
    dy: _Array,
    x: _Array,
    given: Mapping[str, _Array],
    training: bool = False,
    seed: int = 0,
    layer: int = 0,
    step: int = 0,
    draw: int = 0,
) -> tuple[_Array, dict[str, _Array]]: ...

# NotImplemented where anything has to be converted or refused.
def plain_linear(x: Any, w: Any, b: Any, out: Any, n_threads: Any, /) -> _Array: ...
def plain_linear_backward(
    dy: Any, x: Any, w: Any, need_dx: Any, n_threads: Any, dx: Any, dw: Any, db: Any, /
) -> tuple[_Array | None, _Array, _Array]: ...
def plain_activation(name: str, hyper: Any, z: Any, out: Any, /) -> _Array: ...
def plain_activation_backward(
    name: str, hyper: Any, dy: Any, saved: Any, out: Any, /
) -> _Array: ...
def plain_loss(
    name: str, hyper: Any, out: Any, target: Any, sample_weight: Any, dout: Any, /
) -> tuple[float, _Array]: ...
def plain_step(name: str, hyper: Any, t: int, params: Any, grads: Any, states: Any, /) -> bool: ...
def linear_backward(
    dy: _Array, x: _Array, w: _Array, need_dx: bool = True, n_threads: int = 0
) -> tuple[_Array | None, _Array, _Array]: ...
def activation(name: str, hyper: _Hyper, z: _Array, out: _Array | None = None) -> _Array: ...
def activation_backward(
    name: str, hyper: _Hyper, dy: _Array, saved: _Array, out: _Array | None = None
) -> _Array: ...
def loss(
    name: str,
    hyper: _Hyper,
    out: _Array,
    target: _Array,
    sample_weight: _Array | None = None,
    strict: bool = False,
) -> tuple[float, _Array]: ...
def add_to_averages(
    name: str, hyper: _Hyper, n: int, averages: _Array | list[_Array], params: _Array | list[_Array]
) -> None: ...
def optimizer_step(
    name: str,
    hyper: _Hyper,
    t: int,
    params: _Array | list[_Array],
    grads: _Array | list[_Array],
    states: dict[str, list[_Array]],
) -> None: ...
def schedule_values(
    name: str,
    params: _Hyper,
    base: float,
    n: int,
    epoch_steps: int = 1,
    batch_size: int = 1,
    losses: Sequence[float] = ...,
    momentum: bool = False,
) -> NDArray[np.float64]: ...
def dropout_mask(
    shape: tuple[int, int],
    p: float,
    seed: int,
    layer: int = 0,
    step: int = 0,
    dtype: str = "float32",
    draw: int = 0,
) -> _Array: ...
def uniform(n: int, seed: int, stream: int = 0) -> NDArray[np.float64]: ...
def column_moments(
    x: object,
    name: str = "X",
    columns: int = -1,
    before: tuple[int, NDArray[np.float64]] | None = None,
    n_threads: int = 0,
) -> tuple[int, NDArray[np.float64]]: ...
def column_statistics(
    moments: tuple[int, NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def initial_values(
    name: str,
    params: _Hyper,
    shape: tuple[int, int],
    seed: int,
    stream: int = 0,
    dtype: str = "float32",
) -> _Array: ...
def all_finite(x: _Array) -> bool: ...
def distinct_below_count(y: _Array) -> NDArray[np.int64] | None: ...
def has_sorted_rows(where: str, name: str, matrix: Any) -> bool: ...
def permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]: ...
def standstill(
    losses: Sequence[float], tol: float, best: float, waited: int
) -> tuple[float, int]: ...
def numpy_uniform(generator: Any, parts: Sequence[tuple[float, _Array]]) -> None: ...

class LayerSpecs:
    def __init__(self, layers: Sequence[tuple[str, Mapping[str, Any]]]) -> None: ...

class CompileSpec:
    def __init__(
        self,
        loss: str,
        loss_params: _Hyper,
        optimizer: str,
        params: _Hyper,
        groups: Mapping[str, _Hyper] = ...,
        schedule: _Schedule | None = None,
        average: tuple[str, _Hyper] | None = None,
        limits: Sequence[tuple[float | None, Sequence[str]]] = ...,
        metrics: Sequence[tuple[str, _Hyper]] = ...,
        **settings: float | None,
    ) -> None: ...

class NumpyOrders:
    def __init__(self, generator: Any, n: int, shared: bool = True) -> None: ...
    def next(self) -> NDArray[np.int64]: ...
