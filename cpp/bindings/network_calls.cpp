// The methods of _core.Network that a program calls for every row or batch: predict and the training steps. Their
// overhead is kept below about a microsecond.
// SPDX-License-Identifier: BSD-3-Clause
#include <optional>

#include "bindings/fastcall.h"
#include "bindings/network.h"

namespace fastnn::bindings {

namespace {

constexpr const char* kPredictNames[] = {"x", "link", "out", "n_threads"};
constexpr const char* kStepNames[] = {"x", "y", "sample_weight", "n_threads"};
constexpr const char* kGradNames[] = {"x", "grad", "n_threads"};
constexpr Signature kPredict{"predict", kPredictNames, 1};
constexpr Signature kStep{"train_step", kStepNames, 2};
constexpr Signature kGrad{"train_step", kGradNames, 2};

PyObject* predict(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return with_errors([&] {
    const Arguments<4> given(kPredict, args, count, keywords);
    return object_of<Network>(self)
        .predict(given[0], given.flag(1, true), given.or_none(2), given.number(3, 0))
        .release()
        .ptr();
  });
}

PyObject* train_step(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return with_errors([&] {
    const Arguments<4> given(kStep, args, count, keywords);
    return PyFloat_FromDouble(
        object_of<Network>(self).train_step(given[0], given[1], given.or_none(2), given.number(3, 0)));
  });
}

PyObject* train_step_grad(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return with_errors([&] {
    const Arguments<3> given(kGrad, args, count, keywords);
    return PyFloat_FromDouble(object_of<Network>(self).train_step_grad(given[0], given[1], given.number(2, 0)));
  });
}

// The first line of each docstring is a signature in the format of pybind11.
PyMethodDef g_methods[] = {
    fast_method("predict", predict,
                "predict(self: fastnn._core.Network, x: object, link: bool = True, out: object = None, "
                "n_threads: int = 0) -> numpy.ndarray"),
    fast_method("train_step", train_step,
                "train_step(self: fastnn._core.Network, x: object, y: object, sample_weight: object = None, "
                "n_threads: int = 0) -> float"),
    fast_method("train_step_grad", train_step_grad,
                "train_step_grad(self: fastnn._core.Network, x: object, grad: object, n_threads: int = 0) -> float"),
};

}  // namespace

void add_calls(const py::handle& cls) {
  const auto layer = py::make_tuple("linear", py::dict(py::arg("in_features") = 1, py::arg("out_features") = 1));
  require_known_layout<Network>(cls(py::make_tuple(layer)));
  for (PyMethodDef& method : g_methods) add_fast_method(cls, method);
}

py::array Network::predict(py::handle x, bool link, py::handle out, int n_threads) {
  const BatchArgs args("predict", *this, x, Py_None, Py_None);
  checked_threads("predict", n_threads);
  Model& net = model();
  const Index k = net.n_outputs();
  py::array result =
      net.is_double() ? output<double>("predict", out, args.rows, k) : output<float>("predict", out, args.rows, k);
  if (args.rows == 0) return result;
  if (!out.is_none() && may_share_memory(result, py::reinterpret_borrow<py::array>(x)))
    throw Refused({.where = "predict", .reason = reason::kShared, .argument = "out", .expected = {.of = "X"}});
  void* memory = result.mutable_data();
  const Index stride = args.rows > 1 ? result.strides(0) / result.itemsize() : k;
  const train::Gate::Reader reader(net.gate(), "predict");
  if (brief(1, args.rows)) {
    net.predict(args.data, args.rows, link, memory, stride, n_threads, {});
    return result;
  }
  const WithoutGil free;
  net.predict(args.data, args.rows, link, memory, stride, n_threads, signal_poll());
  return result;
}

double Network::step(const BatchArgs& args, int n_threads) {
  args.need_rows("train_step");
  checked_threads("train_step", n_threads);
  Model& net = model();
  const train::Gate::Writer writer(net.gate(), "train_step");
  if (brief(3, args.rows)) return net.train_step(args.data, args.rows, n_threads, {});
  const WithoutGil free;
  return net.train_step(args.data, args.rows, n_threads, signal_poll());
}

double Network::train_step(py::handle x, py::handle y, py::handle w, int n_threads) {
  const BatchArgs args("train_step", *this, x, y, w);
  require(!y.is_none(), "[train_step] y is None; expected targets (or a gradient: train_step_grad)");
  return step(args, n_threads);
}

double Network::train_step_grad(py::handle x, py::handle grad, int n_threads) {
  const BatchArgs args("train_step", *this, x, Py_None, Py_None, grad);
  require(!grad.is_none(), "[train_step] grad is None; expected dl/dlogits");
  return step(args, n_threads);
}

}  // namespace fastnn::bindings
