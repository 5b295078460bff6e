// linear and linear_backward. The operands are read and the results written in place where their strides permit; the
// tiles of the results are the items that threads share.
// SPDX-License-Identifier: BSD-3-Clause
#include <optional>

#include "bindings/functional.h"
#include "bindings/items.h"
#include "bindings/operands.h"
#include "core/check.h"

namespace fastnn::bindings {

namespace {

template <class T>
double flops(Index m, Index k, Index n) {
  // A float64 takes as long as two float32. k + 1, because each element is also written once, even if k is 0.
  return 2.0 * static_cast<double>(sizeof(T) / 4) * static_cast<double>(m) * static_cast<double>(n) *
         static_cast<double>(k + 1);
}

template <class T>
void linear_into(const Plain<T>& x, const Plain<T>& w, const T* bias, const Matrix<T>& y, int n_threads) {
  const kernels::Tiling<T> tiling(x.rows, x.cols, w.cols);
  run_items(tiling.count(), flops<T>(x.rows, x.cols, w.cols), n_threads,
            [&](Index item) { kernels::plain_product<T>(x, w, bias, y, tiling, item); });
}

// dx.data may be nullptr, if dx is not wanted.
template <class T>
void backward_into(const Plain<T>& dy, const Plain<T>& x, const Plain<T>& w, const Matrix<T>& dx, const Matrix<T>& dw,
                   T* db, int n_threads) {
  constexpr Index kSums = 4 * kPad<T>;  // columns of db per item
  const double all = (dx ? 2 : 1) * flops<T>(x.rows, x.cols, w.cols);
  const kernels::Tiling<T> tiles_dx = dx ? kernels::Tiling<T>(x.rows, w.cols, x.cols) : kernels::Tiling<T>();
  const kernels::Tiling<T> tiles_dw(x.cols, x.rows, w.cols);
  const Index first_dw = tiles_dx.count(), first_db = first_dw + tiles_dw.count();
  run_items(first_db + ceil_div(w.cols, kSums), all, n_threads, [&](Index item) {
    if (item < first_dw) return kernels::plain_product<T>(dy, w.transposed(), nullptr, dx, tiles_dx, item);
    if (item < first_db) return kernels::plain_product<T>(x.transposed(), dy, nullptr, dw, tiles_dw, item - first_dw);
    const Index c = (item - first_db) * kSums;
    kernels::plain_column_sums<T>(dy.middle_cols(c, std::min(kSums, w.cols - c)), db + c);
  });
}

template <class T>
py::array linear(const py::object& x, const py::object& w, const py::object& b, const py::object& out, int n_threads) {
  checked_threads("linear", n_threads);
  const FloatMode mode;
  const Operand<T> weight("linear", "w", w);
  refuse_empty("linear", "w", weight.view().rows, weight.view().cols);
  const Operand<T> input("linear", "x", x, {.cols = weight.view().rows, .by = "w"});
  const Index m = input.view().rows, n = weight.view().cols;
  std::optional<Operand<T>> bias;
  Buffer<T> row;  // a contiguous copy of the bias, if it needs one
  if (!b.is_none()) {
    bias.emplace("linear", "b", b, Expected{.cols = 1, .rows = n, .vector = true});
    if (bias->view().row_stride != 1) {
      row = Buffer<T>(n);
      for (Index o = 0; o < n; ++o) row[o] = *bias->view().at(o, 0);
    }
  }
  const T* values = !bias ? nullptr : row.size() > 0 ? row.data() : bias->view().data;
  py::array y = output<T>("linear", out, m, n);
  bool shares = false;
  for (const py::object* each : {&x, &w, &b})
    shares = shares || (!out.is_none() && !each->is_none() && may_share_memory(y.ptr(), each->ptr()));
  if (!shares) {
    linear_into<T>(input.view(), weight.view(), values, writable<T>(y), n_threads);
    return y;
  }
  MatrixBuffer<T> aside(m, n);
  linear_into<T>(input.view(), weight.view(), values, aside.view(), n_threads);
  return result<T>("linear", aside.view(), out);
}

// The tuple (dx, dw, db) after their computation; dx is None if it is not wanted.
template <class T>
py::tuple gradients(const Plain<T>& dy, const Plain<T>& x, const Plain<T>& w, const py::object& dx,
                    const py::object& dw, const py::object& db, int n_threads) {
  const auto view = [](const py::object& array, Index rows, Index cols) {
    return Matrix<T>{PlainArray(array.ptr()).data<T>(), rows, cols, cols};
  };
  const Matrix<T> to_dx = dx.is_none() ? Matrix<T>{} : view(dx, x.rows, x.cols);
  backward_into<T>(dy, x, w, to_dx, view(dw, w.rows, w.cols), PlainArray(db.ptr()).data<T>(), n_threads);
  return py::make_tuple(dx, dw, db);
}

template <class T>
py::tuple linear_backward(const py::object& dy, const py::object& x, const py::object& w, bool need_dx, int n_threads) {
  checked_threads("linear_backward", n_threads);
  const FloatMode mode;
  const Operand<T> weight("linear_backward", "w", w);
  refuse_empty("linear_backward", "w", weight.view().rows, weight.view().cols);
  const Operand<T> input("linear_backward", "x", x, {.cols = weight.view().rows, .by = "w"});
  const Operand<T> grad("linear_backward", "dy", dy,
                        {.cols = weight.view().cols, .rows = input.view().rows, .of = "x"});
  const Plain<T>&x_ = input.view(), &w_ = weight.view();
  const py::object dx = need_dx ? py::object(new_array<T>({x_.rows, x_.cols})) : py::none();
  return gradients<T>(grad.view(), x_, w_, dx, new_array<T>({w_.rows, w_.cols}), new_array<T>({w_.cols}), n_threads);
}

// The plain call: an empty object, and nothing is written, if an array has to be converted or refused.
template <class T>
py::object plain_linear_of(PyObject* x, PyObject* w, PyObject* b, PyObject* out, int n_threads) {
  if (!PlainArray::is<T>(w)) return {};
  const PlainArray of_x(x), of_w(w);
  if (of_x.ndim() != 2 || of_w.ndim() != 2) return {};
  const auto input = of_x.matrix<T>(), weight = of_w.matrix<T>();
  if (!input || !weight || input->cols != weight->rows || weight->rows == 0 || weight->cols == 0) return {};
  const T* bias = nullptr;
  if (b != Py_None) {
    if (!PlainArray::is<T>(b)) return {};
    const PlainArray of_b(b);
    if (of_b.ndim() != 1 || of_b.shape(0) != weight->cols || !of_b.contiguous()) return {};
    bias = of_b.data<const T>();
  }
  const py::object y = plain_result<T>(out, {input->rows, weight->cols}, {x, w, b});
  if (y)
    linear_into<T>(*input, *weight, bias, {PlainArray(y.ptr()).data<T>(), input->rows, weight->cols, weight->cols},
                   n_threads);
  return y;
}

PyObject* plain_linear(PyObject*, PyObject* const* args, Py_ssize_t count) {
  const auto n_threads = count == 5 ? plain_threads(args[4]) : std::nullopt;
  return plain_answer(args[0], n_threads.has_value(),
                      [&]<class T>(T) { return plain_linear_of<T>(args[0], args[1], args[2], args[3], *n_threads); });
}

template <class T>
py::object plain_backward_of(PyObject* const* args, int n_threads) {
  if (!PlainArray::is<T>(args[1]) || !PlainArray::is<T>(args[2])) return {};
  const PlainArray of_dy(args[0]), of_x(args[1]), of_w(args[2]);
  if (of_dy.ndim() != 2 || of_x.ndim() != 2 || of_w.ndim() != 2) return {};
  const auto dy = of_dy.matrix<T>(), x = of_x.matrix<T>(), w = of_w.matrix<T>();
  if (!dy || !x || !w || x->cols != w->rows || dy->cols != w->cols || dy->rows != x->rows || w->rows == 0 ||
      w->cols == 0)
    return {};
  PyObject *of_dx = args[5], *of_dw = args[6], *of_db = args[7];
  const bool need_dx = args[3] == Py_True;
  if (!need_dx && of_dx != Py_None) return {};
  const py::object db = plain_result<T>(of_db, {w->cols}, {args[0], args[1], args[2]});
  if (!db) return {};
  const py::object dw = plain_result<T>(of_dw, {w->rows, w->cols}, {args[0], args[1], args[2], of_db});
  if (!dw) return {};
  py::object dx = py::none();
  if (need_dx) dx = plain_result<T>(of_dx, {x->rows, x->cols}, {args[0], args[1], args[2], of_db, of_dw});
  return dx ? gradients<T>(*dy, *x, *w, dx, dw, db, n_threads) : py::object();
}

PyObject* plain_linear_backward(PyObject*, PyObject* const* args, Py_ssize_t count) {
  const auto n_threads = count == 8 ? plain_threads(args[4]) : std::nullopt;
  const bool fits = n_threads && (args[3] == Py_True || args[3] == Py_False);
  return plain_answer(args[0], fits, [&]<class T>(T) { return plain_backward_of<T>(args, *n_threads); });
}

PyMethodDef g_plain[] = {
    plain_function(
        "plain_linear", plain_linear,
        "plain_linear(x, w, b, out, n_threads) -> object\n\nlinear where everything is plain; else NotImplemented."),
    plain_function("plain_linear_backward", plain_linear_backward,
                   "plain_linear_backward(dy, x, w, need_dx, n_threads, dx, dw, db) -> object\n\n"
                   "linear_backward where everything is plain; else NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_functional_products(py::module_& m) {
  using py::arg;
  using O = const py::object&;
  const auto none = py::none();
  if (PyModule_AddFunctions(m.ptr(), g_plain) != 0) throw py::error_already_set();
  m.def(
      "linear",
      [](O x, O w, O b, O out, int n) {
        return by_dtype({x, w, b}, [&]<class T>(T) { return linear<T>(x, w, b, out, n); });
      },
      arg("x"), arg("w"), arg("b") = none, arg("out") = none, arg("n_threads") = 0);
  m.def(
      "linear_backward",
      [](O dy, O x, O w, bool need_dx, int n) {
        return by_dtype({dy, x, w}, [&]<class T>(T) { return linear_backward<T>(dy, x, w, need_dx, n); });
      },
      arg("dy"), arg("x"), arg("w"), arg("need_dx") = true, arg("n_threads") = 0);
}

}  // namespace fastnn::bindings
