# SPDX-License-Identifier: BSD-3-Clause
"""CSVLogger and LossWarning write what happened, also over a kill."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from fastnn import callbacks as cb
from fastnn import nn, optim


@pytest.fixture
def data(rng):
    return rng.standard_normal((40, 3)), rng.integers(0, 2, 40)


def compiled(metrics=("accuracy",)):
    model = nn.Sequential(nn.Linear(3, 2), seed=1)
    model.compile(optim.SGD(lr=0.05), "cross_entropy", metrics=list(metrics))
    return model


def table(path, separator=","):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter=separator))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_every_epoch_is_a_line(data, tmp_path, separator):
    path, sizes = tmp_path / "log.csv", []
    logger = cb.CSVLogger(path, separator)
    see = cb.LambdaCallback(on_epoch_end=lambda *_: sizes.append(len(table(path, separator))))
    history = compiled().fit(
        *data, epochs=6, initial_epoch=2, validation_split=0.25, callbacks=[logger, see]
    )
    header, *rows = table(path, separator)
    assert sizes == [2, 3, 4, 5]  # written at once
    assert header == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert [int(row[0]) for row in rows] == history.epoch
    for column, name in enumerate(header[1:], 1):
        assert [float(row[column]) for row in rows] == history.history[name]  # all digits
    assert b"\r" not in path.read_bytes()


def test_a_file_that_is_there_is_replaced_or_continued(data, tmp_path):
    path = tmp_path / "log.csv"
    first, second = cb.CSVLogger(path), cb.CSVLogger(str(path), append=True)
    model = compiled()
    model.fit(*data, epochs=2, callbacks=[first])
    text = path.read_text()
    model.fit(*data, epochs=2, callbacks=[second])
    assert path.read_text().startswith(text)
    assert [row[0] for row in table(path)] == ["epoch", "0", "1", "0", "1"]
    model.fit(*data, epochs=1, callbacks=[second])
    assert len(table(path)) == 6
    model.fit(*data, epochs=3, callbacks=[first])
    assert [row[0] for row in table(path)] == ["epoch", "0", "1", "2"]
    other = tmp_path / "new.csv"
    model.fit(*data, epochs=1, callbacks=cb.CSVLogger(other, append=True))
    assert len(table(other)) == 2


def test_a_line_that_was_cut_is_removed(data, tmp_path):
    path = tmp_path / "log.csv"
    append = cb.CSVLogger(path, append=True)
    for text, lines in (
        ("epoch,loss\n0,0.5\n1,0.2", 3),
        ("epoch,loss\n" + "0,0.5\n" * 2000 + "1,0", 2002),
        ("epoch,lo", 2),
        ("", 2),
        ("x" * 10_000, 2),
    ):
        path.write_text(text)
        compiled(()).fit(*data, callbacks=append)
        rows = table(path)
        assert len(rows) == lines
        assert rows[0] == ["epoch", "loss"]
        assert all(len(row) == 2 for row in rows)


def test_columns_are_those_of_the_first_epoch(data, tmp_path):
    class Adds(cb.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch != 1:
                logs["mine"] = epoch / 4
            if epoch == 2:
                logs["late"] = 1

    path = tmp_path / "log.csv"
    compiled(()).fit(*data, epochs=3, callbacks=[Adds(), cb.CSVLogger(path)])
    rows = table(path)
    assert rows[0] == ["epoch", "loss", "mine"]
    assert [row[2] for row in rows[1:]] == ["0.0", "NA", "0.5"]


def test_what_a_table_cannot_be(data, tmp_path):
    model, path = compiled(()), tmp_path / "log.csv"
    path.write_text("epoch,loss,val_loss\n0,1,1\n")
    with pytest.raises(
        ValueError, match=r"^\[CSVLogger\] .*log.csv has the columns epoch, loss, v"
    ):
        model.fit(*data, callbacks=cb.CSVLogger(path, append=True))
    model.fit(*data, validation_data=data, callbacks=cb.CSVLogger(path, append=True))
    with pytest.raises(FileNotFoundError, match=r"^\[CSVLogger\] there is no folder"):
        model.fit(*data, callbacks=cb.CSVLogger(tmp_path / "no" / "log.csv"))
    with pytest.raises(OSError, match="Is a directory"):
        model.fit(*data, callbacks=cb.CSVLogger(tmp_path))
    for separator in ("", ";;", "\n", '"', None):
        with pytest.raises(ValueError, match=r"^\[CSVLogger\] separator is"):
            cb.CSVLogger(path, separator)
    with pytest.raises(TypeError, match=r"^\[CSVLogger\] path is 3; expected the path of a file"):
        cb.CSVLogger(3)


class CutError(Exception):
    pass


def cut(epoch):
    def end(number, _):
        if number == epoch:
            raise CutError

    return cb.LambdaCallback(on_epoch_end=end)


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("text", [None, "epoch,loss\n7,0.5\n"])
def test_a_table_over_a_kill(data, tmp_path, append, text):
    """The file is that of a training that nobody cut, although epoch 3 was written twice."""
    found = []
    for name, cuts in (("whole", [None]), ("cut", [4, None])):
        path, backup = tmp_path / f"{name}.csv", tmp_path / "backup.npz"
        if text is not None:
            path.write_text(text)
        for at in cuts:
            more = [
                cb.CSVLogger(path, append=append),
                cb.BackupAndRestore(backup, every=3),
                cut(at),
            ]
            try:
                compiled(()).fit(*data, epochs=6, callbacks=more)
            except CutError:
                assert [row[0] for row in table(path)][-2:] == ["3", "4"]
        found.append(path.read_bytes())
    assert found[0] == found[1]
    assert found[0].count(b"\n") == 7 + (2 - 1 if append and text else 0)


def test_a_table_that_was_removed_before_going_on(data, tmp_path):
    path, backup = tmp_path / "log.csv", tmp_path / "backup.npz"

    def callbacks():
        return [cb.CSVLogger(path), cb.BackupAndRestore(backup)]

    with pytest.raises(CutError):
        compiled(()).fit(*data, epochs=6, callbacks=[*callbacks(), cut(3)])
    path.unlink()
    compiled(()).fit(*data, epochs=6, callbacks=callbacks())
    assert [row[0] for row in table(path)] == ["epoch", "3", "4", "5"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"columns": [1]}, r"columns in the state is \[1\]; expected names"),
        ({"columns": 3}, "columns in the state is 3; expected list or None"),
        ({"size": -1}, "size in the state is -1; expected at least 0"),
        ({"size": 1.5}, "size in the state is 1.5; expected int or None"),
    ],
)
def test_a_table_refuses_states_of_others(tmp_path, changed, message):
    logger = cb.CSVLogger(tmp_path / "log.csv")
    with pytest.raises(ValueError, match=rf"^\[CSVLogger\] {message}"):
        logger.load_state_dict({"columns": ["epoch"], "size": 0} | changed)


# --- LossWarning ----------------------------------------------------------------------------------


def test_the_text_of_the_course(data, capsys):
    """What the notebook prints with these losses and accuracies, to the character."""
    x, y = data
    noise = np.random.default_rng(2).permutation(y)
    model = compiled()
    model.compile(optim.SGD(lr=3.0), "cross_entropy", metrics=["accuracy"])
    report = cb.LossWarning()
    history = model.fit(x, noise, epochs=100, callbacks=[report])
    expected, last_loss, warned = "", None, []
    for epoch in range(0, 100, 10):
        loss = history.history["loss"][epoch]
        expected += f"\n========== Epoch {epoch} ==========\n"
        if last_loss and last_loss < loss:
            expected += f"Train loss:  {loss}   WARNING - Loss Increasing\n"
            warned.append(epoch)
        else:
            expected += f"Train loss:  {loss}\n"
        last_loss = loss
        expected += f"Accuracy:  {history.history['accuracy'][epoch]}\n"
    assert 0 < len(warned) < 9
    assert capsys.readouterr().out == expected
    assert report.epochs == warned


def test_the_figure_after_the_epoch(data, capsys):
    model = compiled()
    history = model.fit(
        *data,
        epochs=3,
        initial_epoch=1,
        validation_data=data,
        callbacks=cb.LossWarning(every=1, monitor="val_loss"),
    )
    out = capsys.readouterr().out
    for epoch, loss, accuracy in zip(
        (1, 2), history.history["val_loss"], history.history["val_accuracy"], strict=True
    ):
        block = f"== Epoch {epoch} ==========\nValidation loss:  {loss}\nAccuracy:  {accuracy}\n"
        assert block in out
    model.fit(*data, epochs=25, callbacks=cb.LossWarning(monitor="accuracy"))
    out = capsys.readouterr().out
    assert out.count("accuracy:  ") == out.count("==\n") == 13  # each second of 25
    with pytest.raises(ValueError, match=r"^\[LossWarning\] monitor is 'val_loss'; the logs have"):
        model.fit(*data, callbacks=cb.LossWarning(monitor="val_loss"))
    with pytest.raises(TypeError, match=r"^\[LossWarning\] monitor is 3; expected a name"):
        cb.LossWarning(monitor=3)
    with pytest.raises(ValueError, match=r"^\[LossWarning\] every is 0"):
        cb.LossWarning(every=0)


def test_a_report_over_a_kill(data, tmp_path, capsys):
    x, y = data
    noise = np.random.default_rng(2).permutation(y)

    def fit(*more):
        model = compiled()
        model.compile(optim.SGD(lr=3.0), "cross_entropy", metrics=["accuracy"])
        report = cb.LossWarning()
        try:
            backup = cb.BackupAndRestore(tmp_path / "backup.npz")
            model.fit(x, noise, epochs=40, callbacks=[report, backup, *more])
        except CutError:
            pass
        return report, capsys.readouterr().out

    whole, text = fit()
    assert whole.epochs
    _, begin = fit(cut(18))
    again, end = fit()
    assert begin + end == text
    assert again.epochs == whole.epochs
    with pytest.raises(ValueError, match=r"^\[LossWarning\] epochs in the state is \['a'\]"):
        again.load_state_dict({**whole.state_dict(), "epochs": ["a"]})
