# SPDX-License-Identifier: BSD-3-Clause
"""A Sequential owns layers and values; state_dict, slices, copies and pickles agree about them."""

from __future__ import annotations

import copy
import pickle
import tracemalloc

import numpy as np
import pytest

from fastnn import callbacks, nn, optim
from fastnn.nn._rows import Rows
from models import COPIES, pickled, same_values


def make_model(**kwargs):
    return nn.Sequential(
        nn.Rescale(0.5),
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(8, 2),
        **kwargs,
    )


def trained(rng, **kwargs):
    model = make_model(**kwargs)
    model.compile(optim.AdamW(lr=0.01), nn.CrossEntropyLoss(), ["accuracy"], max_grad_norm=1.0)
    x, y = rng.standard_normal((50, 6)), rng.integers(0, 2, 50)
    model.fit(x, y, batch_size=10, epochs=2)
    return model, x, y


def test_state_dict_has_the_keys_and_shapes_of_torch():
    shapes = {k: v.shape for k, v in make_model().state_dict().items()}
    assert shapes == {
        "0.weight": (8, 6),
        "0.bias": (8,),
        "1.weight": (8,),
        "1.bias": (8,),
        "1.running_mean": (8,),
        "1.running_var": (8,),
        "1.num_batches_tracked": (),
        "4.weight": (2, 8),
        "4.bias": (2,),
    }


def test_state_dict_goes_to_torch_and_back(rng):
    torch = pytest.importorskip("torch")
    model, x, _ = trained(rng, dtype=np.float64)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(6, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(8, 2),
    ).double()
    state = {k: torch.from_numpy(np.array(v)) for k, v in model.state_dict().items()}
    theirs.load_state_dict(state)
    theirs.eval()
    out = theirs(torch.from_numpy(0.5 * x)).detach().numpy()
    np.testing.assert_allclose(model.forward(x), out, rtol=1e-12)
    again = make_model(dtype=np.float64)
    again.load_state_dict(theirs.state_dict())
    same_values(model, again)


def test_values_are_views():
    model = make_model()
    weight = model[1].weight
    assert weight.shape == (8, 6)
    weight[...] = 0
    weight[3, 2] = 7
    assert model.state_dict()["0.weight"][3, 2] == 7
    x = np.zeros((1, 6), np.float32)
    x[0, 2] = 2
    hidden = model[:2].forward(x)
    assert hidden[0, 3] == pytest.approx(7 + model[1].bias[3])
    assert nn.Linear(3, 2, bias=False).bias is None
    with pytest.raises(AttributeError, match=r"\[Linear\] no weight yet"):
        _ = nn.Linear(3, 2).weight


def test_views_are_read_only_while_fit_runs(rng):
    model, x, y = trained(rng)
    seen = []

    def look(epoch, logs):
        del epoch, logs
        seen.append(model[1].weight.flags.writeable)
        seen.append(any(v.flags.writeable for v in model.state_dict().values() if v.ndim))
        with pytest.raises(RuntimeError, match="load_state_dict"):
            model.load_state_dict(model.state_dict())
        assert model.predict(x).shape == (50, 2)
        assert set(model.evaluate(x, y)) == {"loss", "accuracy"}

    model.fit(x, y, callbacks=[callbacks.LambdaCallback(on_epoch_end=look)])
    assert seen == [False, False]
    assert model[1].weight.flags.writeable


def test_layers_of_another_model_are_copied(rng):
    model, x, y = trained(rng)
    body = model[:-1].freeze()
    head = nn.Sequential(*body, nn.Linear(8, 4))
    assert [layer.frozen for layer in head if hasattr(layer, "frozen")] == [True, True, False]
    assert not model[1].frozen
    np.testing.assert_array_equal(head[1].weight, model[1].weight)
    np.testing.assert_array_equal(head[2].running_var, model[2].running_var)
    head[1].weight[...] = 0
    assert np.any(model[1].weight)
    assert np.any(body[1].weight)
    head.compile(optim.SGD(lr=0.1), "cross_entropy")
    kept = head[2].weight.copy()
    head.fit(x, y)
    np.testing.assert_array_equal(head[2].weight, kept)


def test_append_keeps_values_and_wants_compile(rng):
    model, x, y = trained(rng)
    before = {k: v.copy() for k, v in model.state_dict().items()}
    layer = nn.Linear(2, 3)
    assert model.append(nn.ReLU()).append(layer) is model
    assert model[-1] is layer
    assert len(model) == 8
    assert model.n_outputs == 3
    for key, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[key], value)
    with pytest.raises(ValueError, match="not compiled"):
        model.fit(x, y)
    with pytest.raises(ValueError, match=r"layer 8\] .*comes after 3 columns; expected 5"):
        model.append(nn.Linear(5, 3))
    assert len(model) == 8


def test_indexing():
    model = make_model()
    assert isinstance(model[-1], nn.Linear)
    assert isinstance(model[np.int64(2)], nn.BatchNorm1d)
    assert [type(layer).__name__ for layer in model[1:4]] == ["Linear", "BatchNorm1d", "ReLU"]
    assert len(model[1:1]) == 0
    with pytest.raises(IndexError, match="no layer 6; the model has 6"):
        model[6]


@pytest.mark.parametrize("how", COPIES)
def test_copies_go_on_as_the_model_would(rng, how):
    model, x, y = trained(rng)
    model[1].freeze()
    other = COPIES[how](model)
    assert other is not model
    same_values(model, other)
    assert other[1].frozen
    assert other.optimizer == model.optimizer
    assert other.history.history == model.history.history
    a, b = model.fit(x, y, epochs=2), other.fit(x, y, epochs=2)
    assert a.history == b.history
    same_values(model, other)
    model[5].weight[...] = 0
    assert np.any(other[5].weight)


def test_a_copy_copies_values_and_state_once():
    """A snapshot of the core is handed on; the copy of a copy would take twice its memory."""
    model = nn.Sequential(nn.Linear(300, 200), nn.Linear(200, 300))
    model.compile(optim.Adam(), "mse")
    size = 3 * sum(value.nbytes for value in model.state_dict().values())  # with Adam's two states
    tracemalloc.start()
    try:
        copy.deepcopy(model)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.9 * size < peak < 1.2 * size


def test_pickles_name_no_compiled_class(rng):
    model, _, _ = trained(rng)
    text = pickle.dumps(model)
    assert b"fastnn._core" not in text
    layer = pickled(model[1])
    np.testing.assert_array_equal(layer.weight, model[1].weight)
    np.testing.assert_array_equal(nn.Sequential(layer)[0].weight, model[1].weight)


def test_summary(capsys):
    model = make_model()
    model[1].freeze()
    table = model.summary()
    printed = capsys.readouterr().out
    assert printed == str(table) + "\n"
    assert "trainable: 34 of 90 parameters" in printed
    assert table.parameters == 6 * 8 + 8 + 16 + 8 * 2 + 2
    assert table.bytes == 4 * (table.parameters + 16)
    assert table.flops == model._network.flops_per_row
    assert repr(table).startswith("<Summary: 6 layers, 90 parameters")
    assert [row.key for row in table.rows] == [None, "0", "1", "2", "3", "4"]
    assert model.summary(print_fn=None) == table
    assert capsys.readouterr().out == ""


def test_repr():
    assert repr(make_model()) == (
        "Sequential(\n"
        "  (-): Rescale(scale=0.5, shift=0.0)\n"
        "  (0): Linear(in_features=6, out_features=8, bias=True)\n"
        "  (1): BatchNorm1d(8, eps=1e-05, momentum=0.1)\n"
        "  (2): ReLU()\n"
        "  (3): Dropout(p=0.1)\n"
        "  (4): Linear(in_features=8, out_features=2, bias=True)\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"
    assert repr(nn.LeakyReLU(0.2)) == "LeakyReLU(negative_slope=0.2)"


def test_initial_values_are_those_of_the_twin():
    from fastnn.reference import Network

    model = make_model(seed=9)
    twin = Network([layer.spec() for layer in model], dtype="float32", seed=9)
    for entry in twin.parameters():
        mine = model.state_dict()[entry["key"]]
        np.testing.assert_array_equal(mine, entry["array"].T)


class Named(nn.Sequential):
    """A model that keeps other names for its layers."""

    def name_them(self) -> None:
        self.head, self.body = self[-1], {"linear": [self[1], self[4]], "none": [1, 2]}


@pytest.mark.parametrize("how", COPIES)
def test_other_names_of_layers_move_along(how):
    model = Named(*make_model())
    model.name_them()
    twin = COPIES[how](model)
    assert type(twin) is Named
    assert twin.head is twin[-1]
    assert twin.body["linear"][0] is twin[1]
    assert twin.body["linear"][1] is twin[4]
    assert model.head is model[-1]
    assert (twin.body["none"] is model.body["none"]) == (how == "copy")


@pytest.mark.parametrize("owner", ["a model", "nobody"])
def test_a_deep_copy_of_a_layer_copies_its_values_once(owner: str) -> None:
    layer = nn.Sequential(nn.Linear(500, 400))[0]
    if owner == "nobody":
        layer = copy.copy(layer)
    tracemalloc.start()
    try:
        other = copy.deepcopy(layer)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * layer.weight.nbytes
    np.testing.assert_array_equal(other.weight, layer.weight)
    other.weight[...] = 0
    assert layer.weight.all()


def test_a_fit_that_did_not_begin_has_no_epochs(rng, monkeypatch):
    """Ctrl-C may come when the call has begun, and the core, which has a fit before, has not."""
    model, x, y = trained(rng)
    before = model.state_dict()

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Rows, "for_core", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=3)
    assert (model.history.epoch, model.history.history) == ([], {})
    assert all(np.array_equal(value, before[key]) for key, value in model.state_dict().items())
