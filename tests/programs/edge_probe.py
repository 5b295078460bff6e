# SPDX-License-Identifier: BSD-3-Clause
"""Calls with arrays next to guard pages; test_array_edges.py runs this as a program.

Every array of a call either ends at the end of a page, before an inaccessible one, or begins at the
beginning of a page, after an inaccessible one. An access outside of an array ends the process; the
call is printed before it is made. The results must equal those for ordinary arrays.
"""

from __future__ import annotations

import faulthandler
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import functional as F
from fastnn import nn, optim
from guard_pages import at_the_end, at_the_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KINDS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]


def stretched(place: Callable[[np.ndarray], np.ndarray], *steps: slice) -> Any:
    """Return a function that places an array with `place`, as a view with these steps."""

    def put(a: np.ndarray) -> np.ndarray:
        repeats = [2 if step.step in (2, -2) else 1 for step in steps[: a.ndim]]
        big = a
        for axis, n in enumerate(repeats):
            big = np.repeat(big, n, axis)
        # The view ends with its last element, at the end of the page.
        cut = tuple(slice(None, -1 if n == 2 and len(big) > 1 else None) for n in repeats)
        moved = place(np.ascontiguousarray(big[cut]))[steps[: a.ndim]]
        moved[...] = a
        return moved

    return put


ALL = slice(None)
PLACES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "end": at_the_end,
    "start": at_the_start,
    "end, columns first": lambda a: at_the_end(np.ascontiguousarray(a.T)).T,
    "end, every other row": stretched(at_the_end, slice(None, None, 2), ALL),
    "end, every other column": stretched(at_the_end, ALL, slice(None, None, 2)),
    "end, rows backwards": stretched(at_the_end, slice(None, None, -1), ALL),
    "start, rows backwards": stretched(at_the_start, slice(None, None, -1), ALL),
    "start, columns backwards": stretched(at_the_start, ALL, slice(None, None, -1)),
    "end, one row often": lambda a: np.broadcast_to(at_the_end(a[:1].copy()), a.shape),
    "end, other byte order": lambda a: at_the_end(a.astype(a.dtype.newbyteorder())),
}
WRITTEN = ("end", "start", "end, every other row")  # placements of results
Put = Any
rng = np.random.default_rng(4)


def numbers(shape: tuple[int, ...], kind: str) -> np.ndarray:
    drawn = rng.integers(0, 2, shape) if kind in "?u" else rng.integers(-2, 3, shape)
    return np.abs(drawn).astype(kind) if kind[0] == "u" else drawn.astype(kind)


def model_of(columns: int, dtype: str, loss: str) -> nn.Sequential:
    outputs = 3 if loss == "cross_entropy" else 5
    model = nn.Sequential(
        nn.Linear(columns, 7), nn.Tanh(), nn.Linear(7, outputs), dtype=dtype, seed=1
    )
    model.compile(optim.SGD(lr=0.01), loss, ["accuracy"] if loss == "cross_entropy" else None)
    return model


def trained(put: Put, written: bool, x: np.ndarray, dtype: str, loss: str) -> Iterator[Any]:
    """Yield the results of every call of a model with arrays that are placed by `put`."""
    n = len(x)
    y = np.arange(n) % 3 if loss == "cross_entropy" else np.arange(5.0 * n).reshape(n, 5) / n
    y, w = put(y), put(np.linspace(0.5, 2, n)) if n > 9 else None
    x = put(x)
    model = model_of(x.shape[1], dtype, loss)
    yield model.predict(x)
    yield model.predict(x, n_threads=2)
    if written:
        yield model.predict(x, out=put(np.zeros((n, model.n_outputs), dtype)))
    yield list(model.evaluate(x, y, sample_weight=w).values())
    split = {"validation_data": (x, y) if w is None else (x, y, w)}
    yield list(model.fit(x, y, 4, 2, sample_weight=w, **split).history.values())
    yield model.train_step(x, y, sample_weight=w)
    loss_of_all, gradients = model.loss_and_grad(x, y, sample_weight=w)
    yield loss_of_all
    yield from (gradient.copy() for gradient in gradients.values())
    yield model.forward(x, training=True)
    gradient = put(np.linspace(-1, 1, n * model.n_outputs).reshape(n, -1).astype(dtype))
    yield model.backward(gradient, need_dx=True)
    yield model.train_step(x, grad=gradient)
    yield from (value.copy() for value in model.state_dict().values())


def of_functions(put: Put, written: bool, dtype: str, n: int, k: int) -> Iterator[Any]:
    """Yield the results of the functions with arrays that are placed by `put`."""
    x, w, dy = (numbers(s, dtype) for s in ((n, k), (k, 5), (n, 5)))
    b, z, labels = numbers((5,), dtype), numbers((n, k), dtype), np.arange(n) % k
    px, pw, pb, pdy, pz = (put(a) for a in (x, w, b, dy, z))
    yield F.linear(px, pw, pb)
    yield from F.linear_backward(pdy, px, pw)
    yield F.relu(pz)
    yield F.relu_backward(px, pz)
    yield F.tanh(pz)
    yield F.gelu(pz)
    yield F.softmax(pz)
    yield F.log_softmax(pz)
    yield from F.mse_loss(pz, px)
    yield from F.cross_entropy(pz, put(labels))
    if written:
        yield F.linear(px, pw, pb, out=put(np.zeros((n, 5), dtype)))
        yield F.relu(pz, out=put(np.zeros((n, k), dtype)))
        parameter = put(z.copy())
        state = F.adam_state([parameter])
        F.adam_step_([parameter], [px], state, lr=0.1)
        yield parameter.copy()
        F.sgd_step_([parameter], [px], F.sgd_state([parameter]), lr=0.1)
        yield parameter.copy()


def same(got: list[Any], expected: Iterator[Any]) -> None:
    for mine, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, other)


def ordinary(place: Callable[[np.ndarray], np.ndarray]) -> Put:
    """Return a function that copies arrays to the heap, with the same strides and byte order."""
    return lambda a: np.copy(place(a), order="K", subok=False)


def main() -> None:
    cases = 0
    for name, place in PLACES.items():
        for kind in KINDS:
            for n, columns in ((1, 17), (9, 3), (13, 16)):
                case = f"{name}, X of {kind}, {n} x {columns}"
                print(case, flush=True)
                x = numbers((n, columns), kind)
                dtype = "float32" if (n + columns) % 2 or kind == "f4" else "float64"
                loss = "mse" if columns % 2 else "cross_entropy"
                arguments = name in WRITTEN, x, dtype, loss
                seed = rng.bit_generator.state
                got = list(trained(place, *arguments))
                rng.bit_generator.state = seed
                same(got, trained(ordinary(place), *arguments))
                cases += 1
        for dtype in ("f4", "f8"):
            for n, k in ((1, 1), (3, 17), (9, 16), (40, 33)):
                print(f"{name}, functions of {dtype}, {n} x {k}", flush=True)
                seed = rng.bit_generator.state
                got = list(of_functions(place, name in WRITTEN, dtype, n, k))
                rng.bit_generator.state = seed
                same(got, of_functions(ordinary(place), name in WRITTEN, dtype, n, k))
                cases += 1
    print(f"{cases} cases")


if __name__ == "__main__":
    faulthandler.enable(sys.stderr)
    main()
