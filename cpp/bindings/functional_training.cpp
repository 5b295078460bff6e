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

// Refuses what lies outside the interval that the loss's row states for targets or outputs. NaN passes, as everywhere in
// functions of arrays.
template <class T>
void check_range(const std::string& where, const losses::Row& row, const char* what, const losses::Interval& interval,
                 ConstMatrix<T> x, const std::string& remedy) {
  const Index r = losses::first_outside<T>(interval, x);
  if (r < 0) return;
  const Index c = interval.first_excluded(x.row(r), x.cols);
  const std::string column = x.cols > 1 ? ", column " + std::to_string(c) : "";
  require(false, "[", where, "] ", what, " has ", interval.shown(x.row(r)[c]), " at row ", r, column, "; ",
          row.class_name, " expects ", interval.text(), remedy);
}

// `where` is the function's name for messages.
template <class T>
py::tuple loss(const std::string& name, const py::dict& hyper, const py::object& out, const py::object& target,
               const py::object& weights, const std::string& where) {
  const auto* row = losses::find(name);
  std::vector<std::string> names;
  for (const auto& each : losses::registry()) names.emplace_back(each.name);
  require(row != nullptr, "[functional] unknown loss \'", name, "'; known: ", join(names));
  const auto values = resolve("[" + where + "]", row->hypers, hyper_given("[" + where + "]", hyper, row->hypers));
  const FloatMode mode;
  auto o = matrix<T>(where.c_str(), "out", out);
  const Index n = o.view().rows, k = o.view().cols;
  MatrixBuffer<T> dense, dout(n, k);
  Buffer<std::int32_t> labels(n);
  losses::Targets<T> targets;
  if (row->target == losses::TargetKind::kDense) {
    dense = matrix<T>(where.c_str(), "target", target, k, k == 1);
    require(dense.view().rows == n, "[", where, "] target has ", dense.view().rows, " rows, out has ", n);
    targets.dense = dense.view();
    check_range<T>(where, *row, "target", row->targets, targets.dense, "");
  } else {
    const Rows classes(where.c_str(), "target", target, 1, false, true);
    require(classes.rows() == n, "[", where, "] target has ", classes.rows(), " rows, out has ", n);
    if (!kernels::gather_classes(classes.source(), {}, n, k, labels.data()))
      for (Index r = 0; r < n; ++r) {
        const double value = kernels::element(classes.source(), r, 0);
        require(value >= 0 && value < static_cast<double>(k) && value == std::floor(value), "[", where, "] target has ",
                value, " at row ", r, "; expected class numbers 0 to ", k - 1);
      }
    targets.classes = labels.data();
  }
  check_range<T>(where, *row, "out", row->outputs, o.view(), std::string(": ") + row->outputs_remedy);
  losses::Sums sums = losses::unweighted(n);
  Buffer<T> per_row;
  if (!weights.is_none()) {
    const Rows w(where.c_str(), "sample_weight", weights, 1, false, true);
    require(w.rows() == n, "[", where, "] sample_weight has ", w.rows(), " rows, out has ", n);
    per_row = Buffer<T>(n);
    sums = losses::weigh<T>(w.source(), {}, n, per_row.data()).sums;
  }
  sums.loss = row->loops<T>().value(values.data(), o.view(), targets, weights.is_none() ? nullptr : per_row.data(),
                                    static_cast<T>(row->scale(values.data(), sums, k)), dout.view());
  return py::make_tuple(row->average(values.data(), sums, k), result<T>(where.c_str(), dout.view(), py::none()));
}

}  // namespace

void register_functional_training(py::module_& m) {
  using py::arg;
  using O = const py::object&;
  const auto none = py::none();
  m.def(
      "loss",
      [](const std::string& name, const py::dict& hyper, O out, O target, O weights, const std::string& where) {
        const std::string& caller = where.empty() ? name : where;
        return wants_double({out}) ? loss<double>(name, hyper, out, target, weights, caller)
                                   : loss<float>(name, hyper, out, target, weights, caller);
      },
      arg("name"), arg("hyper"), arg("out"), arg("target"), arg("sample_weight") = none, arg("where") = "");
}

}  // namespace fastnn::bindings
