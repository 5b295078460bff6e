# SPDX-License-Identifier: BSD-3-Clause
"""BackupAndRestore inside one process: what it goes on with, and which backups it refuses.

Trainings that are killed are in tests/process/test_resume.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import ModelFileError, nn, optim
from fastnn import callbacks as cb
from fastnn.callbacks._states import packed, unpacked


@pytest.fixture
def data(rng):
    return rng.standard_normal((40, 3)), rng.integers(0, 2, 40)


class CutError(Exception):
    pass


def cut_before(epoch: int) -> cb.Callback:
    def begin(number: int) -> None:
        if number == epoch:
            raise CutError

    return cb.LambdaCallback(on_epoch_begin=begin)


def compiled(*, width: int = 8, seed: int = 0, p: float = 0.2, dtype: str = "float32", **more: Any):
    model = nn.Sequential(
        nn.Rescale(2.0),
        nn.Linear(3, width),
        nn.BatchNorm1d(width),
        nn.Dropout(p),
        nn.Linear(width, 2),
        seed=seed,
        dtype=dtype,
    )
    model.compile(more.pop("optimizer", optim.Adam(lr=0.05)), "cross_entropy", ["accuracy"], **more)
    return model


def fit(model, data, path, *callbacks, every=1, delete=True, epochs=6, **more):
    backup = cb.BackupAndRestore(path, every, delete=delete)
    given = {"batch_size": 8, "validation_split": 0.25} | more
    return model.fit(*data, epochs=epochs, callbacks=[backup, *callbacks], **given)


def interrupted(data, path, *callbacks, at=3, **more):
    model = compiled()
    with pytest.raises(CutError):
        fit(model, data, path, *callbacks, cut_before(at), **more)
    assert Path(path).exists()
    return model


def saved(model, folder: Path) -> bytes:
    model.save(folder / "saved.npz")
    content = (folder / "saved.npz").read_bytes()
    (folder / "saved.npz").unlink()
    return content


def test_it_goes_on_where_it_was(data, tmp_path):
    model = compiled()
    whole = fit(model, data, tmp_path / "other.npz")
    path = tmp_path / "backup.npz"
    interrupted(data, path)
    epochs, params = [], []
    again = compiled()
    say = cb.LambdaCallback(
        on_epoch_begin=epochs.append, on_train_begin=lambda: params.append(say.params)
    )
    history = fit(again, data, path, say)
    assert epochs == [3, 4, 5]
    assert params[0]["initial_epoch"] == 3
    assert history is again.history
    for name in ("history", "epoch", "params", "steps"):
        assert getattr(history, name) == getattr(whole, name)
    assert saved(again, tmp_path) == saved(model, tmp_path)
    assert list(tmp_path.iterdir()) == []  # removed at the end


def test_in_the_same_process_with_the_same_model(data, tmp_path):
    """As after Ctrl-C in a notebook, even in the middle of an epoch."""
    model = compiled()
    fit(model, data, tmp_path / "other.npz")
    again = interrupted(data, tmp_path / "backup.npz")
    again.train_step(*data)
    fit(again, data, tmp_path / "backup.npz")
    assert saved(again, tmp_path) == saved(model, tmp_path)


@pytest.mark.parametrize(("every", "first"), [(1, 5), (2, 4), (3, 3), (6, None)])
def test_every_so_many_epochs(data, tmp_path, every, first):
    model = compiled()
    fit(model, data, tmp_path / "other.npz", epochs=8)
    path, again, epochs = tmp_path / "backup.npz", compiled(), []
    with pytest.raises(CutError):
        fit(compiled(), data, path, cut_before(5), every=every, epochs=8)
    assert path.exists() == (first is not None)
    fit(again, data, path, cb.LambdaCallback(on_epoch_begin=epochs.append), every=every, epochs=8)
    assert epochs[0] == (first or 0)
    assert saved(again, tmp_path) == saved(model, tmp_path)


def test_more_epochs_than_before(data, tmp_path):
    model = compiled()
    fit(model, data, tmp_path / "other.npz", epochs=9)
    interrupted(data, tmp_path / "backup.npz")
    again = compiled()
    fit(again, data, tmp_path / "backup.npz", epochs=9)
    assert saved(again, tmp_path) == saved(model, tmp_path)


def test_fewer_epochs_than_are_done(data, tmp_path):
    interrupted(data, tmp_path / "backup.npz")
    with pytest.raises(ValueError, match="epochs is 2, but 3 are done"):
        fit(compiled(), data, tmp_path / "backup.npz", epochs=2)


def test_a_second_fit_of_a_script(data, tmp_path):
    """The model has trained before; the backup knows the positions of its random streams."""

    def script(cut: list[Any]):
        model = compiled()
        fit(model, data, tmp_path / "first.npz", epochs=2)
        fit(model, data, tmp_path / "second.npz", *cut)
        return model

    whole = saved(script([]), tmp_path)
    with pytest.raises(CutError):
        script([cut_before(4)])
    assert [path.name for path in tmp_path.iterdir()] == ["second.npz"]
    assert saved(script([]), tmp_path) == whole


def test_settings_that_callbacks_have_changed(data, tmp_path):
    """The learning rate and settings of layers are those of the end of the last epoch."""

    def change(model):
        def begin(epoch):
            if epoch < 3:
                model.lr = 0.05 / (1 + epoch)
                model[3].p = 0.2 + 0.1 * epoch

        return cb.LambdaCallback(on_epoch_begin=begin)

    model = compiled()
    fit(model, data, tmp_path / "other.npz", change(model))
    first = compiled()
    with pytest.raises(CutError):
        fit(first, data, tmp_path / "backup.npz", change(first), cut_before(4))
    again = compiled()
    fit(again, data, tmp_path / "backup.npz", change(again))
    assert (again.lr, again[3].p) == (0.05 / 3, 0.4)
    assert saved(again, tmp_path) == saved(model, tmp_path)


def test_a_stop_is_remembered(data, tmp_path):
    """Killed between the epoch that stopped the training and its end."""
    stop = cb.LambdaCallback(
        on_epoch_end=lambda epoch, _: setattr(stop.model, "stop_training", epoch == 2)
    )
    model = compiled()
    fit(model, data, tmp_path / "other.npz", stop)

    class Die(cb.Callback):
        def on_train_end(self):
            raise CutError

    with pytest.raises(CutError):
        fit(compiled(), data, tmp_path / "backup.npz", stop, Die())
    again = compiled()
    assert fit(again, data, tmp_path / "backup.npz").epoch == [0, 1, 2]
    assert saved(again, tmp_path) == saved(model, tmp_path)


class Noting(cb.Callback):
    """Remembers values of all kinds that a state may have."""

    def __init__(self):
        self.notes: dict[str, Any] = {}

    def on_train_begin(self):
        self.notes = {"epochs": [], "none": None, "nested": {"flag": True, "dict": {}}}

    def on_epoch_end(self, epoch, logs):
        self.notes["epochs"].append([epoch, dict(logs), "text"])
        self.notes["array"] = np.full((2, epoch + 1), epoch, np.int8)
        self.notes["odd"] = [float("inf"), -float("inf"), np.float32(0.1), np.bool_(True)]

    def state_dict(self):
        return self.notes

    def load_state_dict(self, state):
        self.notes = dict(state)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_states_of_callbacks(data, tmp_path, kind):
    whole, notes, again = Noting(), Noting(), Noting()
    fit(compiled(), data, tmp_path / f"other.{kind}", whole)
    interrupted(data, tmp_path / f"backup.{kind}", notes)
    fit(compiled(), data, tmp_path / f"backup.{kind}", again)
    assert str(again.notes) == str(whole.notes)
    assert again.notes["array"].dtype == np.int8


def test_values_of_states_come_back():
    arrays: dict[str, np.ndarray] = {}
    value = {
        "a": [1, 2.5, "x", None, True, {"array": "callbacks.0"}, {"float": "inf"}, {}],
        "float": {"float": float("nan"), "dict": {"array": np.arange(3)}},
    }
    found = unpacked("here", packed("here", value, "callbacks.", arrays), arrays)
    assert str(found) == str(value)
    for wrong in (object(), {1: 2}, np.array(["a"]), 1j, {"a": (1, {2})}, np.ones(2, complex)):
        with pytest.raises(TypeError, match=r"^\[here\] the state has .*; expected None, bool"):
            packed("here", wrong, "", {})
    for wrong in ({"array": "b"}, {"float": 1}, {"dict": 3}, {"a": 1}, {}, {"array": [1]}):
        with pytest.raises(ValueError, match=r"^\[here\] a state of a callback has "):
            unpacked("here", wrong, {"a": np.ones(2)})


def test_a_state_that_cannot_be_stored(data, tmp_path):
    class Bad(Noting):
        def state_dict(self):
            return {"model": self.model}

    with pytest.raises(TypeError, match=r"^\[BackupAndRestore: Bad\] the state has "):
        fit(compiled(), data, tmp_path / "backup.npz", Bad())


def test_the_model_in_a_backup(data, tmp_path):
    model = interrupted(data, tmp_path / "backup.npz")
    loaded = fastnn.load(tmp_path / "backup.npz")
    assert saved(loaded, tmp_path) == saved(model, tmp_path)


OTHERS = {
    "width": ({"width": 9}, r"the model's layers\[1\]'s out_features is 9; in the backup 8"),
    "seed": ({"seed": 1}, "the model's seed is 1; in the backup 0"),
    "dtype": ({"dtype": "float64"}, "the model's dtype is 'float64'; in the backup 'float32'"),
    "p": ({"p": 0.3}, r"the model's layers\[3\]'s p is 0.3; in the backup 0.2"),
    "lr": ({"optimizer": optim.Adam(lr=0.1)}, "optimizer's lr is 0.1; in the backup 0.05"),
    "optimizer": ({"optimizer": "sgd"}, "optimizer's optimizer is 'sgd'; in the backup 'adam'"),
    "clipping": ({"max_grad_norm": 1.0}, "max_grad_norm is 1.0; in the backup None"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_backup_of_another_model(data, tmp_path, other):
    settings, message = OTHERS[other]
    path = tmp_path / "backup.npz"
    interrupted(data, path)
    content, model = path.read_bytes(), compiled(**settings)
    before = saved(model, tmp_path)
    words = rf"^\[BackupAndRestore: .*\] this is the backup of another model: .*{message}"
    with pytest.raises(ValueError, match=words):
        fit(model, data, path)
    assert saved(model, tmp_path) == before
    assert path.read_bytes() == content


def test_a_backup_of_a_model_with_another_past(data, tmp_path):
    interrupted(data, tmp_path / "backup.npz")
    frozen, trained = compiled(), compiled()
    frozen[1].freeze()
    trained.fit(*data)
    cases = {"frozen are 1; in the": frozen, "epochs is 1; in the backup 0": trained}
    for message, model in cases.items():
        with pytest.raises(ValueError, match=f"another model: the model's {message}"):
            fit(model, data, tmp_path / "backup.npz")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"batch_size": 10}, "fit's batch_size is 10; in the backup 8"),
        ({"shuffle": False}, "fit's shuffle is False; in the backup True"),
        ({"drop_last": True}, "fit's drop_last is True; in the backup False"),
        ({"initial_epoch": 1}, "fit's initial_epoch is 1; in the backup 0"),
        ({"validation_split": 0.5}, "fit's rows is 20; in the backup 30"),
    ],
)
def test_a_backup_of_another_fit(data, tmp_path, more, message):
    interrupted(data, tmp_path / "backup.npz")
    with pytest.raises(ValueError, match=f"the backup of another training: {message}"):
        fit(compiled(), data, tmp_path / "backup.npz", **more)


def test_a_backup_with_other_callbacks(data, tmp_path):
    interrupted(data, tmp_path / "backup.npz", cb.EarlyStopping(patience=9))
    with pytest.raises(ValueError, match="callbacks that have a state: here none; there Early"):
        fit(compiled(), data, tmp_path / "backup.npz")
    other = cb.EarlyStopping("loss", patience=9)
    with pytest.raises(ValueError, match="monitor is 'loss'; the state is of 'val_loss'"):
        fit(compiled(), data, tmp_path / "backup.npz", other)


def test_a_backup_of_a_training_that_has_ended(data, tmp_path):
    path, model = tmp_path / "backup.npz", compiled()
    fit(model, data, path, cb.EarlyStopping(), delete=False)
    assert saved(fastnn.load(path), tmp_path) == saved(model, tmp_path)  # with the best weights
    with pytest.raises(ValueError, match=r"of a training that has ended after . epochs; .*remove"):
        fit(compiled(), data, path, cb.EarlyStopping(), delete=False)


def test_files_that_are_no_backups(data, tmp_path):
    path = tmp_path / "backup.npz"
    compiled().save(path)
    with pytest.raises(ModelFileError, match="the file has a model, but is no backup of a train"):
        fit(compiled(), data, path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ModelFileError):
        fit(compiled(), data, path)
    assert path.read_bytes() == b"nonsense"


def test_what_is_refused_before_the_first_epoch(data, tmp_path):
    epochs = []
    say = cb.LambdaCallback(on_epoch_begin=epochs.append)
    with pytest.raises(FileNotFoundError, match=r"\[BackupAndRestore\] there is no folder '.*no'"):
        fit(compiled(), data, tmp_path / "no" / "backup.npz", say)
    backup = cb.BackupAndRestore(tmp_path / "b.npz")
    with pytest.raises(ValueError, match="callbacks has 2 of BackupAndRestore"):
        compiled().fit(*data, callbacks=[backup, backup])

    class Mine(nn.MSELoss):
        pass

    model = nn.Sequential(nn.Linear(3, 1))
    model.compile("sgd", Mine())
    with pytest.raises(TypeError, match="loss is of the class Mine"):
        model.fit(*data, callbacks=[cb.BackupAndRestore(tmp_path / "b.npz"), say])
    assert epochs == []


def test_altered_histories_are_refused(data, tmp_path):
    from fastnn import _files

    path = tmp_path / "backup.npz"
    interrupted(data, path)
    content = _files.read("here", path)

    def refused(message: str, **changed: Any) -> None:
        _files.write("here", path, content.config | changed, content.arrays)
        with pytest.raises(ModelFileError, match=message):
            fit(compiled(), data, path)

    history = content.config["history"]
    curves = history["history"]
    refused("the history is ", history=history | {"epoch": [0, 1]})
    refused("the history is ", history=history | {"epoch": [1, 2, 3]})
    refused("the history is ", history=history | {"history": curves | {"loss": [0.5]}})
    refused("the history is ", epochs=2)
    training = content.config["training"]
    refused("training.ended is 1; expected bool", training=training | {"ended": 1})
    refused("training.callbacks has ", training=training | {"callbacks": [3]})
    refused("training", training={})
    refused("seed", seed=-1)
    path.unlink()
    interrupted(data, path, Noting())
    content = _files.read("here", path)
    with_state = content.config["training"] | {"callbacks": [["Noting", True]]}
    _files.write("here", path, content.config | {"training": with_state}, content.arrays)
    with pytest.raises(ModelFileError, match="the state of Noting is True; expected a dictionary"):
        fit(compiled(), data, path, Noting())


class Latest(Noting):
    """Uses nothing of the state that it has taken over."""

    def on_epoch_end(self, epoch, logs):
        self.notes = {"epochs": []}
        super().on_epoch_end(epoch, logs)


ODD = [None, True, -1, 2**70, 1.5, "", "x", [], [[]], {}, {"dict": 3}, {"array": "callbacks.0"}]


def mutated(value: Any, rng: np.random.Generator) -> Any:
    """A copy of `value` in which one place, at any depth, has something odd or is gone."""
    inside = list(value.items() if isinstance(value, dict) else enumerate(value))
    at, chosen = inside[rng.integers(len(inside))]
    copied = dict(value) if isinstance(value, dict) else list(value)
    if isinstance(chosen, (dict, list)) and chosen and rng.random() < 0.8:
        copied[at] = mutated(chosen, rng)
    elif rng.random() < 0.2:
        del copied[at]
    else:
        copied[at] = ODD[rng.integers(len(ODD))]
    return copied


@pytest.mark.parametrize("times", [60, pytest.param(5000, marks=pytest.mark.nightly, id="nightly")])
def test_altered_backups_are_refused_or_go_on(data, tmp_path, times):
    """Whatever the config of a backup says: no other error, and no half of a training."""
    from fastnn import _files

    path, rng, refused = tmp_path / "backup.npz", np.random.default_rng(4), []

    def others() -> list[cb.Callback]:
        checkpoint = cb.ModelCheckpoint(tmp_path / "{epoch}.npz", "val_loss", True, keep=1)
        return [cb.EarlyStopping(patience=9), checkpoint, Latest()]

    interrupted(data, path, *others())
    content = _files.read("here", path)
    mine = tmp_path / "mine.npz"
    mine.write_bytes(b"mine")
    for _ in range(times):
        config = dict(content.config)
        config["training"] = mutated(config["training"], rng)
        if rng.random() < 0.3:
            config = mutated(config, rng)
        _files.write("here", path, config, content.arrays)
        try:
            history = fit(compiled(), data, path, *others(), epochs=4)
        except ValueError as error:
            refused.append(str(error))
        else:
            assert history.epoch[-1] == 3 or config["training"]["stopped"] is True
    assert len(refused) > times / 3
    assert all(message.startswith("[") for message in refused)
    assert mine.read_bytes() == b"mine"


def test_a_link_to_a_backup_stays(data, tmp_path):
    path, target = tmp_path / "link.npz", tmp_path / "target.npz"
    path.symlink_to(target)
    interrupted(data, path)
    assert target.exists()
    fit(compiled(), data, path)
    assert (path.is_symlink(), target.exists()) == (True, False)


def test_a_backup_is_no_directory(data, tmp_path):
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OSError, match="directory"):
        fit(compiled(), data, tmp_path / "folder.npz")
