// Losses on the caller's arrays.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <cmath>

#include "bindings/border.h"
#include "bindings/functional.h"
#include "bindings/operands.h"
#include "core/check.h"
#include "losses/loss.h"

namespace fastnn::bindings {

namespace {

template <class T>
py::tuple loss(const std::string& name, const py::dict& hyper, const py::object& out, const py::object& target,
               const py::object& weights) {
  const auto* row = losses::find(name);
  std::vector<std::string> names;
  for (const auto& each : losses::registry()) names.emplace_back(each.name);
  require(row != nullptr, "[functional] unknown loss \'", name, "'; known: ", join(names));
  const auto values = resolve("[" + name + "]", row->hypers, hyper_given("[" + name + "]", hyper, row->hypers));
  const FloatMode mode;
  auto o = matrix<T>(row->name, "out", out);
  const Index n = o.view().rows, k = o.view().cols;
  MatrixBuffer<T> dense, dout(n, k);
  Buffer<std::int32_t> labels(n);
  losses::Targets<T> targets;
  if (row->target == losses::TargetKind::kDense) {
    dense = matrix<T>(row->name, "target", target, k, k == 1);
    require(dense.view().rows == n, "[", name, "] target has ", dense.view().rows, " rows, out has ", n);
    targets.dense = dense.view();
  } else {
    const Rows classes(row->name, "target", target, 1, false, true);
    require(classes.rows() == n, "[", name, "] target has ", classes.rows(), " rows, out has ", n);
    if (!kernels::gather_classes(classes.source(), {}, n, k, labels.data()))
      for (Index r = 0; r < n; ++r) {
        const double value = kernels::element(classes.source(), r, 0);
        require(value >= 0 && value < static_cast<double>(k) && value == std::floor(value), "[", name, "] target has ",
                value, " at row ", r, "; expected class numbers 0 to ", k - 1);
      }
    targets.classes = labels.data();
  }
  double total = static_cast<double>(n);
  Buffer<T> per_row;
  if (!weights.is_none()) {
    const auto w = matrix<T>(row->name, "sample_weight", weights, 1, true);
    require(w.view().rows == n, "[", name, "] sample_weight has ", w.view().rows, " rows, out has ", n);
    per_row = Buffer<T>(n);
    total = 0;
    for (Index r = 0; r < n; ++r) total += static_cast<double>(per_row[r] = w.view().row(r)[0]);
  }
  const bool sum = values[0] != 0 || total == 0;
  const double divisor = sum ? 1 : row->mean_over_outputs ? total * static_cast<double>(k) : total;
  const double value =
      row->loops<T>().value(values.data(), o.view(), targets, weights.is_none() ? nullptr : per_row.data(),
                            static_cast<T>(1 / divisor), dout.view());
  return py::make_tuple(value / divisor, result<T>(row->name, dout.view(), py::none()));
}

}  // namespace

void register_functional_training(py::module_& m) {
  using py::arg;
  using O = const py::object&;
  const auto none = py::none();
  m.def(
      "loss",
      [](const std::string& name, const py::dict& hyper, O out, O target, O weights) {
        return wants_double({out}) ? loss<double>(name, hyper, out, target, weights)
                                   : loss<float>(name, hyper, out, target, weights);
      },
      arg("name"), arg("hyper"), arg("out"), arg("target"), arg("sample_weight") = none);
}

}  // namespace fastnn::bindings
