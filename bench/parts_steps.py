# SPDX-License-Identifier: BSD-3-Clause
"""The steps that `bench.parts` measures: one part in a small network, in fastnn and in its peers.

Members come from the registries' rows. What PyTorch has for one is known from the twin's column
`torch` and from `Sequential.to_torch`; what JAX and optax have is found by its name. A step of
PyTorch is one of its eager mode, with the fused optimizer where there is one; bench/parts_jax.py
has JAX's.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import itertools
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.parts_jax import jax_steps
from bench.parts_metrics import figures, torch_sums

from fastnn import _core, callbacks, nn, optim, reference
from fastnn.metrics._chosen import BY_NAME
from fastnn.metrics._metric import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FIT_STEPS", "ROOMS", "Part", "Peers", "steps"]

RATE = 1e-4
FIT_STEPS = 64  # an epoch, where a part is measured in fit
Peers = dict[str, Any]  # modules by name: "torch", "jax", "optax"


@dataclass(frozen=True)
class Part:
    """A network with one part in it, and how it is trained.

    Parameters
    ----------
    activation, loss, optimizer : names of rows
    function : a loss of one's own in Python, in the place of `loss`
    hyper : of the optimizer
    inside : the layers behind each hidden activation, of so many columns
    before : makes the layers before the first Linear
    schedule : name of its class; None: a constant rate
    metrics : as for compile
    callback : makes a callback
    in_fit : measured as a fit of `FIT_STEPS` steps instead of a single step
    in_parts : the fit is a stream of parts of one batch each
    peers : whether other libraries have the part
    """

    activation: str = "relu"
    loss: str = "cross_entropy"
    optimizer: str = "sgd"
    function: Callable[[Any, Any], Any] | None = None
    hyper: tuple[tuple[str, Any], ...] = ()
    inside: Callable[[int], list[Any]] | None = None
    before: Callable[[], list[Any]] | None = None
    schedule: str | None = None
    metrics: tuple[str, ...] = ()
    callback: Callable[[], Any] | None = None
    in_fit: bool = False
    in_parts: bool = False
    peers: bool = True


def rows(room: str) -> dict[str, Any]:
    """Return the rows of a room by name; none if there is no such room."""
    return {row["name"]: row for row in _core.registries().get(room, [])}


def member(room: str, name: str, *args: Any, **hyper: Any) -> Any:
    """Return an object of the class of a row."""
    home = optim if room == "optimizers" else nn
    return getattr(home, rows(room)[name]["class_name"])(*args, **hyper)


# -- the parts of each room ------------------------------------------------------------------------


def _activations() -> Iterator[tuple[str, Part]]:
    for name in rows("activations"):
        yield name, Part(activation=name)


def _losses() -> Iterator[tuple[str, Part]]:
    for name in rows("losses"):
        yield name, Part(loss=name)
    yield "function in Python", Part(loss="mse", function=_squared, peers=False)


def _squared(out: Any, y: Any) -> Any:
    error = out - y
    return float(np.mean(error * error)), error * (2 / error.size)


def _optimizers() -> Iterator[tuple[str, Part]]:
    """Each optimizer, and with each parameter that makes it keep further arrays."""
    for name, row in rows("optimizers").items():
        yield name, Part(optimizer=name)
        twin = reference.OPTIMIZERS[name]
        for param in row["params"]:
            hyper = {param["name"]: param["tries"]}
            if param["tries"] is not None and twin.states(hyper) > twin.states({}):
                made = Part(optimizer=name, hyper=tuple(hyper.items()))
                yield f"{name} {param['name']}", made


def _layers() -> Iterator[tuple[str, Part]]:
    yield "none", Part()
    for name, row in rows("layers").items():
        sizes = [param["name"] for param in row["params"] if param["required"]]
        if name != "linear":
            made = partial(_of_width, name, sizes)
            yield name, Part(inside=made)
    for name in rows("containers"):
        yield f"{name} of a Linear", Part(inside=partial(_containing_linear, name))
    yield "rescale", Part(before=lambda: [nn.Rescale(0.5)])
    yield "standardize", Part(before=lambda: [nn.Standardize()])
    yield "flatten", Part(before=lambda: [nn.Flatten()])


def _of_width(name: str, sizes: list[str], width: int) -> list[Any]:
    return [member("layers", name, **dict.fromkeys(sizes, width))]


def _containing_linear(name: str, width: int) -> list[Any]:
    return [member("containers", name, nn.Linear(width, width))]


def _schedules() -> Iterator[tuple[str, Part]]:
    yield "constant", Part(in_fit=True)
    for row in rows("schedules").values():
        yield row["class_name"], Part(schedule=row["class_name"], in_fit=True)


def _metrics(loss: str) -> Iterator[tuple[str, Part]]:
    """Each metric that is defined for a loss, and all of them; those of sums cost something."""
    kind, names = Kind.of_loss(rows("losses")[loss], 10), []
    for name, cls in BY_NAME.items():
        if kind.task in cls.tasks and cls().sums():
            names.append(name)
    make = partial(Part, loss=loss, in_fit=True)
    yield "none", make()
    for name in names:
        yield name, make(metrics=(name,))
    yield "all of these", make(metrics=tuple(names))


def _callbacks() -> Iterator[tuple[str, Part]]:
    """Each callback, made of its defaults, a path and a monitor; a hook of each batch; a stream."""
    yield "none", Part(in_fit=True, peers=False)
    for name in callbacks.__all__:
        makes = partial(_callback, getattr(callbacks, name))
        yield name, Part(callback=makes, in_fit=True, peers=False)
    by_batch = partial(callbacks.ProgressBar, batches=True)
    yield "ProgressBar(batches=True)", Part(callback=by_batch, in_fit=True, peers=False)
    for hook in (name for name in dir(callbacks.Callback) if "batch_end" in name):
        yield f"a hook {hook}", Part(callback=partial(_with_hook, hook), in_fit=True, peers=False)
    yield "fit_stream, a part a batch", Part(in_fit=True, in_parts=True, peers=False)


def _callback(cls: Any) -> Any:
    given: dict[str, Any] = {}
    for param in inspect.signature(cls).parameters.values():
        if param.name == "path":
            suffix = ".csv" if "CSV" in cls.__name__ else ".npz"
            given["path"] = Path(tempfile.mkdtemp()) / f"file{suffix}"
        elif param.name == "monitor":
            given["monitor"] = "loss"
        elif param.default is param.empty and param.kind is param.POSITIONAL_OR_KEYWORD:
            given[param.name] = _schedule_of_ones if "schedule" in param.name else 1e6
    return cls(**given)


def _schedule_of_ones(_epoch: int, *_rate: float) -> float:
    return RATE


def _with_hook(hook: str) -> Any:
    return type("Hooked", (callbacks.Callback,), {hook: lambda *_: None})()


ROOMS: dict[str, Callable[[], Iterator[tuple[str, Part]]]] = {
    "activations": _activations,
    "losses": _losses,
    "optimizers": _optimizers,
    "layers": _layers,
    "schedules": _schedules,
    "metrics": partial(_metrics, "cross_entropy"),
    "metrics_of_numbers": partial(_metrics, "mse"),
    "callbacks": _callbacks,
}


# -- steps -----------------------------------------------------------------------------------------


def steps(
    part: Part, sizes: tuple[int, ...], batch: int, peers: Peers
) -> dict[str, Callable[[], object]]:
    """Return what is called in each library: one step, or with `in_fit` all of `FIT_STEPS`."""
    row = rows("losses")[part.loss]
    each = row["outputs_per_target"]
    columns = sizes[-1]
    rng = np.random.default_rng(1)
    n = batch * (FIT_STEPS if part.in_fit else 1)
    x = rng.standard_normal((n, sizes[0])).astype(np.float32)
    y = rng.uniform(0.05, 0.95, (n, columns)).astype(np.float32)
    if row["target"] == "class":
        y = rng.integers(0, columns, n)
    sizes = (*sizes[:-1], columns * each)
    model = nn.Sequential(*_network(part, sizes))
    for layer in model:
        if isinstance(layer, nn.Standardize):
            layer.adapt(x)
    found = {"fastnn": _fastnn(part, model, x, y, batch)}
    makers = {"torch": _torch, "jax": partial(jax_steps, rate=RATE)}
    for name, make in makers.items():
        if part.peers and name in peers:
            step = make(peers, part, model, x, y, batch)
            if step is not None:
                found[name] = step
    return found


def _network(part: Part, sizes: tuple[int, ...]) -> list[Any]:
    layers: list[Any] = part.before() if part.before else []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), member("activations", part.activation)]
        layers += part.inside(n_out) if part.inside else []
    last = next(n for n in reversed(range(len(layers))) if isinstance(layers[n], nn.Linear))
    if part.inside and "Linear" in repr(part.inside(sizes[-1])):
        last = len(layers) - 3
    layers = layers[: last + 1]
    ends = reference.LOSSES[part.loss].ends
    if rows("losses")[part.loss]["outputs"] == "0 to 1":
        ends = "sigmoid"
    return [*layers, member("activations", ends)] if ends else layers


def _fastnn(part: Part, model: nn.Sequential, x: Any, y: Any, batch: int) -> Callable[[], object]:
    rate: Any = RATE
    if part.schedule is not None:
        lr_scheduler: Any = optim.lr_scheduler  # type: ignore[attr-defined, unused-ignore]
        made = getattr(lr_scheduler, part.schedule)
        # Without the cycle of the momentum, which needs a velocity: the peers have none either.
        rate = made(cycle_momentum=False) if "cycle_momentum" in made().hyper() else made()
    optimizer = member("optimizers", part.optimizer, lr=rate, **dict(part.hyper))
    model.compile(optimizer, part.function or part.loss, list(part.metrics))
    if not part.in_fit:
        return partial(model.train_step, x, y, n_threads=1)
    if part.in_parts:
        parts = [(x[at : at + batch], y[at : at + batch]) for at in range(0, len(x), batch)]
        return partial(model.fit_stream, parts, 1, batch_size=batch, n_threads=1)
    return partial(_fit, model, part.callback, x, y, batch)


def _fit(model: nn.Sequential, makes: Any, x: Any, y: Any, batch: int) -> None:
    with contextlib.redirect_stdout(io.StringIO()):  # of a progress bar
        made = [makes()] if makes else None
        model.fit(x, y, batch, callbacks=made, shuffle=False, n_threads=1)


def _torch(
    peers: Peers, part: Part, model: nn.Sequential, x: Any, y: Any, batch: int
) -> Callable[[], object] | None:
    torch = peers["torch"]
    loss, rule = reference.LOSSES[part.loss], reference.OPTIMIZERS[part.optimizer]
    given, activation = dict(part.hyper), reference.ACTIVATIONS[part.activation]
    if None in (loss.torch, rule.torch, activation.torch) or set(given) & set(rule.torch.lacks):
        return None
    module = model.to_torch()
    module.train()
    measure = getattr(torch.nn, loss.torch.name or loss.class_name)(**loss.torch.options)
    cls = getattr(torch.optim, rule.torch.name or rule.class_name)
    given = {rule.torch.names.get(name, name): value for name, value in given.items()}
    parameters = list(module.parameters())
    try:
        optimizer = cls(parameters, lr=RATE, fused=True, **given)
    except (TypeError, RuntimeError):  # it has none
        optimizer = cls(parameters, lr=RATE, **given)
    schedule = None
    if part.schedule is not None:
        schedule = _torch_schedule(torch, part.schedule, optimizer)
        if schedule is None:
            return None
    x, y, call = torch.from_numpy(x), torch.from_numpy(y), loss.torch.call
    batches = list(zip(x.split(batch), y.split(batch), strict=True))
    sums = torch_sums(torch, part.metrics)

    def all_steps() -> None:
        totals: dict[str, Any] = {}
        for rows_of_x, rows_of_y in batches:
            optimizer.zero_grad()
            out = module(rows_of_x)
            (call(measure, out, rows_of_y) if call else measure(out, rows_of_y)).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if part.metrics:
                with torch.no_grad():
                    for name, value in sums(out, rows_of_y).items():
                        totals[name] = totals.get(name, 0) + value
        for figure in figures(part.metrics, totals, len(x)).values():
            for each in figure if isinstance(figure, tuple) else (figure,):
                each.tolist()

    return all_steps


def _torch_schedule(torch: Any, name: str, optimizer: Any) -> Any:
    """Return torch's schedule of that name with our defaults; lengths that are open are 10^9."""
    cls = getattr(torch.optim.lr_scheduler, name, None)
    if cls is None:
        return None
    lr_scheduler: Any = optim.lr_scheduler  # type: ignore[attr-defined, unused-ignore]
    ours = getattr(lr_scheduler, name)().hyper()
    given = {}
    for param in list(inspect.signature(cls).parameters.values())[1:]:
        value = ours.get(param.name)
        if value is None and param.name in ours:
            value = RATE if param.name.endswith("lr") else 10**9
        if value is not None:
            given[param.name] = list(value) if isinstance(value, tuple) else value
    given["cycle_momentum"] = False
    return cls(
        optimizer, **{k: v for k, v in given.items() if k in inspect.signature(cls).parameters}
    )
