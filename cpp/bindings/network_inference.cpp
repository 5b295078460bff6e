// _core.Network: predict, evaluate and gradients as results, which read a model and may run beside each other.
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
  const py::object numbers = py::reinterpret_borrow<py::object>(args.data.x.cells ? x.attr("data") : x);
  if (!out.is_none() && may_share_memory(result, py::reinterpret_borrow<py::array>(numbers)))
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

void* Network::memory_for_predictions(const char* where, const py::object& array, Index rows) const {
  if (array.is_none()) return nullptr;
  const Index k = model().n_outputs();
  py::array out = model().is_double() ? output<double>(where, array, rows, k) : output<float>(where, array, rows, k);
  require((out.flags() & py::array::c_style) != 0, "[", where,
          "] predictions has gaps between its rows; expected a contiguous array");
  return out.mutable_data();
}

py::object Network::metric_sums(const run::Scores& scores) const {
  if (scores.sums.empty()) return py::none();
  const metrics::Chosen& chosen = model().chosen_metrics();
  py::list sums;
  for (std::size_t k = 0; k < chosen.count(); ++k) {
    const auto its = chosen.of(k, scores.sums);
    sums.append(py::array_t<double>(static_cast<py::ssize_t>(its.size()), its.data()));
  }
  return py::make_tuple(scores.weight, losses::power_of_two(scores.exponent), sums);
}

py::dict Network::evaluate(const py::object& x, const py::object& y, const py::object& w, bool metrics, int n_threads,
                           const py::object& predictions) {
  BatchArgs args("evaluate", *this, x, y, w);
  args.need_rows("evaluate");
  require(!y.is_none(), "[evaluate] y is None; expected targets");
  checked_threads("evaluate", n_threads);
  run::Scores scores;
  {
    void* memory = memory_for_predictions("evaluate", predictions, args.rows);
    const train::Gate::Reader reader(model().gate(), "evaluate");
    const WithoutGil free;
    scores = model().evaluate(args.data, args.rows, metrics, memory, n_threads, signal_poll());
  }
  py::dict d;
  d["loss"] = scores.loss;
  if (metrics) d["accuracy"] = scores.accuracy;
  if (!scores.sums.empty()) d["sums"] = metric_sums(scores);
  return d;
}

namespace {

template <class... Size>
py::array new_array(bool is_double, Size... sizes) {
  const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(sizes)...};
  if (is_double) return py::array_t<double>(shape);
  return py::array_t<float>(shape);
}

}  // namespace

void Network::differentiate(const char* where, const BatchArgs& args, const run::Wanted& wanted, int n_threads) {
  checked_threads(where, n_threads);
  const train::Gate::Reader reader(model().gate(), where);
  if (args.rows == 0) return;
  const WithoutGil free;
  model().differentiate(where, args.data, args.rows, wanted, n_threads, signal_poll());
}

py::array Network::input_gradient(const py::object& x, const py::object& y, int n_threads, const py::object& grad) {
  const BatchArgs args("input_gradient", *this, x, y, Py_None, grad);
  require(y.is_none() != grad.is_none(), "[input_gradient] y is None; expected targets");
  py::array dx = new_array(model().is_double(), args.rows, model().n_features());
  differentiate("input_gradient", args, {.of = run::Wanted::kLoss, .by_input = dx.mutable_data()}, n_threads);
  return dx;
}

py::array Network::jacobian(const py::object& x, bool link, int n_threads) {
  const BatchArgs args("jacobian", *this, x, Py_None, Py_None);
  py::array dx = new_array(model().is_double(), args.rows, model().n_outputs(), model().n_features());
  const auto of = link ? run::Wanted::kPredictions : run::Wanted::kOutputs;
  differentiate("jacobian", args, {.of = of, .by_input = dx.mutable_data()}, n_threads);
  return dx;
}

py::dict Network::per_sample_gradients(const py::object& x, const py::object& y, int n_threads,
                                       const py::object& grad) {
  const BatchArgs args("per_sample_gradients", *this, x, y, Py_None, grad);
  require(y.is_none() != grad.is_none(), "[per_sample_gradients] y is None; expected targets");
  run::Wanted wanted{.of = run::Wanted::kLoss};
  py::dict arrays;
  for (const auto& [p, data, owner] : model().parameters(Model::kValues)) {
    void* memory = nullptr;
    if (p.trainable && !model().frozen(p.node)) {
      py::array array = p.two_dimensional() ? new_array(model().is_double(), args.rows, p.rows, p.cols)
                                            : new_array(model().is_double(), args.rows, p.cols);
      memory = array.mutable_data();
      arrays[py::str(p.key())] = array;
    }
    wanted.by_parameter.push_back(memory);
  }
  differentiate("per_sample_gradients", args, wanted, n_threads);
  return arrays;
}

}  // namespace fastnn::bindings
