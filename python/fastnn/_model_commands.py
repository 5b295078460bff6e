# SPDX-License-Identifier: BSD-3-Clause
"""`python -m fastnn show`, `export` and `predict`: model files in a shell."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _files
from ._loading import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._validate import Array
    from .nn import Sequential

__all__ = ["export", "predict", "show"]

LAST = 5  # lines of the history


def _reported(command: Callable[..., None]) -> Callable[..., int]:
    """Return a command that prints what is wrong instead of raising, and its exit status."""

    def run(*arguments: Any) -> int:
        try:
            command(*arguments)
        except BrokenPipeError:  # the reader of the output has ended
            raise
        except (OSError, ValueError, TypeError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return 0

    return run


def _model(path: str) -> Sequential:
    """Return the model of a file, which may be that inside of an estimator."""
    found = load(path)
    model: Sequential = getattr(found, "network_", found)
    return model


@_reported
def show(path: str) -> None:
    """Print the summary, the settings of the training and the last epochs of a model file."""
    model = _model(path)
    content = _files.read("show", path)
    print(f"{path}: {Path(path).stat().st_size} bytes, written by fastnn {content.version}")
    print(f"the checksum holds: {content.sha256}\n")
    print(f"{model.summary(print_fn=None)}\n")
    facts = list(_facts(model, content.config))
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        print(f"{name:{width}}  {value}")
    _print_history(model)


def _facts(model: Sequential, config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "dtype", model.dtype
    yield "seed", model.seed
    compiled = config["compiled"]
    if compiled is None:
        yield "compiled", "no"
        return
    yield "optimizer", model.optimizer
    yield "loss", model.loss
    names = [m if isinstance(m, str) else m["metric"] for m in compiled["metrics"]]
    if names:
        yield "metrics", ", ".join(names)
    for name, value in compiled["settings"].items():
        if value is not None:
            yield name, value
    yield "epochs", config["epochs"]
    if compiled["updates"] is None:
        yield "optimizer's state", "not in the file"
    else:
        yield "steps", config["step"]


def _print_history(model: Sequential) -> None:
    history = model.history
    if history is None or not history.epoch:
        return
    print(f"\nlast fit: {len(history.epoch)} epochs, {history.steps} steps")
    for number in range(max(0, len(history.epoch) - LAST), len(history.epoch)):
        figures = [f"{name} {curve[number]:.4g}" for name, curve in history.history.items()]
        print(f"epoch {history.epoch[number] + 1}  {'  '.join(figures)}")


@_reported
def export(path: str, target: str, outputs: Literal["predictions", "raw"]) -> None:
    """Write the model of a file as one of ONNX."""
    _expect_suffix("export", target, ".onnx")
    _model(path).to_onnx(target, outputs=outputs)


@_reported
def predict(path: str, rows: str, out: str | None, threads: int) -> None:
    """Write predictions of the rows of an .npy or CSV file, as .npy or CSV."""
    if out is not None:
        _expect_suffix("predict", out, ".npy", ".csv")
    model = _model(path)
    predictions = model.predict(_read(rows), n_threads=threads or None)
    if out is None:
        sys.stdout.write(_csv(predictions))
        return
    data = _npy(predictions) if out.endswith(".npy") else _csv(predictions).encode("ascii")
    with _files.replacing("predict", out) as file:
        file.write(data)


def _expect_suffix(command: str, target: str, *suffixes: str) -> None:
    """Refuse other names, of which one may be that of the model by mistake."""
    if Path(target).suffix not in suffixes:
        names = " or ".join(suffixes)
        raise ValueError(f"[{command}] {target!r}: expected a name that ends with {names}")


def _read(rows: str) -> Array:
    """Return the rows of a file. A first line of names in a CSV file is skipped."""
    reader, expected = _read_csv, "lines of numbers with commas, in UTF-8"
    if rows.endswith(".npy"):
        reader, expected = _read_npy, "an array of numbers, as of numpy.save"
    try:
        return reader(rows)
    except ValueError as error:
        raise ValueError(f"[predict] {rows}: {error}; expected {expected}") from None


def _read_npy(rows: str) -> Array:
    with Path(rows).open("rb") as file:  # numpy.load alone would take an archive or a pickle, too
        if file.read(6) != b"\x93NUMPY":
            raise ValueError("this is no file of the kind .npy")
        file.seek(0)
        array: Array = np.load(file, allow_pickle=False)
    return array


def _read_csv(rows: str) -> Array:
    lines = Path(rows).read_text(encoding="utf-8-sig").splitlines()
    if lines and not any(map(_is_finite, lines[0].split(","))):
        lines = lines[1:]
    if not any(line.strip() for line in lines):
        raise ValueError("it has no rows; a first line without any number is taken for names")
    return np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)


def _is_finite(field: str) -> bool:
    """Whether a field is a number. "nan" and "inf" may be names, and are refused as numbers."""
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def _npy(array: Array) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def _csv(array: Array) -> str:
    """Return lines of the shortest numbers that are read as the same ones."""
    table = array.reshape(len(array), math.prod(array.shape[1:]))
    return "".join(",".join(map(str, row)) + "\n" for row in table)
