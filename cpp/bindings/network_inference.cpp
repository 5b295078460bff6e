// _core.Network: predict and evaluate, which read a model and may run beside each other.
// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/batch_args.h"
#include "bindings/network.h"

namespace fastnn::bindings {

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

py::dict Network::evaluate(const py::object& x, const py::object& y, const py::object& w, bool metrics, int n_threads) {
  BatchArgs args("evaluate", *this, x, y, w);
  args.need_rows("evaluate");
  require(!y.is_none(), "[evaluate] y is None; expected targets");
  checked_threads("evaluate", n_threads);
  run::Scores scores;
  {
    const train::Gate::Reader reader(model().gate(), "evaluate");
    const WithoutGil free;
    scores = model().evaluate(args.data, args.rows, metrics, n_threads, signal_poll());
  }
  py::dict d;
  d["loss"] = scores.loss;
  if (metrics) d["accuracy"] = scores.accuracy;
  return d;
}

}  // namespace fastnn::bindings
