# SPDX-License-Identifier: BSD-3-Clause
"""Figures on real data by published recipes: `FASTNN_DATA=folder python -m bench.figures`.

Prints for each figure the value of every seed and the median beside the published value. `--only`
names some of them, `--seeds` says how many. Everything that is fitted to data (means, quantiles,
the number of epochs) is fitted to the training part; the test part is only evaluated.

- mnist: the notebook mnist_mlp_solution of Udacity's deep-learning-v2-pytorch: 784-512-512-10,
  dropout 0.2, SGD with rate 0.01, batches of 20, 50 epochs, pixels divided by 255, the model of the
  last epoch. It printed a test accuracy of 0.9841, of one run without a seed. Its batches are the
  rows in their order (mnist-in-order); mnist shuffles them in each epoch. The same in PyTorch,
  where it is installed, are mnist-torch and mnist-in-order-torch.
- california: the MLP of "Revisiting Deep Learning Models for Tabular Data" (Gorishniy et al. 2021,
  yandex-research/rtdl-revisiting-models): 8-510-263-363-1, dropout 0.197, AdamW, batches of 256,
  inputs mapped to normal quantiles, parts of 64, 16 and 20 %, until 16 epochs brought no gain. It
  has a test RMSE of 0.4985 +- 0.0030 in 100,000 USD.
- emotions, scene, yeast: the parts for training and test of Mulan. There is no published MLP for
  them: one hidden layer of 256 units with dropout 0.5, AdamW, until 16 epochs brought no gain on a
  fifth of the training rows. The figure is the Hamming loss, the share of wrong labels. Beside it
  stands that of always saying the more frequent answer.
"""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import os
import statistics
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from bench import mnist
from bench.turns import finish, parser, say, table

from fastnn import callbacks, nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PATIENCE = 16
LABELS = {"emotions": 6, "scene": 6, "yeast": 14}


class Figure(NamedTuple):
    """A figure: what it is called, how it is computed, and what it is compared with."""

    what: str
    of_seed: Callable[[int], float]
    published: str
    aim: str = ""
    is_reached: Callable[[float], bool] | None = None


def folder() -> Path:
    """Return the folder of the data sets."""
    found = os.environ.get("FASTNN_DATA")
    if not found:
        raise SystemExit("FASTNN_DATA is not set: the folder that has mnist/ and the others")
    return Path(found)


def until_no_gain(model: nn.Sequential, train: Any, held_out: Any, batch: int) -> None:
    """Train until the loss of the held-out rows has not become smaller for `PATIENCE` epochs."""
    stop = callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    model.fit(*train, batch_size=batch, epochs=1000, validation_data=held_out, callbacks=[stop])


# -- MNIST -----------------------------------------------------------------------------------------


def udacity(seed: int, shuffle: bool) -> float:
    """Return the test accuracy after the notebook's 50 epochs."""
    (x, y), test = mnist.load("train"), mnist.load("t10k")
    model = nn.Sequential(
        nn.Rescale(1 / 255),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(512, 10),
        seed=seed,
    )
    model.compile(optim.SGD(lr=0.01), "cross_entropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=20, epochs=50, shuffle=shuffle)
    return float(model.evaluate(*test)["accuracy"])


def udacity_in_torch(seed: int, shuffle: bool) -> float:
    """Return the same of PyTorch, on one thread, with its own initial values and masks."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    (x, y), (test_x, test_y) = (
        (torch.from_numpy(x.astype("f4") / 255), torch.from_numpy(y.astype("i8")))
        for x, y in (mnist.load("train"), mnist.load("t10k"))
    )
    layers = torch.nn
    model = layers.Sequential(
        layers.Linear(784, 512),
        layers.ReLU(),
        layers.Dropout(0.2),
        layers.Linear(512, 512),
        layers.ReLU(),
        layers.Dropout(0.2),
        layers.Linear(512, 10),
    )
    rule = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(50):
        order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
        for rows in order.split(20):
            rule.zero_grad()
            layers.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            rule.step()
    model.eval()
    with torch.no_grad():
        return float((model(test_x).argmax(1) == test_y).float().mean())


# -- California housing ----------------------------------------------------------------------------


def quantiles(train: NDArray[Any], rng: np.random.Generator) -> Callable[[Any], NDArray[Any]]:
    """Return the map of each column to normal quantiles of the training rows.

    The quantiles are those of the columns with a little noise, as in the recipe, so that values
    which occur often do not become steps.
    """
    count = max(min(len(train) // 30, 1000), 10)
    noisy = train + 1e-3 * train.std(0) * rng.standard_normal(train.shape)
    places = np.linspace(0, 1, count)
    knots = np.quantile(noisy, places, axis=0)
    normal = np.vectorize(statistics.NormalDist().inv_cdf)

    def mapped(x: NDArray[Any]) -> NDArray[Any]:
        columns = [np.interp(x[:, k], knots[:, k], places) for k in range(x.shape[1])]
        found: NDArray[Any] = normal(np.clip(np.stack(columns, 1), 1e-7, 1 - 1e-7))
        return found.astype(np.float32)

    return mapped


def california_rows() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return x (n, 8), as in scikit-learn's data set of this name, and y (n,) in 100,000 USD."""
    path = folder() / "california-housing" / "cal_housing.data.gz"
    lo, la, age, rooms, bed, pop, households, income, value = np.loadtxt(path, delimiter=",").T
    x = np.stack(
        [income, age, rooms / households, bed / households, pop, pop / households, la, lo], 1
    )
    return x, value / 1e5


def california_parts(seed: int) -> tuple[list[Any], float]:
    """Return (x, y) for training, validation and test, and the standard deviation of y."""
    x, y = california_rows()
    y = y[:, None]
    rng = np.random.default_rng(seed)
    order, n = rng.permutation(len(x)), len(x)
    parts = np.split(order, [n * 64 // 100, n * 80 // 100])
    mapped = quantiles(x[parts[0]], rng)
    mean, std = y[parts[0]].mean(), y[parts[0]].std()
    scaled = ((y - mean) / std).astype(np.float32)
    return [(mapped(x[part]), scaled[part]) for part in parts], float(std)


def california(seed: int) -> float:
    """Return the RMSE on the test part in 100,000 USD."""
    (train, held_out, test), std = california_parts(seed)
    sizes = (8, 510, 263, 363)
    layers: list[Any] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(0.197)]
    model = nn.Sequential(*layers, nn.Linear(sizes[-1], 1), seed=seed)
    model.compile(optim.AdamW(lr=1.304e-3, weight_decay=1.517e-4), "mse")
    until_no_gain(model, train, held_out, 256)
    return float(np.sqrt(np.mean((model.predict(test[0]) - test[1]) ** 2)) * std)


# -- several labels a row --------------------------------------------------------------------------


def arff(name: str, part: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return inputs and labels (0 or 1, the last columns) of one part of a data set of Mulan."""
    path = folder() / "multilabel" / f"{name}-{part}.arff.gz"
    with gzip.open(path, "rt", encoding="latin1") as file:
        lines = file.read().lower().split("@data")[1].splitlines()
    rows = np.array([line.split(",") for line in lines if line.strip()], np.float32)
    return rows[:, : -LABELS[name]], rows[:, -LABELS[name] :]


def hamming(name: str, seed: int) -> float:
    """Return the share of wrong labels in the test part."""
    (x, y), test = arff(name, "train"), arff(name, "test")
    order = np.random.default_rng(seed).permutation(len(x))
    held_out, train = np.split(order, [len(x) // 5])
    mean, std = x[train].mean(0), x[train].std(0)
    std[std == 0] = 1
    model = nn.Sequential(
        nn.Rescale(1 / std, -mean / std),
        nn.Linear(x.shape[1], 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, y.shape[1]),
        seed=seed,
    )
    model.compile(optim.AdamW(lr=1e-3, weight_decay=1e-2), "bce_with_logits")
    until_no_gain(model, (x[train], y[train]), (x[held_out], y[held_out]), 32)
    return float(np.mean((model.predict(test[0]) > 0.5) != (test[1] > 0.5)))


def frequent(name: str) -> float:
    """Return the share of wrong labels of the more frequent answers."""
    often = arff(name, "train")[1].mean(0) > 0.5
    return float(np.mean(often != (arff(name, "test")[1] > 0.5)))


def figures() -> dict[str, Figure]:
    """Return all figures by name."""
    libraries = {"": udacity}
    if importlib.util.find_spec("torch"):
        libraries["-torch"] = udacity_in_torch
    found = {}
    for (order, shuffle), (library, train) in itertools.product(
        (("", True), ("-in-order", False)), libraries.items()
    ):
        what = (
            f"MNIST, test accuracy{', rows in order' * (not shuffle)}{', PyTorch' * bool(library)}"
        )
        found[f"mnist{order}{library}"] = Figure(
            what,
            partial(train, shuffle=shuffle),
            "0.9841",
            *(() if library else (">= 0.984", lambda value: value >= 0.984)),
        )
    found |= {
        "california": Figure(
            "California housing, test RMSE",
            california,
            "0.4985 +- 0.0030",
            "<= 0.51",
            lambda value: value <= 0.51,
        ),
    }
    for name in LABELS:
        of_seed = lambda seed, name=name: hamming(name, seed)  # noqa: E731
        base = lambda value, name=name: value < frequent(name)  # noqa: E731
        found[name] = Figure(f"{name}, Hamming loss", of_seed, "", "better than frequent", base)
    return found


def main() -> int:
    """Train, print the table, and return 1 if a median misses its aim."""
    known = figures()
    made = parser(__doc__, rounds=1)
    made.add_argument("--only", nargs="*", choices=list(known), default=list(known))
    made.add_argument("--seeds", type=int, default=5, help="how many (5)")
    made.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (0)")
    options = made.parse_args()
    lines, record, missed = [], {}, 0
    for name in options.only:
        figure, values = known[name], []
        for seed in range(options.first, options.first + options.seeds):
            start = perf_counter()
            values.append(figure.of_seed(seed))
            say(f"{name}, seed {seed}: {values[-1]:.4f}, {perf_counter() - start:.0f} s")
        median = statistics.median(values)
        reached = figure.is_reached is None or figure.is_reached(median)
        missed += not reached
        record[name] = values
        published = figure.published or f"{frequent(name):.4f} (frequent)"
        every = " ".join(f"{value:.4f}" for value in values)
        verdict = figure.aim if reached else f"{figure.aim}: missed"
        lines.append([figure.what, f"{median:.4f}", published, verdict, every])
    print(table(["", "median", "published", "aim", "of the seeds"], lines))
    finish(options.json, figures=record)
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
