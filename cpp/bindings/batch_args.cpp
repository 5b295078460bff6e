// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/batch_args.h"

#include <vector>

#include "run/class_weights.h"
#include "run/refuse_cells.h"

namespace fastnn::bindings {

BatchArgs::BatchArgs(const char* where, Network& net, py::handle x, py::handle y, py::handle w, py::handle grad,
                     const run::Names& names, bool only_checked) {
  const Expected features{.cols = net.model().n_features(), .flatten = net.flattens(), .by = "the model"};
  if (!py::isinstance<py::array>(x) && is_csr(x))
    data.x = sparse_x_.emplace(where, names.x, x, features).source();
  else
    data.x = x_.emplace(where, names.x, x, features).source();
  refuse_unless(net.ready() || only_checked, where, reason::kNotAdapted);
  data.names = &names;
  rows = data.x.rows;
  const Index k = net.model().n_outputs();
  Expected expected{.cols = k, .rows = rows, .vector = k == 1, .of = names.x};
  if (!y.is_none()) {
    const auto* loss = net.model().loss();
    refuse_unless(loss != nullptr, where, reason::kNotCompiled);
    refuse_unless(loss != &losses::own(), where, reason::kOwnLoss);
    y_.emplace(where, names.y, y, targets_of(*loss, net.model().loss_values(), expected));
    data.y = y_->source();
  }
  if (!w.is_none()) {
    w_.emplace(where, names.weights, w, weights_of(expected));
    data.weights = w_->source();
  }
  if (!grad.is_none()) {
    grad_.emplace(where, names.grad, grad, expected);
    data.grad = grad_->source();
  }
}

void BatchArgs::weigh_classes(const char* where, const py::object& table, bool only_ratios) {
  const NumpyView given(where, "class_weight", table, {.cols = 1, .vector = true});
  std::vector<double> by_class;
  for (Index c = 0; c < given.rows(); ++c) by_class.push_back(kernels::element(given.source(), c, 0));
  const WithoutGil free;
  require(data.y.cols == 1, "[", where, "] class_weight needs class indices; ", data.names->y, " has ", data.y.cols,
          " columns");
  run::refuse_classes(where, data.names->y, data.y, {}, rows, given.rows());
  if (data.weights) run::refuse_weights(where, data.names->weights, data.weights, {}, rows);
  weights_of_classes_ = run::weights_of_classes(data.y, by_class, data.weights, only_ratios);
  data.names = data.weights ? &run::kBothWeightsNames : &run::kClassWeightNames;
  data.weights = {reinterpret_cast<const char*>(weights_of_classes_.data()),
                  rows,
                  1,
                  sizeof(double),
                  nullptr,
                  kernels::DType::kFloat64};
}

}  // namespace fastnn::bindings
