# SPDX-License-Identifier: BSD-3-Clause
"""ModelCheckpoint: which epochs are saved, under which names, what is removed and what refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import callbacks as cb
from fastnn import nn, optim


@pytest.fixture
def data(rng):
    x = rng.standard_normal((40, 3))
    return x, x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.standard_normal(40)


def compiled(seed: int = 0) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 1), seed=seed)
    model.compile(optim.Adam(lr=0.05), "mse")
    return model


def fitted(data, *callbacks, epochs: int = 6, **more):
    model = compiled()
    return model, model.fit(*data, epochs=epochs, batch_size=8, callbacks=callbacks, **more)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_after_each_epoch_is_the_model_of_that_epoch(data, tmp_path):
    """What `save` writes after a fit of so many epochs, but for the record of that other fit."""
    checkpoint = cb.ModelCheckpoint(tmp_path / "{epoch}.npz")
    _, history = fitted(data, checkpoint)
    assert listed(tmp_path) == [f"{n}.npz" for n in range(1, 7)]
    assert checkpoint.files == [str(tmp_path / f"{n}.npz") for n in range(1, 7)]
    for n in range(1, 7):
        saved = fastnn.load(tmp_path / f"{n}.npz")
        assert saved.history.history == {"loss": history.history["loss"][:n]}
        assert saved.history.epoch == list(range(n))
        assert saved.history.steps == 5 * n
        twin, _ = fitted(data, epochs=n)
        twin.history = saved.history = None
        twin.save(tmp_path / "twin.npz")
        saved.save(tmp_path / "saved.npz")
        files = [(tmp_path / f"{name}.npz").read_bytes() for name in ("twin", "saved")]
        assert files[0] == files[1]


def test_any_checkpoint_goes_on_to_the_same_bits(data, tmp_path):
    model, _ = fitted(data, cb.ModelCheckpoint(tmp_path / "{epoch}.npz"))
    model.history = None
    model.save(tmp_path / "model.npz")
    for n in range(1, 6):
        other = fastnn.load(tmp_path / f"{n}.npz")
        other.fit(*data, epochs=6, initial_epoch=n, batch_size=8)
        other.history = None
        other.save(tmp_path / "other.npz")
        assert (tmp_path / "other.npz").read_bytes() == (tmp_path / "model.npz").read_bytes()


def test_names_have_figures(data, tmp_path):
    checkpoint = cb.ModelCheckpoint(tmp_path / "e{epoch:03d}-{val_loss:.3f}-{{}}.npz")
    _, history = fitted(data, checkpoint, epochs=2, validation_split=0.5)
    losses = history.history["val_loss"]
    assert listed(tmp_path) == [f"e{n:03d}-{losses[n - 1]:.3f}-{{}}.npz" for n in (1, 2)]


def test_only_the_best(data, tmp_path):
    x, y = data
    noise = np.random.default_rng(3).standard_normal(len(y))
    checkpoint = cb.ModelCheckpoint(tmp_path / "{epoch}.npz", save_best_only=True)
    one = cb.ModelCheckpoint(tmp_path / "best.npz", save_best_only=True)
    model = compiled()
    history = model.fit(
        x, y + noise, epochs=20, validation_data=(x, y - noise), callbacks=[checkpoint, one]
    )
    losses = history.history["val_loss"]
    best = [n for n in range(20) if losses[n] == min(losses[: n + 1])]
    assert 1 < len(best) < 20
    assert checkpoint.files == [str(tmp_path / f"{n + 1}.npz") for n in best]
    assert (checkpoint.best, checkpoint.best_epoch) == (min(losses), best[-1])
    assert (tmp_path / "best.npz").read_bytes() == Path(checkpoint.files[-1]).read_bytes()
    assert one.files == [str(tmp_path / "best.npz")]


def test_largest_accuracy_is_the_best(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2))
    checkpoint = cb.ModelCheckpoint(tmp_path / "{epoch}.npz", "accuracy", save_best_only=True)
    checkpoint.model, checkpoint.params = model, {"metrics": ["loss", "accuracy"]}
    checkpoint.on_train_begin()
    for epoch, accuracy in enumerate([0.5, 0.4, 0.6, 0.6, float("nan"), 0.7]):
        checkpoint.on_epoch_end(epoch, {"loss": 1.0, "accuracy": accuracy})
    assert listed(tmp_path) == ["1.npz", "3.npz", "6.npz"]


def test_every_so_many_epochs_counted_from_one(data, tmp_path):
    fitted(data, cb.ModelCheckpoint(tmp_path / "{epoch}.npz", every=3), epochs=7)
    assert listed(tmp_path) == ["3.npz", "6.npz"]
    fitted(data, cb.ModelCheckpoint(tmp_path / "b{epoch}.npz", every=3), epochs=7, initial_epoch=4)
    assert listed(tmp_path) == ["3.npz", "6.npz", "b6.npz"]


def test_keep_removes_its_own_files_alone(data, tmp_path):
    (tmp_path / "0.npz").write_bytes(b"mine")
    (tmp_path / "x.npz").write_bytes(b"mine, too")
    checkpoint = cb.ModelCheckpoint(tmp_path / "{epoch}.npz", keep=2)
    fitted(data, checkpoint)
    assert listed(tmp_path) == ["0.npz", "5.npz", "6.npz", "x.npz"]
    assert [Path(file).name for file in checkpoint.files] == ["5.npz", "6.npz"]
    # A new training counts anew, and does not remove what an earlier one has left.
    fitted(data, checkpoint, epochs=2)
    assert listed(tmp_path) == ["0.npz", "1.npz", "2.npz", "5.npz", "6.npz", "x.npz"]


def test_keep_counts_names(data, tmp_path):
    """A name that comes again is one file, and the newest one."""
    checkpoint = cb.ModelCheckpoint(tmp_path / "{loss:.0f}.npz", keep=2)
    checkpoint.model, checkpoint.params = compiled(), {"metrics": ["loss"]}
    checkpoint.on_train_begin()
    for epoch, loss in enumerate([1.0, 2.0, 1.0, 3.0]):
        checkpoint.on_epoch_end(epoch, {"loss": loss})
    assert [Path(file).name for file in checkpoint.files] == ["1.npz", "3.npz"]
    assert listed(tmp_path) == ["1.npz", "3.npz"]


def test_a_file_that_is_gone_is_no_error(data, tmp_path):
    gone = cb.LambdaCallback(on_epoch_end=lambda *_: [path.unlink() for path in tmp_path.iterdir()])
    fitted(data, cb.ModelCheckpoint(tmp_path / "{epoch}.npz", keep=1), gone)
    assert listed(tmp_path) == []


def test_without_the_optimizer(data, tmp_path):
    fitted(
        data,
        cb.ModelCheckpoint(tmp_path / "large.npz"),
        cb.ModelCheckpoint(tmp_path / "small.npz", include_optimizer=False),
    )
    sizes = [(tmp_path / name).stat().st_size for name in ("large.npz", "small.npz")]
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "is ''; expected a path such as"),
        ("folder/", "is 'folder/'; expected a path such as"),
        ("a\0.npz", "expected a path such as"),
        ("{epoch.npz", "expected a path such as"),
        ("epoch}.npz", "expected a path such as"),
        ("{}.npz", r"has the field \{\} in its name"),
        ("{0}.npz", r"has the field \{0\} in its name"),
        ("{epoch.real}.npz", r"has the field \{epoch.real\} in its name"),
        ("{epoch[0]}.npz", r"has the field \{epoch\[0\]\} in its name"),
        ("{epoch!r}.npz", r"has the field \{epoch\} in its name"),
        ("{loss:{epoch}}.npz", r"has the field \{loss\} in its name"),
        ("{epoch}/a.npz", r"has the field \{epoch\} in its folder"),
        ("a{epoch:/>3}.npz", "expected a path such as"),
    ],
)
def test_paths_that_are_no_templates(path, message):
    with pytest.raises(ValueError, match=rf"^\[ModelCheckpoint\] path.*{message}"):
        cb.ModelCheckpoint(path)


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("{los}.npz", ValueError, r"\{los\}; there are: epoch, loss. Did you mean 'loss'\?"),
        ("{val_loss}.npz", ValueError, r"\{val_loss\}; there are: epoch, loss"),
        ("{epoch:.2q}.npz", ValueError, "cannot be filled: .*expected formats of"),
        ("{loss:d}.npz", ValueError, "cannot be filled: .*expected formats of"),
        ("{epoch}.pt", ValueError, r"\.safetensors"),
        ("{epoch}", ValueError, r"\.safetensors"),
        ("no/such/{epoch}.npz", FileNotFoundError, "there is no folder '.*no/such'; make it first"),
    ],
)
def test_what_is_refused_when_fit_begins(data, tmp_path, path, kind, message):
    epochs = []
    say = cb.LambdaCallback(on_epoch_begin=epochs.append)
    with pytest.raises(kind, match=rf"^\[ModelCheckpoint\] .*{message}"):
        fitted(data, cb.ModelCheckpoint(tmp_path / path), say)
    assert epochs == []
    assert listed(tmp_path) == []


def test_a_figure_that_is_not_measured(data, tmp_path):
    with pytest.raises(ValueError, match=r"^\[ModelCheckpoint\] monitor is 'val_loss'; the logs"):
        fitted(data, cb.ModelCheckpoint(tmp_path / "a.npz", save_best_only=True))
    fitted(data, cb.ModelCheckpoint(tmp_path / "a.npz"))  # nobody asks for val_loss
    with pytest.raises(ValueError, match="keep is 2, but path has no field"):
        cb.ModelCheckpoint(tmp_path / "a.npz", keep=2)


def test_a_save_that_fails_ends_fit(data, tmp_path):
    (tmp_path / "3.npz").mkdir()
    epochs = []
    say = cb.LambdaCallback(on_epoch_begin=epochs.append)
    with pytest.raises(OSError, match=r"3\.npz"):
        fitted(data, cb.ModelCheckpoint(tmp_path / "{epoch}.npz"), say)
    assert epochs == [0, 1, 2]
    assert listed(tmp_path) == ["1.npz", "2.npz", "3.npz"]


def test_a_state_removes_no_files_of_others(data, tmp_path):
    """An altered backup has figures, never paths, so all names come from the user's own path."""
    checkpoint = cb.ModelCheckpoint(tmp_path / "{epoch}-{loss}.npz", keep=1)
    fitted(data, checkpoint)
    state = checkpoint.state_dict()
    assert str(tmp_path) not in str(state)
    wrong = [
        [{"epoch": "../../x", "loss": 0.5}],
        [{"epoch": 1, "loss": "x"}],
        [{"epoch": 1}],
        [{"epoch": 1, "loss": 0.5, "more": 1}],
        ["x"],
        None,
    ]
    for written in wrong:
        with pytest.raises(ValueError, match=r"^\[ModelCheckpoint\] "):
            checkpoint.load_state_dict(state | {"written": written})


def test_checkpoints_change_no_result(data, tmp_path):
    model, history = fitted(data)
    twin, same = fitted(data, cb.ModelCheckpoint(tmp_path / "{epoch}.npz"))
    assert same.history == history.history
    for each, name in ((model, "a.npz"), (twin, "b.npz")):
        each.save(tmp_path / name)
    digests = {
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.npz", "b.npz")
    }
    assert len(digests) == 1
