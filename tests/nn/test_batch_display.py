# SPDX-License-Identifier: BSD-3-Clause
"""ProgressBar(batches=True) shows the batches of each epoch; without it no batch calls Python."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np
import pytest

from fastnn import callbacks, nn, optim
from fastnn.callbacks import _progress
from streams import cut, given, model, state


@pytest.fixture
def _every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a line be due after every batch."""
    monkeypatch.setattr(_progress, "_SECONDS", -1.0)


@pytest.mark.usefixtures("_every_batch")
def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    x, y, _ = given()
    made, twin = model(), model()
    made.fit(x, y, 20, 2, callbacks=callbacks.ProgressBar(bar=False, batches=True))
    twin.fit(x, y, 20, 2)
    assert state(made) == state(twin)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * (3 + 1)
    for epoch in (0, 1):
        own = lines[4 * epoch : 4 * epoch + 4]
        for k, line in enumerate(own[:3]):
            head = rf"epoch {epoch + 1}/2  batch {k + 1}/3"
            assert re.fullmatch(rf"{head}  loss [\d.e-]+  \d+\.\d\d s", line)
        loss = f"{made.history.history['loss'][epoch]:.4g}"
        assert re.fullmatch(rf"epoch {epoch + 1}/2  loss {loss}  \d+\.\d\d s", own[3])


def test_lines_are_seconds_apart(capsys: pytest.CaptureFixture[str]) -> None:
    x, y, _ = given()
    model().fit(x, y, 1000, callbacks=callbacks.ProgressBar(bar=False, batches=True))
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.usefixtures("_every_batch")
def test_lines_of_a_stream_know_the_number_of_batches_after_an_epoch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An epoch that has more than the one before shows none."""
    lengths = iter([24, 24, 40, 16])
    epochs = lambda: iter(cut(given(), [8] * (next(lengths) // 8)))  # noqa: E731
    shown = callbacks.ProgressBar(bar=False, batches=True)
    model().fit_stream(epochs, 4, 8, callbacks=shown)
    out = capsys.readouterr().out
    found = re.findall(r"batch (\S+) ", out)
    first, second = ["1", "2", "3"], ["1/3", "2/3", "3/3"]
    third, fourth = ["1/3", "2/3", "3/3", "4", "5"], ["1/5", "2/5"]
    assert found == first + second + third + fourth


class Bar:
    """Stands for tqdm: every second update is shown."""

    made: ClassVar[list[Bar]] = []

    def __init__(self, **given: Any) -> None:
        self.given, self.n, self.postfix, self.closed = given, 0, [], False
        self.made.append(self)

    def update(self) -> bool:
        self.n += 1
        return self.n % 2 == 0

    def set_postfix(self, figures: Any, *, refresh: bool) -> None:
        assert not refresh
        self.postfix.append(figures)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    def opened(_: Any, **given: Any) -> Bar:
        return Bar(**given)

    monkeypatch.setattr(_progress, "_open_bar", opened)
    monkeypatch.setattr(Bar, "made", [])
    return Bar.made


def test_a_bar_for_each_epoch(bars: list[Bar]) -> None:
    x, y, _ = given()
    made = model(metrics=["accuracy"])
    made.fit(x, y, 10, 3, initial_epoch=1, callbacks=callbacks.ProgressBar(batches=True))
    assert [bar.given for bar in bars] == [
        {"total": 6, "desc": f"epoch {epoch}/3", "unit": "batch"} for epoch in (2, 3)
    ]
    for epoch, bar in enumerate(bars):
        assert (bar.n, bar.closed) == (6, True)
        assert [list(figures) for figures in bar.postfix] == [["loss"]] * 3 + [["loss", "accuracy"]]
        assert bar.postfix[-1]["loss"] == f"{made.history.history['loss'][epoch]:.4g}"


def test_bars_of_a_stream(bars: list[Bar]) -> None:
    parts = cut(given(), [20, 33])
    model().fit_stream(lambda: parts, 2, 8, callbacks=callbacks.ProgressBar(batches=True))
    assert [bar.given["total"] for bar in bars] == [None, 7]


def test_the_bar_of_an_epoch_that_raised_is_closed(bars: list[Bar]) -> None:
    x, y, _ = given()
    x[50] = np.nan
    with pytest.raises(ValueError, match="X has nan"):
        model().fit(x, y, 8, shuffle=False, callbacks=callbacks.ProgressBar(batches=True))
    assert [(bar.n, bar.closed) for bar in bars] == [(6, True)]


def test_a_bar_of_tqdm(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    x, y, _ = given()
    model().fit(x, y, 10, 2, callbacks=callbacks.ProgressBar(batches=True))
    out = capsys.readouterr().out
    assert "epoch 1/2: 100%" in out
    assert "epoch 2/2: 100%" in out
    assert "6/6" in out
    assert "loss=" in out


@pytest.mark.parametrize("shown", [{"verbose": 1}, {"verbose": 2}, {"callbacks": []}])
def test_who_does_not_ask_for_batches_pays_nothing(
    shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core is not even asked to call back between batches."""
    made = nn.Sequential(nn.Linear(6, 3))
    made.compile(optim.SGD(lr=0.1), "cross_entropy")
    seen = []

    def fit(**arguments: Any) -> Any:
        seen.append(arguments["on_batch"])
        return {"loss": [0.0], "steps": 1, "seconds": 0.0, "threads_used": 1}

    class Network:
        def __getattr__(self, name: str) -> Any:
            return fit if name == "fit" else getattr(network, name)

    network, tree = made._tree.network, made._tree
    monkeypatch.setattr(type(tree), "need_network", lambda *_: Network())
    x, y, _ = given()
    made.fit(x, y, **shown)
    made.fit(x, y, callbacks=callbacks.ProgressBar(batches=True))
    assert seen[0] is None
    assert callable(seen[1])
