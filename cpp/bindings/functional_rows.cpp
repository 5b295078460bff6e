// Activations and their backward passes on the caller's arrays.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>

#include "activations/registry.h"
#include "bindings/functional.h"
#include "bindings/items.h"
#include "bindings/operands.h"
#include "bindings/values.h"
#include "core/check.h"

namespace fastnn::bindings {

namespace {

constexpr Index kRun = 16384;      // numbers per item
constexpr double kPerNumber = 20;  // the cost of one number, in floating-point operations of the matrix products

// Calls f(row, first column, count) for contiguous runs of at most `most` numbers. `flat` says that the rows of every
// array follow one another without a gap; they are then treated as one row.
template <class F>
void for_runs(Index rows, Index cols, bool flat, Index most, F f) {
  if (flat) cols *= rows, rows = 1;
  if (rows == 0 || cols == 0) return;
  const double cost = kPerNumber * static_cast<double>(rows) * static_cast<double>(cols);
  const auto run = [&f, most](Index row, Index first, Index count) {
    for (Index end = first + count; first < end; first += most) f(row, first, std::min(most, end - first));
  };
  if (cols >= kRun) {
    const Index runs = ceil_div(cols, kRun);
    return run_items(rows * runs, cost, 0, [&](Index item) {
      const Index first = item % runs * kRun;
      run(item / runs, first, std::min(kRun, cols - first));
    });
  }
  const Index group = kRun / cols;
  run_items(ceil_div(rows, group), cost, 0, [&](Index item) {
    for (Index row = item * group; row < std::min(rows, (item + 1) * group); ++row) run(row, 0, cols);
  });
}

// Calls f(first row, rows) for groups of whole rows, and hands it `arrays` buffers of padded rows where these are long.
template <class T, class F>
void for_whole_rows(Index rows, Index cols, int arrays, F f) {
  if (rows == 0 || cols == 0) return;
  MatrixBuffer<T> scratch[2];
  if (padded<T>(cols) > activations::kLongRow<T>)
    for (int i = 0; i < arrays; ++i) scratch[i] = MatrixBuffer<T>(rows, cols);
  const Index group = std::max<Index>(1, kRun / 2 / cols);
  const double cost = 4 * kPerNumber * static_cast<double>(rows) * static_cast<double>(padded<T>(cols));
  run_items(ceil_div(rows, group), cost, 0, [&](Index item) {
    const Index first = item * group, count = std::min(group, rows - first);
    const auto part = [&](int i) {
      return scratch[i].view() ? scratch[i].view().middle_rows(first, count) : Matrix<T>{};
    };
    f(first, count, part(0), part(1));
  });
}

template <class T>
void activation_into(const activations::Row& row, const Values& values, const ConstMatrix<T>& z, const Matrix<T>& a) {
  if (row.whole_rows)
    return for_whole_rows<T>(z.rows, z.cols, 1, [&](Index first, Index count, Matrix<T> scratch, Matrix<T>) {
      activations::forward_rows<T>(row, values, z.middle_rows(first, count), a.middle_rows(first, count), scratch);
    });
  for_runs(z.rows, z.cols, z.stride == z.cols && a.stride == a.cols, kRun,
           [&](Index r, Index c, Index n) { activations::forward<T>(row, values, z.row(r) + c, a.row(r) + c, n); });
}

template <class T>
void backward_into(const activations::Row& row, const Values& values, const ConstMatrix<T>& dy,
                   const ConstMatrix<T>& saved, const Matrix<T>& dz) {
  if (row.whole_rows)
    return for_whole_rows<T>(dy.rows, dy.cols, 2, [&](Index first, Index count, Matrix<T> grad, Matrix<T> kept) {
      activations::backward_rows<T>(row, values, dy.middle_rows(first, count), saved.middle_rows(first, count),
                                    dz.middle_rows(first, count), grad, kept);
    });
  const bool flat = dy.stride == dy.cols && saved.stride == saved.cols && dz.stride == dz.cols;
  for_runs(dy.rows, dy.cols, flat, activations::kBackwardRun, [&](Index r, Index c, Index n) {
    activations::backward<T>(row, values, dy.row(r) + c, saved.row(r) + c, dz.row(r) + c, n);
  });
}

// A view whose rows are contiguous as the engine's matrix.
template <class T>
ConstMatrix<T> rows_of(const Plain<T>& view) {
  return {view.data, view.rows, view.cols, view.row_stride};
}
// An operand with contiguous rows: the caller's array, or a copy if its rows are not contiguous.
template <class T>
struct RowOperand {
  RowOperand(const char* where, const char* name, const py::object& object, const Expected& expected = {})
      : operand(where, name, object, expected) {
    if (operand.view().col_stride == 1) {
      view = rows_of(operand.view());
      return;
    }
    copy = matrix<T>(where, name, object, expected);
    view = copy.view();
  }
  Operand<T> operand;
  MatrixBuffer<T> copy;
  ConstMatrix<T> view;
};

// Calls f(matrix for the result) and returns the result, which is `out` or a new array. If `out` overlaps an input
// without being that very array, f writes to a buffer, which is then copied to `out`.
template <class T, class F>
py::array into(const char* where, const py::object& out, Index rows, Index cols,
               std::initializer_list<const py::object*> inputs, F f) {
  py::array array = output<T>(where, out, rows, cols);
  const Matrix<T> to = writable<T>(array);
  bool overlaps = false;
  for (const py::object* input : inputs) {
    if (out.is_none() || !may_share_memory(array.ptr(), input->ptr())) continue;
    const auto other = py::reinterpret_borrow<py::array>(*input);
    const bool equal = other.data() == array.data() && other.dtype().is(array.dtype()) && other.ndim() == 2 &&
                       std::equal(other.strides(), other.strides() + 2, array.strides());
    overlaps = overlaps || !equal;
  }
  if (!overlaps) {
    f(to);
    return array;
  }
  MatrixBuffer<T> aside(rows, cols);
  f(aside.view());
  return result<T>(where, std::as_const(aside).view(), out);
}

template <class T>
py::array activation(const std::string& name, const py::dict& hyper, const py::object& z, const py::object& out) {
  const auto& row = activations::registry().at("[functional]", name);
  const Values values = values_of("[" + name + "]", row, hyper);
  const FloatMode mode;
  const RowOperand<T> in(row.name, "z", z);
  return into<T>(row.name, out, in.view.rows, in.view.cols, {&z},
                 [&](const Matrix<T>& a) { activation_into<T>(row, values, in.view, a); });
}

template <class T>
py::array activation_backward(const std::string& name, const py::dict& hyper, const py::object& dy,
                              const py::object& saved, const py::object& out) {
  const auto& row = activations::registry().at("[functional]", name);
  const Values values = values_of("[" + name + "]", row, hyper);
  const FloatMode mode;
  const RowOperand<T> grad(row.name, "dy", dy);
  const RowOperand<T> kept(row.name, "saved", saved, {.cols = grad.view.cols, .rows = grad.view.rows, .of = "dy"});
  return into<T>(row.name, out, grad.view.rows, grad.view.cols, {&dy, &saved},
                 [&](const Matrix<T>& dz) { backward_into<T>(row, values, grad.view, kept.view, dz); });
}

// -- plain calls: C-contiguous arrays of one shape and dtype, and `out` likewise or None -----------------------------

// All numbers as the rows that `row` works on: the last axis, or one row of everything where the activation is
// elementwise. Nothing of an activation of whole rows if there are none.
template <class T, class U>
std::optional<Matrix<U>> rows_for(const activations::Row& row, PyObject* array) {
  const PlainArray all(array);
  if (!row.whole_rows) return Matrix<U>{all.data<U>(), 1, all.size(), all.size()};
  const Index cols = all.ndim() == 0 ? 0 : all.shape(all.ndim() - 1);
  if (cols == 0) return std::nullopt;
  return Matrix<U>{all.data<U>(), all.size() / cols, cols, cols};
}

const activations::Row* plain_row(PyObject* name, PyObject* hyper, Values& values) {
  const auto* row = activations::registry().find(PyUnicode_AsUTF8(name));
  if (row == nullptr || row->params.empty()) return row;
  values = row->defaults();
  return plain_values(row->params, hyper, values) ? row : nullptr;
}

template <class T>
py::object plain_forward_of(PyObject* const* args) {
  PyObject* z = args[2];
  if (!PlainArray(z).contiguous()) return {};
  Values values;
  const auto* row = plain_row(args[0], args[1], values);
  if (row == nullptr) return {};
  const auto from = rows_for<T, const T>(*row, z);
  if (!from) return {};
  const py::object a = plain_out<T>(args[3], z, {z});
  if (a) activation_into<T>(*row, values, *from, *rows_for<T, T>(*row, a.ptr()));
  return a;
}

template <class T>
py::object plain_backward_of(PyObject* const* args) {
  PyObject *dy = args[2], *saved = args[3];
  if (!PlainArray::is<T>(saved) || !PlainArray(dy).contiguous() || !PlainArray(saved).contiguous() ||
      !PlainArray(dy).same_shape(PlainArray(saved)))
    return {};
  Values values;
  const auto* row = plain_row(args[0], args[1], values);
  if (row == nullptr) return {};
  const auto grad = rows_for<T, const T>(*row, dy);
  if (!grad) return {};
  const py::object dz = plain_out<T>(args[4], dy, {dy, saved});
  if (dz) backward_into<T>(*row, values, *grad, *rows_for<T, const T>(*row, saved), *rows_for<T, T>(*row, dz.ptr()));
  return dz;
}

bool named(PyObject* const* args) { return PyUnicode_CheckExact(args[0]) && PyDict_CheckExact(args[1]); }

PyObject* plain_activation(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 4) return Py_NewRef(Py_NotImplemented);
  return plain_answer(args[2], named(args), [&]<class T>(T) { return plain_forward_of<T>(args); });
}

PyObject* plain_activation_backward(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 5) return Py_NewRef(Py_NotImplemented);
  return plain_answer(args[2], named(args), [&]<class T>(T) { return plain_backward_of<T>(args); });
}

PyMethodDef g_plain_rows[] = {
    plain_function(
        "plain_activation", plain_activation,
        "plain_activation(name, hyper, z, out) -> object\n\nactivation of plain arrays; else NotImplemented."),
    plain_function("plain_activation_backward", plain_activation_backward,
                   "plain_activation_backward(name, hyper, dy, saved, out) -> object\n\n"
                   "activation_backward of plain arrays; else NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_functional_rows(py::module_& m) {
  using py::arg;
  using O = const py::object&;
  const auto none = py::none();
  if (PyModule_AddFunctions(m.ptr(), g_plain_rows) != 0) throw py::error_already_set();
  m.def(
      "activation",
      [](const std::string& name, const py::dict& hyper, O z, O out) {
        return by_dtype({z}, [&]<class T>(T) { return activation<T>(name, hyper, z, out); });
      },
      arg("name"), arg("hyper"), arg("z"), arg("out") = none);
  m.def(
      "activation_backward",
      [](const std::string& name, const py::dict& hyper, O dy, O saved, O out) {
        return by_dtype({dy, saved}, [&]<class T>(T) { return activation_backward<T>(name, hyper, dy, saved, out); });
      },
      arg("name"), arg("hyper"), arg("dy"), arg("saved"), arg("out") = none);
}

}  // namespace fastnn::bindings
