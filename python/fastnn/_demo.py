# SPDX-License-Identifier: BSD-3-Clause
"""`python -m fastnn demo`: train on handwritten digits, with the engine and with the NumPy twin."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ._pair import OnEpoch, Pair, Run, curve_difference
from .datasets import load_digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["main"]

WIDTHS = (64, 128, 64, 10)
BATCH, EPOCHS = 32, 20
ACCURACY = 0.97
# The largest accepted difference of the loss curves. The two add numbers in different orders, and
# float32 rounds with a relative error of 6e-8. Where a rounding error decides on which side of a
# relu's kink a sum is, the difference grows in the further training.
AGREEMENT = 1e-3


def main(epochs: int = EPOCHS, n_threads: int = 0) -> int:
    """Run the demo.

    Returns
    -------
    int
        Exit status: 0 if the accuracy is reached and the loss curves agree, otherwise 1.
    """
    x, x_test, y, y_test = load_digits(split=True)
    pair = Pair(WIDTHS, "adam", {"lr": 1e-3}, scale=1 / 16, batch_norm=True)
    shape = "-".join(map(str, WIDTHS))
    print(f"{len(x)} handwritten digits of 8 x 8 pixels to learn from, {len(x_test)} held out")
    print(f"network {shape}, BatchNorm, relu, Adam, float32, {epochs} epochs, batches of {BATCH}\n")
    with Progress("fastnn", epochs) as on_epoch:
        ours = pair.fit_engine(
            x, y, batch_size=BATCH, epochs=epochs, n_threads=n_threads, on_epoch=on_epoch
        )
    with Progress("NumPy twin", epochs) as on_epoch:
        theirs = pair.fit_twin(x, y, batch_size=BATCH, epochs=epochs, on_epoch=on_epoch)
    right = _share_right(pair.engine.predict(x_test, False), y_test)
    right_twin = _share_right(pair.twin.predict(x_test, False), y_test)
    difference = curve_difference(ours.losses, theirs.losses)
    _report(ours, theirs, right, right_twin, difference)
    return _judge(right, difference)


def _share_right(scores: NDArray[Any], y: NDArray[Any]) -> float:
    return float(np.mean(np.argmax(scores, axis=1) == y))


def _report(ours: Run, theirs: Run, right: float, right_twin: float, difference: float) -> None:
    rows = [
        ("test accuracy", f"{right:.4f}", f"{right_twin:.4f}"),
        ("last loss", f"{ours.losses[-1]:.6f}", f"{theirs.losses[-1]:.6f}"),
        ("seconds", f"{ours.seconds:.3f}", f"{theirs.seconds:.3f}"),
        ("steps per second", *(f"{run.steps / run.seconds:,.0f}" for run in (ours, theirs))),
    ]
    print(f"\n{'':<18}{'fastnn':>12}{'NumPy twin':>12}")
    for name, mine, other in rows:
        print(f"{name:<18}{mine:>12}{other:>12}")
    speed = theirs.seconds / ours.seconds
    print(f"\n{speed:.1f} times faster than NumPy, with {ours.threads} thread(s)")
    print(f"largest difference of the two loss curves: {difference:.2g}")


def _judge(right: float, difference: float) -> int:
    failures = []
    if not right >= ACCURACY:
        failures.append(f"test accuracy {right:.4f} is below {ACCURACY}")
    if not difference <= AGREEMENT:
        failures.append(f"the loss curves differ by {difference:.2g}, more than {AGREEMENT:g}")
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


class Progress:
    """A line that shows the progress of a training: tqdm's if it is installed, else our own.

    In a terminal it is redrawn at most twenty times a second; otherwise only the last state is
    written.
    """

    def __init__(self, name: str, epochs: int) -> None:
        self.name, self.epochs = name, epochs
        self.drawn, self.done, self.loss = 0.0, 0, float("nan")
        self.bar: Any = None
        self.live = sys.stdout.isatty()

    def __enter__(self) -> OnEpoch:
        """Open the line and return the function to be called after each epoch."""
        if self.live:
            try:
                from tqdm import tqdm
            except ImportError:
                pass
            else:
                self.bar = tqdm(total=self.epochs, desc=f"{self.name:<11}", unit="epoch", ncols=80)
        return self._step

    def __exit__(self, *error: object) -> None:
        """Show the last state."""
        self._draw(last=True)

    def _step(self, epoch: int, logs: dict[str, float]) -> bool:
        self.done, self.loss = epoch + 1, logs["loss"]
        if self.live and perf_counter() - self.drawn > 0.05:
            self._draw()
        return True

    def _draw(self, *, last: bool = False) -> None:
        self.drawn = perf_counter()
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {self.loss:.4f}", refresh=False)
            self.bar.update(self.done - self.bar.n)
            if last:
                self.bar.close()
            return
        bar = "#" * round(30 * self.done / max(1, self.epochs))
        line = f"{self.name:<11} [{bar:<30}] epoch {self.done}/{self.epochs}  loss {self.loss:.4f}"
        start = "\r" if self.live else ""
        print(f"{start}{line}", end="\n" if last else "", flush=True)
