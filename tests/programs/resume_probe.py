# SPDX-License-Identifier: BSD-3-Clause
"""Kills trainings that have a backup, starts them again, and compares the files that they end in.

Run by test_resume.py as a program: ``resume_probe.py cases KILLS [COUNT]``, where COUNT is how many
of the cases are taken, or ``resume_probe.py callbacks [STEP]``, where STEP 3 means every third
epoch. A training is a forked child of this process, which itself never trains, and so has no
threads that a child would miss. The last line of the output is JSON: {"cases": ..., "kills": ...,
"resumed": ..., "wrong": [...]}, where `resumed` counts the kills that left a backup; after the
others the training began anew.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import callbacks, metrics, nn, optim
from members import hyper_cases, names, other_values, paired, row_of, sizes_of
from models import layer_of

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, FEATURES, WIDTH, CLASSES = 60, 6, 12, 3
BATCH, EPOCHS = 10, 12
rng = np.random.default_rng(17)
X = rng.standard_normal((ROWS, FEATURES))
Y = rng.integers(0, CLASSES, ROWS)
HELD_OUT = rng.standard_normal((20, FEATURES)), rng.integers(0, CLASSES, 20)
# Where fsync costs nothing: a kill, unlike a power cut, leaves what was written.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
KINDS = [".npz", ".safetensors"]


class Case(NamedTuple):
    """An optimizer, by its name, and what else the training has to remember."""

    optimizer: str
    feature: str


def layers_of(feature: str) -> list[Any]:
    """The layers in the middle of the network."""
    if feature in names("layers"):
        given = dict.fromkeys(sizes_of(feature), WIDTH) | paired(
            "layers", feature, other_values("layers", feature)
        )
        return [getattr(nn, row_of("layers", feature)["class_name"])(**given)]
    if feature in names("containers"):
        inside = nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Dropout(0.2)
        return [getattr(nn, row_of("containers", feature)["class_name"])(*inside)]
    return []


FEATURES_OF_TRAININGS = [
    *names("inputs"),
    *(name for name in names("layers") if name != "linear"),
    *names("containers"),
    "shuffling",
    "rows in their order",
    "groups",
    "frozen layers",
]


def cases() -> list[Case]:
    """Every optimizer with everything that a training may have to remember; SGD with the rest."""
    found = [Case(*pair) for pair in itertools.product(names("optimizers"), FEATURES_OF_TRAININGS)]
    return found + [
        Case("sgd", row) for row in [*names("schedules"), *names("averages"), "metrics"]
    ]


def model_of(case: Case) -> nn.Sequential:
    """A compiled model that has not trained."""
    model = nn.Sequential(
        *(layer_of(name, {}) for name in names("inputs") if name == case.feature),
        nn.Linear(FEATURES, WIDTH),
        *layers_of(case.feature),
        nn.Tanh(),
        nn.Linear(WIDTH, CLASSES),
        seed=3,
    )
    if case.feature == "frozen layers":
        model[0].freeze()
    hyper = paired("optimizers", case.optimizer, hyper_cases("optimizers", case.optimizer)[-1])
    groups = {"*.bias": {"lr": 0.01}} if case.feature == "groups" else {}
    settings: dict[str, Any] = {"metrics": ["accuracy"]}
    if case.feature in names("schedules"):
        schedule = row_of("schedules", case.feature)["class_name"]
        hyper["lr"] = getattr(optim.lr_scheduler, schedule)(0.1)
    elif case.feature in names("averages"):
        settings["average"] = case.feature
    elif case.feature == "metrics":
        settings["metrics"] += ["f1", "auc", metrics.TopK(2)]
    made = getattr(optim, row_of("optimizers", case.optimizer)["class_name"])
    model.compile(made(**hyper, param_groups=groups), "cross_entropy", **settings)
    return model


def train(case: Case, folder: Path, kind: str, pipe: int) -> None:
    """What a user's script does: make a model, fit it with a backup, save it.

    It also writes a byte into the pipe when the training begins, and one when it ends.
    """
    model = model_of(case)
    say = callbacks.LambdaCallback(
        on_train_begin=lambda: os.write(pipe, b"-"), on_train_end=lambda: os.write(pipe, b"-")
    )
    model.fit(
        X,
        Y,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=case.feature != "rows in their order",
        validation_data=HELD_OUT,
        callbacks=[callbacks.BackupAndRestore(folder / f"backup{kind}"), say],
        n_threads=1,
    )
    model.save(folder / f"model{kind}")


def fork(work: Callable[[], None]) -> int:
    """Let a child do the work; return its process id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        process = os.fork()
    if process == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return process


def ended(process: int) -> int:
    """Wait for a child; return its exit status, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Report:
    """Counts, and what was wrong."""

    def __init__(self) -> None:
        self.cases = self.kills = self.resumed = 0
        self.wrong: list[str] = []

    def check(self, where: str, got: Any, expected: Any) -> None:
        if got != expected:
            self.wrong.append(f"{where}: {got}; expected {expected}")


def run(case: Case, folder: Path, kind: str, seconds: float | None = None) -> tuple[int, float]:
    """Let a child train, and kill it so many seconds after its training began.

    Returns its exit status, and how long it trained.
    """
    reading, writing = os.pipe()
    process = fork(lambda: train(case, folder, kind, writing))
    os.close(writing)
    os.read(reading, 1)
    began = time.perf_counter()
    if seconds is None:
        os.read(reading, 1)
    else:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    trained = time.perf_counter() - began
    os.close(reading)
    return ended(process), trained


def kill_at_random(case: Case, kills: int, seed: int, report: Report) -> None:
    """Kill the training of a case `kills` times at random moments, each time from the start."""
    moments, kind = random.Random(seed), KINDS[seed % len(KINDS)]
    report.cases += 1
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        status, seconds = run(case, Path(name), kind)
        report.check(str(case), status, 0)
        expected = digest(Path(name) / f"model{kind}")
    left = kills
    for _ in range(10 * kills):
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            folder = Path(name)
            if run(case, folder, kind, moments.uniform(0, seconds))[0] != -signal.SIGKILL:
                continue  # this time it was faster, and had ended before
            left -= 1
            report.kills += 1
            report.resumed += (folder / f"backup{kind}").exists()
            where = f"{case}, kill {kills - left}"
            report.check(where, run(case, folder, kind)[0], 0)
            found = sorted(path.name for path in folder.iterdir())
            report.check(where, found, [f"model{kind}"])
            if found == [f"model{kind}"]:
                report.check(where, digest(folder / found[0]), expected)
        if left == 0:
            return
    report.wrong.append(f"{case}: {left} of {kills} kills came too late")


def stopping(folder: Path, kind: str, kill_at: tuple[str, int] | None) -> None:
    """Train with early stopping and checkpoints; die before or after the backup of an epoch."""

    def die(hook: str) -> Callable[..., None]:
        def maybe(epoch: int, *_: Any) -> None:
            if kill_at == (hook, epoch):
                os.kill(os.getpid(), signal.SIGKILL)

        return maybe

    model = model_of(Case("adam", "batch_norm1d"))
    model.lr = 0.1
    backup = callbacks.BackupAndRestore(folder / f"backup{kind}", every=2)
    rates = callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch: setattr(model, "lr", 0.1 / (1 + epoch))
    )
    stop = callbacks.EarlyStopping(patience=4)
    best, last = (
        callbacks.ModelCheckpoint(folder / f"best-{{epoch:02d}}{kind}", save_best_only=True),
        callbacks.ModelCheckpoint(folder / f"last-{{epoch}}-{{val_loss:.4f}}{kind}", keep=2),
    )
    dying = callbacks.LambdaCallback(
        on_epoch_begin=die("on_epoch_begin"), on_epoch_end=die("on_epoch_end")
    )
    history = model.fit(
        X,
        Y,
        batch_size=BATCH,
        epochs=40,
        validation_data=HELD_OUT,
        callbacks=[backup, rates, stop, best, last, dying],
        n_threads=1,
    )
    model.save(folder / f"model{kind}")
    said = [stop.best, stop.best_epoch, stop.stopped_epoch, best.best, len(history.epoch)]
    said += [[Path(file).name for file in each.files] for each in (best, last)]
    (folder / "said.json").write_text(json.dumps(said), encoding="utf-8")


def kill_in_callbacks(kind: str, step: int, report: Report) -> None:
    """Kill the training at the end of each epoch before its backup, and right after its backup."""

    def done(folder: str, moment: tuple[str, int] | None) -> tuple[int, dict[str, str]]:
        status = ended(fork(lambda: stopping(Path(folder), kind, moment)))
        return status, {path.name: digest(path) for path in Path(folder).iterdir()}

    report.cases += 1
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        expected = done(folder, None)
        said = json.loads((Path(folder) / "said.json").read_text(encoding="utf-8"))
    _, best_epoch, stopped_epoch, _, epochs, *files = said
    report.check(kind, (best_epoch + 4, epochs), (stopped_epoch, stopped_epoch + 1))
    report.check(f"{kind}, files", [len(files[0]) > 1, len(files[1])], [True, 2])
    for moment in itertools.product(("on_epoch_begin", "on_epoch_end"), range(0, epochs, step)):
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            status, left = done(folder, moment)
            report.check(f"{kind}, {moment}", status, -signal.SIGKILL)
            report.kills += 1
            report.resumed += f"backup{kind}" in left
            report.check(f"{kind}, {moment}, again", done(folder, None), expected)


def main(what: str, *numbers: str) -> None:
    report = Report()
    if what == "callbacks":
        for kind in KINDS:
            kill_in_callbacks(kind, *map(int, numbers or "1"), report)
    else:
        kills, count = (*map(int, numbers), len(cases()))[:2]
        for seed, case in enumerate(random.Random(0).sample(cases(), count)):
            kill_at_random(case, kills, seed, report)
    print(json.dumps(vars(report)))


if __name__ == "__main__":
    main(*sys.argv[1:])
