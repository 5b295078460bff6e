# SPDX-License-Identifier: BSD-3-Clause
"""load_state_dict changes either all values or none."""

from __future__ import annotations

import contextlib
import copy
import threading
from typing import Any

import numpy as np
import pytest

from fastnn import ModelBusyError, nn


def make(dtype: Any = np.float32) -> nn.Sequential:
    layers = [nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)]
    return nn.Sequential(*layers, dtype=dtype)


def copied(model: nn.Sequential) -> dict[str, np.ndarray]:
    return {key: value.copy() for key, value in model.state_dict().items()}


COUNT, VARIANCE, BIAS = "1.num_batches_tracked", "1.running_var", "3.bias"
WHOLE = "expected a whole number of at least 0$"
NEITHER = r"expected finite float(32|64)$"
WRONG: dict[str, tuple[str, Any, str]] = {
    "a negative counter": (COUNT, -1, rf"'{COUNT}' is -1; {WHOLE}"),
    "half a batch": (COUNT, 1.5, rf"'{COUNT}' is 1.5; {WHOLE}"),
    "a counter that is none": (COUNT, np.nan, rf"'{COUNT}' is nan; {WHOLE}"),
    "a counter beyond 64 bits": (COUNT, 1e30, rf"'{COUNT}' is 1e\+30; {WHOLE}"),
    "a counter of unsigned 64 bits": (COUNT, np.uint64(2**63), rf"'{COUNT}' is 9.*; {WHOLE}"),
    "a variance below 0": (
        VARIANCE,
        [1, 1, -1, 1],
        rf"'{VARIANCE}' has -1 at \[2\]; expected at least 0$",
    ),
    "a variance just below 0": (VARIANCE, [-1e-50] * 4, rf"'{VARIANCE}' has -1e-50 at \[0\]; "),
    "a mean of infinity": ("1.running_mean", [0, np.inf, 0, 0], rf": inf at \[1\]; {NEITHER}"),
    "NaN in a weight": ("0.weight", np.full((4, 3), np.nan), rf": nan at \[0, 0\]; {NEITHER}"),
    "another shape": (BIAS, np.zeros(3), r"has shape \(3,\); the model expects \(2,\)$"),
    "words": (BIAS, ["a", "b"], r"has dtype <U1; expected"),
    "objects": (BIAS, [None, None], r"has dtype object; expected"),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", WRONG)
def test_one_wrong_entry_changes_nothing(case: str, dtype: Any) -> None:
    key, value, text = WRONG[case]
    model = make(dtype)
    before = copied(model)
    wanted: dict[str, Any] = {k: v + 1 for k, v in before.items()} | {key: value}
    with pytest.raises((ValueError, TypeError), match=text) as caught:
        model.load_state_dict(wanted)
    assert str(caught.value).startswith(f"[Sequential.load_state_dict] '{key}' ")
    for k, v in model.state_dict().items():
        np.testing.assert_array_equal(v, before[k], err_msg=k)


@pytest.mark.parametrize("key", ["0.weight", "0.bias", "1.weight", "1.running_mean", VARIANCE])
def test_a_number_is_looked_at_as_the_model_would_hold_it(key: str) -> None:
    for dtype in (np.float32, np.float64):
        model = make(dtype)
        before = copied(model)
        wanted = {k: v + 1 for k, v in before.items()}
        wanted[key] = np.full(wanted[key].shape, 1e39)
        if dtype is np.float64:
            model.load_state_dict(wanted)
            assert np.all(model.state_dict()[key] == 1e39)
            continue
        with pytest.raises(ValueError, match=rf"'{key}' has .*: 1e\+39 at .* finite float32$"):
            model.load_state_dict(wanted)
        for k, v in model.state_dict().items():
            np.testing.assert_array_equal(v, before[k], err_msg=k)


def test_what_fits_is_loaded() -> None:
    model, other = make(), make(np.float64)
    wanted = {k: v + 3 for k, v in copied(other).items()}
    wanted[COUNT] = np.float32(17)  # a whole number, whatever its dtype
    wanted[VARIANCE] = np.array([0, 1, 2, 3])
    model.load_state_dict(wanted)
    for k, v in model.state_dict().items():
        np.testing.assert_array_equal(v, np.asarray(wanted[k]).astype(v.dtype), err_msg=k)


def test_keys_that_are_missing_or_unexpected() -> None:
    model = make()
    before = copied(model)
    without = {key: value + 1 for key, value in before.items() if key != "0.weight"}
    for state, missing, unexpected in (
        (without | {"9.weight": 1}, "0.weight", "9.weight"),
        (without, "0.weight", "none"),
        (before | {"9.weight": 1}, "none", "9.weight"),
    ):
        with pytest.raises(ValueError, match=rf"missing: {missing}; unexpected: {unexpected}"):
            model.load_state_dict(state)
        for key, value in model.state_dict().items():
            np.testing.assert_array_equal(value, before[key], err_msg=key)
    result = model.load_state_dict({BIAS: [1, 2], "x": 0}, strict=False)
    assert result.unexpected_keys == ["x"]
    assert "0.weight" in result.missing_keys
    np.testing.assert_array_equal(model[3].bias, [1, 2])


def test_values_may_be_views_of_the_model_itself() -> None:
    model = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 32))
    state = model.state_dict()
    first, second = state["0.weight"].copy(), state["1.weight"].copy()
    model.load_state_dict(state | {"0.weight": state["1.weight"], "1.weight": state["0.weight"]})
    np.testing.assert_array_equal(model[0].weight, second)
    np.testing.assert_array_equal(model[1].weight, first)


def test_a_model_in_use_is_not_loaded() -> None:
    """A prediction in another thread uses either the old or the new values, never a mixture."""
    model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 1), dtype=np.float64)
    states = [{k: np.full(v.shape, c) for k, v in model.state_dict().items()} for c in (0.0, 1.0)]
    model.load_state_dict(states[0])
    x = np.ones((200, 64))
    right = {0.0, 512.0 * 65 + 1}
    seen, loaded, over = set(), [0], threading.Event()

    def load() -> None:
        while not over.is_set():
            try:
                model.load_state_dict(states[loaded[0] % 2])
                loaded[0] += 1
            except ModelBusyError:
                pass

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for _ in range(300):
            with contextlib.suppress(ModelBusyError):
                seen |= set(model.predict(x, n_threads=1).ravel().tolist())
    finally:
        over.set()
        thread.join()
    assert loaded[0] > 0
    assert seen <= right


def test_counters_of_layers_are_their_own() -> None:
    """In torch, a layer that is frozen by eval() keeps its counter as well as its statistics."""
    layers = nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)
    model, other = nn.Sequential(*layers), nn.Sequential(*layers)
    model[2].freeze()
    model.compile("sgd", "mse")
    model.fit(np.eye(3), np.ones(3), batch_size=3, epochs=5)
    counts = {key: int(value) for key, value in model.state_dict().items() if "batches" in key}
    assert counts == {"0.num_batches_tracked": 5, "2.num_batches_tracked": 0}
    other.load_state_dict(model.state_dict())
    assert {key: other.state_dict()[key] for key in counts} == counts
    assert {key: copy.deepcopy(model).state_dict()[key] for key in counts} == counts
    assert model[:3].state_dict()["0.num_batches_tracked"] == 5
    other.load_state_dict({"2.num_batches_tracked": 7}, strict=False)
    assert other.state_dict()["0.num_batches_tracked"] == 5
    assert other.state_dict()["2.num_batches_tracked"] == 7
