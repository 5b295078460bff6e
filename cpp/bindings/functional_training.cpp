// Losses on the caller's arrays.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string_view>
#include <vector>

#include "bindings/border.h"
#include "bindings/functional.h"
#include "bindings/items.h"
#include "bindings/operands.h"
#include "bindings/values.h"
#include "core/check.h"
#include "losses/loss.h"
#include "run/refuse_cells.h"

namespace fastnn::bindings {

namespace {

// Refuses numbers outside the interval that the loss's registry row states for targets or outputs. NaN passes, as in
// all functions of arrays.
template <class T>
void check_range(const std::string& where, const losses::Row& row, const Values& values, const losses::Traits& traits,
                 const char* why, ConstMatrix<T> x) {
  const bool is_output = std::string_view(why) == reason::kOutput;
  const auto outside = is_output ? losses::outside_outputs<T>(traits, x) : losses::outside_targets<T>(traits, x);
  if (!outside) return;
  Refusal refusal = run::refusal_of_range(where, why, is_output ? "out" : "target", row, values);
  refusal.row = outside.row, refusal.column = outside.column;
  refusal.value = static_cast<double>(x.row(outside.row)[outside.column]);
  throw Refused(std::move(refusal));
}

// The number of columns of targets, without more checks; -1: it has none.
Index columns_of(const py::object& target) {
  if (!py::isinstance<py::array>(target)) return -1;
  const auto array = py::reinterpret_borrow<py::array>(target);
  return array.ndim() == 2 ? array.shape(1) : array.ndim() == 1 ? 1 : -1;
}

// The divisor of the mean of a loss with weights of classes.
template <class T>
void weigh_classes(Reals table, const std::int32_t* classes, const T* weights, Index n, losses::Sums& sums) {
  if (!table.empty() && classes != nullptr)
    sums.divisor = losses::weight_of_classes<T>(table.all(), classes, weights, n);
}

// Are there as many outputs as targets and lists of parameters need?
bool fits(const losses::Row& row, const Values& values, Index k) {
  if (k % row.outputs_per_target(values) != 0) return false;
  return std::ranges::all_of(row.params, [&](const Field& field) {
    return !field.per_output || field.get_list(values).empty() || static_cast<Index>(field.get_list(values).size) == k;
  });
}

// With `strict`, also refuses what training refuses: no rows, and weights that are negative, not finite or all zero.
template <class T>
py::tuple loss(const std::string& name, const py::dict& hyper, const py::object& out, const py::object& target,
               const py::object& weights, bool strict) {
  const std::string& where = name;
  const auto* row = &losses::registry().at("[functional]", name);
  const Values values = values_of("[" + where + "]", *row, hyper);
  const FloatMode mode;
  const bool dense_targets = row->target == losses::TargetKind::kDense;
  const bool classes_given = row->takes_classes(columns_of(target));
  auto o = matrix<T>(where.c_str(), "out", out, {.vector = dense_targets || strict});
  const Index n = o.view().rows, k = o.view().cols;
  if (strict) refuse_empty(where.c_str(), "out", n, k);
  losses::check_outputs(where, *row, values, k);
  const losses::Traits traits = row->traits(values, k);
  const Expected expected{.cols = k, .rows = n, .vector = k == 1, .of = "out"};
  MatrixBuffer<T> dense, dout(n, k);
  Buffer<std::int32_t> labels(n);
  losses::Targets<T> targets;
  if (!classes_given) {
    dense = matrix<T>(where.c_str(), "target", target, targets_of(*row, values, expected));
    targets.dense = dense.view();
    check_range<T>(where, *row, values, traits, reason::kTarget, targets.dense);
  } else {
    const NumpyView classes(where.c_str(), "target", target, targets_of(*row, values, expected));
    if (!kernels::gather_classes(classes.source(), {}, n, k, labels.data()))
      run::refuse_classes(where, "target", classes.source(), {}, n, k);
    targets.classes = labels.data();
  }
  check_range<T>(where, *row, values, traits, reason::kOutput, o.view());
  losses::Sums sums = losses::unweighted(n);
  Buffer<T> per_row;
  if (!weights.is_none()) {
    const NumpyView w(where.c_str(), "sample_weight", weights, weights_of(expected));
    per_row = Buffer<T>(n);
    const losses::Weighed weighed = losses::weigh<T>(w.source(), {}, n, per_row.data());
    if (strict && !weighed.valid) run::refuse_weights(where, "sample_weight", w.source(), {}, n);
    sums = weighed.sums;
    refuse_unless(sums.weight > 0 || !strict, where.c_str(), reason::kNoWeight, "sample_weight");
  }
  weigh_classes<T>(traits.class_weights, targets.classes, weights.is_none() ? nullptr : per_row.data(), n, sums);
  sums.loss = row->loops<T>().value(values, o.view(), targets, weights.is_none() ? nullptr : per_row.data(),
                                    static_cast<T>(traits.scale(sums)), dout.view());
  return py::make_tuple(traits.average(sums), result<T>(where.c_str(), dout.view(), py::none()));
}

// -- the plain call ------------------------------------------------------------------------------------------------

// The tuple (loss, dout) for plain arrays; an empty object if something has to be converted or refused. `given`: the
// caller's array for dout, or None.
template <class T>
py::object plain_loss_of(const losses::Row& row, PyObject* out, PyObject* target, PyObject* weights, PyObject* given,
                         const Values& values) {
  const PlainArray o(out);
  if (!o.contiguous() || o.ndim() < 1 || o.ndim() > 2 || o.size() == 0) return {};
  const Index n = o.shape(0), k = o.ndim() == 2 ? o.shape(1) : 1;
  if (!fits(row, values, k)) return {};
  losses::PlainRows<T> rows;
  rows.out = {o.data<const T>(), n, k, k};
  Buffer<std::int32_t> labels;
  const losses::Traits traits = row.traits(values, k);
  const Index cols = traits.target_cols;
  if (row.target == losses::TargetKind::kDense || PlainArray::is<T>(target)) {
    if (!PlainArray::is<T>(target) || !PlainArray(target).contiguous()) return {};
    const PlainArray t(target);
    if (row.takes_classes(t.ndim() == 2 ? t.shape(1) : 1)) return {};
    if (cols == k ? !t.same_shape(o) : t.ndim() != 2 || t.shape(0) != n || t.shape(1) != cols) return {};
    rows.target = {t.data<const T>(), n, cols, cols};
  } else {
    if (!PlainArray::is<std::int64_t>(target) || !PlainArray(target).contiguous() || PlainArray(target).ndim() != 1 ||
        PlainArray(target).shape(0) != n || o.ndim() != 2)
      return {};
    const kernels::Source source{
        PlainArray(target).data<const char>(), n, 1, sizeof(std::int64_t), nullptr, kernels::DType::kInt64};
    labels = Buffer<std::int32_t>(n);
    if (!kernels::gather_classes(source, {}, n, k, labels.data())) return {};
    rows.classes = labels.data();
  }
  const FloatMode mode;
  losses::Sums sums = losses::unweighted(n);
  Buffer<T> per_row;
  if (weights != Py_None) {
    const bool is_single = PlainArray::is<float>(weights);
    if ((!is_single && !PlainArray::is<double>(weights)) || !PlainArray(weights).contiguous() ||
        PlainArray(weights).ndim() != 1 || PlainArray(weights).shape(0) != n)
      return {};
    per_row = Buffer<T>(n);
    const kernels::Source source{PlainArray(weights).data<const char>(),
                                 n,
                                 1,
                                 is_single ? 4 : 8,
                                 nullptr,
                                 is_single ? kernels::DType::kFloat32 : kernels::DType::kFloat64};
    sums = losses::weigh<T>(source, {}, n, per_row.data()).sums;
    rows.weights = per_row.data();
  }
  weigh_classes<T>(traits.class_weights, rows.classes, rows.weights, n, sums);
  const T scale = static_cast<T>(traits.scale(sums));
  const py::object to = plain_out<T>(given, out, {out, target, weights});
  if (!to) return {};
  const bool may_refuse = traits.bounds_targets || traits.bounds_outputs;  // when some rows are written already
  const py::object dout = given != Py_None && may_refuse ? new_like(out) : to;
  rows.dout = {PlainArray(dout.ptr()).data<T>(), n, k, k};
  MatrixBuffer<T> scratch[3];
  const bool is_long = padded<T>(k) > losses::kLongRow<T>;
  if (is_long)
    for (int s = 0; s < 3; ++s) {
      scratch[s] = MatrixBuffer<T>(n, k);
      rows.scratch[s] = scratch[s].view();
    }
  constexpr double kCostOfNumber = 60;  // the cost of one number, in floating-point operations of the matrix products
  const Index group = std::max<Index>(1, 8192 / padded<T>(k));
  std::vector<double> parts(static_cast<std::size_t>(ceil_div(n, group)));
  std::atomic<bool> good{true};
  run_items(ceil_div(n, group), kCostOfNumber * static_cast<double>(n * padded<T>(k)), 0, [&](Index item) {
    const Index first = item * group;
    if (!losses::add_plain_rows<T>(row, values, rows.part(first, std::min(group, n - first)), scale,
                                   parts[static_cast<std::size_t>(item)]))
      good.store(false, std::memory_order_relaxed);
  });
  if (!good.load()) return {};
  for (const double part : parts) sums.loss += part;  // in the order of the rows, so that threads do not change the sum
  if (!dout.is(to)) std::copy_n(rows.dout.data, n * k, PlainArray(to.ptr()).data<T>());
  return py::make_tuple(traits.average(sums), to);
}

// plain_loss(name, hyper, out, target, sample_weight, dout)
PyObject* plain_loss(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 6 || !PyUnicode_CheckExact(args[0])) return Py_NewRef(Py_NotImplemented);
  return plain_answer(args[2], true, [&]<class T>(T) -> py::object {
    const auto* row = losses::registry().find(PyUnicode_AsUTF8(args[0]));
    if (row == nullptr) return {};
    Values values = row->defaults();
    if (!plain_values(row->params, args[1], values)) return {};
    return plain_loss_of<T>(*row, args[2], args[3], args[4], args[5], values);
  });
}

PyMethodDef g_plain_losses[] = {
    plain_function("plain_loss", plain_loss,
                   "plain_loss(name, hyper, out, target, sample_weight, dout) -> object\n\n"
                   "loss of plain arrays; else NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_functional_training(py::module_& m) {
  using py::arg;
  using O = const py::object&;
  const auto none = py::none();
  if (PyModule_AddFunctions(m.ptr(), g_plain_losses) != 0) throw py::error_already_set();
  m.def(
      "loss",
      [](const std::string& name, const py::dict& hyper, O out, O target, O weights, bool strict) {
        return by_dtype({out}, [&]<class T>(T) { return loss<T>(name, hyper, out, target, weights, strict); });
      },
      arg("name"), arg("hyper"), arg("out"), arg("target"), arg("sample_weight") = none, arg("strict") = false);
}

}  // namespace fastnn::bindings
