# SPDX-License-Identifier: BSD-3-Clause
"""Calls that could end the process raise instead; each is made in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BEFORE = """
import gc, sys, threading, time
import numpy as np
from fastnn import _core
from fastnn.errors import ModelBusyError

def linear(inputs, outputs):
    return "linear", {"in_features": inputs, "out_features": outputs, "bias": True}

def network(width=8):
    net = _core.Network([linear(3, width), ("relu", {}), linear(width, 2)], "float32", 1)
    net.compile("cross_entropy", {}, "adam", {})
    return net

def refused(call, *kinds):
    try:
        call()
    except (kinds or (TypeError, ValueError)):
        return
    raise AssertionError("not refused")

rng = np.random.default_rng(0)
x = rng.standard_normal((300, 3)).astype(np.float32)
y = np.arange(300) % 2
"""

CASES = {
    "a network that was never made": """
for name in ("fit", "train_step", "train_step_grad", "loss_and_grad", "forward", "backward",
             "clip_grad_norm", "apply_gradients", "evaluate", "predict", "compile", "parameters",
             "gradients", "optimizer_state", "set_frozen", "frozen", "set_progress",
             "change_layer", "num_batches"):
    net = _core.Network.__new__(_core.Network)
    arguments = {"fit": (x, y), "train_step": (x, y), "train_step_grad": (x, y), "predict": (x,),
                 "loss_and_grad": (x, y), "forward": (x, True), "backward": (x,),
                 "clip_grad_norm": (1.0,), "evaluate": (x, y), "frozen": ("0",),
                 "compile": ("mse", {}, "sgd", {}), "set_frozen": ("0", True),
                 "change_layer": (["1"], "tanh", {}), "set_progress": (1, 1)}.get(name, ())
    more = {"batch_size": 2, "epochs": 1} if name == "fit" else {}
    refused(lambda: getattr(net, name)(*arguments, **more))
for name in ("n_features", "n_outputs", "dtype", "flops_per_row", "threads_used", "step",
             "draw", "busy"):
    refused(lambda: getattr(_core.Network.__new__(_core.Network), name))
""",
    "other objects that were never made": """
net = network()
for _ in range(100):
    empty = _core.CompileSpec.__new__(_core.CompileSpec)
    refused(lambda: net.compile_as(empty))
    empty = _core.LayerSpecs.__new__(_core.LayerSpecs)
    refused(lambda: _core.Network(empty))
    empty = _core.NumpyOrders.__new__(_core.NumpyOrders)
    assert len(empty.next()) == 0
    refused(lambda: net.fit(x, y, orders=empty, batch_size=2, epochs=1))
""",
    "an order that changes while it is used": """
n = 600_000
order = np.arange(n)
big = np.zeros((n, 3), np.float32)
net = network()
changed = []
begun = threading.Event()

def change():
    begun.wait()
    time.sleep(0.02)
    order[:] = 2**45
    changed.append(net.busy)

def orders(epoch):
    begun.set()
    return order

thread = threading.Thread(target=change)
thread.start()
try:
    net.fit(big, np.zeros(n, int), batch_size=8, epochs=2, orders=orders)
except (TypeError, ValueError):
    pass  # the second epoch's order is out of range
thread.join()
assert changed == [True]
""",
    "views that outlive their model": """
net = network()
net.fit(x, y, batch_size=32, epochs=1)
net.loss_and_grad(x[:5], y[:5])
views = [row["array"] for row in net.parameters() + net.gradients()]
views += [row["array"] for rows in net.optimizer_state()["state"] for row in rows]
net.compile("cross_entropy", {}, "sgd", {"momentum": 0.5})
net.loss_and_grad(x, y)
net.forward(x, True)
net.backward(np.ones((300, 2), np.float32), True)
for view in views:
    view[...] = 1
net.fit(x, y, batch_size=300, epochs=1)
del net
gc.collect()
others = [network() for _ in range(50)]
for view in views:
    view[...] = 2
    assert (view == 2).all()
assert all(np.abs(row["array"]).max() < 2 for other in others for row in other.parameters())
""",
    "a batch too large for memory, with gradients at hand": """
wide = np.ones((5, 2**12), np.float32)
huge = np.broadcast_to(np.float32(1), (2**28, 2**12))
for last in (lambda: net.apply_gradients(), lambda: net.clip_grad_norm(1.0), gc.collect):
    net = _core.Network([linear(2**12, 1)], "float32", 0)
    net.compile("mse", {}, "adam", {})
    net.loss_and_grad(wide, np.zeros((5, 1)))
    views = [row["array"] for row in net.gradients()]
    before = [view.copy() for view in views]
    refused(lambda: net.forward(huge, True), MemoryError)
    assert all(np.array_equal(a, b) for a, b in zip(views, before))
    last()
    assert all(np.isfinite(view).all() for view in views)
    refused(lambda: net.backward(np.zeros((5, 1), np.float32)))
    net.train_step(wide, np.zeros((5, 1)))
""",
    "views asked for while another thread trains": """
sys.setswitchinterval(1e-6)
net = network()
stop = []

def look():
    while not stop:
        for ask in (net.gradients, net.parameters, net.optimizer_state):
            try:
                answer = ask()
            except ModelBusyError:
                continue
            for row in answer if isinstance(answer, list) else sum(answer["state"], []):
                row["array"].sum()

threads = [threading.Thread(target=look) for _ in range(2)]
for thread in threads:
    thread.start()
end = time.monotonic() + 2
while time.monotonic() < end:
    net = network(2000)  # its workspace takes a while to make
    net.forward(x[:1], True)
    net.forward(x, True)
stop.append(True)
for thread in threads:
    thread.join()
""",
    "everything at once": """
net = network()
stop = []
calls = [lambda: net.predict(x), lambda: net.evaluate(x, y, metrics=True),
         lambda: net.train_step(x, y), lambda: net.loss_and_grad(x[:9], y[:9]),
         lambda: net.compile("mse", {}, "sgd", {}), lambda: net.set_frozen("0", True),
         lambda: net.compile("cross_entropy", {}, "adam", {}),
         lambda: net.fit(x, y, batch_size=7, epochs=2), lambda: net.forward(x, True),
         lambda: net.apply_gradients(), lambda: net.set_progress(3, 3),
         lambda: net.change_layer(["1"], "linear", {})]

def loop(call):
    while not stop:
        try:
            call()
        except (ModelBusyError, ValueError):
            pass

threads = [threading.Thread(target=loop, args=(call,)) for call in calls]
for thread in threads:
    thread.start()
time.sleep(1)
stop.append(True)
for thread in threads:
    thread.join()
assert not net.busy
""",
    "arrays larger than any memory": """
rows = 2**40
huge = np.broadcast_to(np.float32(1), (rows, 3))
classes = np.broadcast_to(np.int64(0), (rows,))
net = network()
for call in (lambda: net.predict(huge), lambda: net.forward(huge, True),
             lambda: net.train_step(huge, classes),
             lambda: net.fit(huge, classes, batch_size=32, epochs=1),
             lambda: net.fit(huge, classes, batch_size=rows, epochs=1, shuffle=False),
             lambda: _core.activation("softmax", {}, huge),
             lambda: _core.linear(huge, np.ones((3, 2))),
             lambda: _core.activation("relu", {}, np.broadcast_to(1.0, (2**31, 2**31))),
             lambda: _core.Network([linear(10**9, 10**9)], "float32", 0),
             lambda: _core.Network([linear(2**20, 2**24)], "float64", 0),
             lambda: _core.dropout_mask((2**62, 2**62), 0.5, 1),
             lambda: _core.uniform(2**60, 1), lambda: _core.permutation(2**60, 1, 1)):
    refused(call, MemoryError, ValueError)
wide = np.broadcast_to(np.float32(1), (70_000, 40_000))  # 2.8e9 cells
net = _core.Network([linear(40_000, 1)], "float32", 0)
last = net.predict(wide[-3:])
tall = np.lib.stride_tricks.as_strided(np.zeros(2**22, np.uint8), (2**31 + 5, 3), (0, 1))
assert network().evaluate(tall[-7:], np.zeros(7, int), metrics=False)["loss"] > 0
assert np.isfinite(last).all()
""",
    "arrays of nothing": """
net = network()
for shape in ((0, 3), (0, 0), (5, 0), (0,), ()):
    for order in "CF":
        empty = np.zeros(shape, np.float32, order=order)
        for call in (lambda: net.train_step(empty, y[:0]), lambda: net.forward(empty, True),
                     lambda: net.fit(empty, y[:0], batch_size=3, epochs=1),
                     lambda: net.train_step(x, empty),
                     lambda: net.evaluate(empty, y[:0], None, False),
                     lambda: net.train_step_grad(x, empty), lambda: net.backward(empty)):
            refused(call)
        for call in (lambda: _core.activation("softmax", {}, empty),
                     lambda: _core.activation("gelu", {}, empty),
                     lambda: _core.linear(empty, np.zeros((0, 2))), lambda: net.predict(empty),
                     lambda: _core.linear_backward(empty, empty, empty),
                     lambda: _core.loss("mse", {}, empty, empty),
                     lambda: _core.loss("cross_entropy", {}, empty, y[:0]),
                     lambda: _core.optimizer_step("adam", {}, 1, [empty], [empty],
                                                  {"exp_avg": [empty], "exp_avg_sq": [empty]})):
            try:
                call()
            except (TypeError, ValueError):
                pass
""",
    "callables that use the running model": """
net = network()
seen = []

def busy(*_):
    for call in (lambda: net.fit(x, y, batch_size=9, epochs=1), lambda: net.train_step(x, y),
                 lambda: net.compile("mse", {}, "sgd", {}), lambda: net.forward(x, True),
                 lambda: net.set_frozen("0", True), lambda: net.set_progress(0, 0)):
        refused(call, ModelBusyError)
    for ask in (net.gradients, net.optimizer_state, net.parameters):
        try:
            ask()
        except ModelBusyError:
            pass
    seen.append(1)

def on_epoch(*_):
    busy()
    net.predict(x)
    return True

def orders(*_):
    busy()
    return np.arange(300)

net.fit(x, y, batch_size=7, epochs=3, on_epoch=on_epoch, orders=orders)
assert len(seen) == 6 and not net.busy
""",
    "arrays dropped while they are used": """
net = network()
holder = {"x": np.ones((300, 3), np.float32), "y": np.zeros(300, int), "order": None}

def orders(epoch):
    holder["order"] = np.arange(300)
    order = holder.pop("order")
    return order

def on_epoch(epoch, logs):
    holder.clear()
    gc.collect()
    blocks = [np.full(900, 255, np.uint8) for _ in range(100)]
    return len(blocks) == 100

loss = net.fit(holder["x"], holder["y"], batch_size=7, epochs=4, orders=orders, on_epoch=on_epoch)
assert np.isfinite(loss["loss"]).all()
""",
    "memory at any address": """
net = network()
for dtype in ("f2", "f4", "f8", "i8", "u2", "?"):
    for order in "<>":
        kind = np.dtype(dtype).newbyteorder(order)
        for shift in range(8):
            memory = np.zeros(300 * 3 * kind.itemsize + 8, np.uint8)
            a = memory[shift : shift + 900 * kind.itemsize].view(kind).reshape(300, 3)
            for view in (a, a[::-1], a[:, ::-1], a[::-1, ::-1], a[::7], a[:0:-1]):
                rows = len(view)
                net.train_step(view, y[:rows])
                net.fit(view, y[:rows], batch_size=11, epochs=1)
                net.predict(view)
                _core.activation("softmax", {}, view)
                if view.dtype in ("f4", "f8"):
                    _core.optimizer_step("sgd", {"lr": 0.0}, 1, [view.copy()], [view], {})
                    _core.optimizer_step("adam", {}, 1, [view], [view],
                                         {"exp_avg": [view], "exp_avg_sq": [view]})
""",
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_crashes(case):
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", BEFORE + CASES[case]],
        # freed memory is overwritten, or leaves the process, so that a view of it shows
        env={**os.environ, "MALLOC_PERTURB_": "165", "MALLOC_MMAP_THRESHOLD_": "16384"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
