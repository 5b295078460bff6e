// The kernels one by one, on the caller's arrays: copies them into engine matrices (any strides, dtype and byte order),
// runs the very loops that training uses, and writes the result. fastnn.functional gives them their names.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "activations/registry.h"
#include "bindings/border.h"
#include "bindings/copies.h"
#include "core/check.h"
#include "kernels/gemm.h"
#include "kernels/panels.h"
#include "kernels/softmax.h"
#include "layers/dropout_mask.h"
#include "trainer/model.h"

namespace fastnn::bindings {

namespace {

// Runs f(first row, rows) over chunks of rows on n_threads threads.
template <class F>
class RowChunks final : public parallel::Program {
 public:
  RowChunks(Index rows, double flops_per_row, F f) : rows_(rows), flops_(flops_per_row), f_(std::move(f)) {}
  Index items(int) const noexcept override { return ceil_div(rows_, kChunk); }
  double item_flops(int) const noexcept override { return flops_ * static_cast<double>(kChunk); }
  bool may_skip(int) const noexcept override { return true; }
  void run(int, Index item, parallel::Worker&) noexcept override {
    f_(item * kChunk, std::min(kChunk, rows_ - item * kChunk));
  }
  int finish(int, bool) noexcept override { return parallel::kEnd; }
  void go(const char* where, int n_threads) {
    require(n_threads >= 0, "[", where, "] n_threads = ", n_threads, "; expected a number >= 1, or 0 for automatic");
    if (n_threads == 0) n_threads = flops_ * static_cast<double>(rows_) < 1e6 ? 1 : parallel::limits().available();
    const WithoutGil free;
    if (parallel::run(*this, 0, n_threads, signal_poll()).stopped) throw trainer::Interrupted("interrupted");
  }

 private:
  static constexpr Index kChunk = 48;
  Index rows_;
  double flops_;
  F f_;
};

template <class T>
py::array linear(const py::object& x, const py::object& w, const py::object& b, const py::object& out, int n_threads) {
  const FloatMode mode;
  const auto weight = matrix<T>("linear", "W", w);
  const auto input = matrix<T>("linear", "x", x, weight.view().rows);
  std::optional<MatrixBuffer<T>> bias;
  if (!b.is_none()) {
    bias = matrix<T>("linear", "b", b, 1, true);
    require(bias->view().rows == weight.view().cols, "[linear] b has ", bias->view().rows, " values, W has ",
            weight.view().cols, " columns");
  }
  Buffer<T> row(padded<T>(weight.view().cols));
  if (bias)
    for (Index o = 0; o < weight.view().cols; ++o) row[o] = bias->view().row(o)[0];
  MatrixBuffer<T> y(input.view().rows, weight.view().cols);
  const ConstMatrix<T> in = input.view(), wv = weight.view();
  const Matrix<T> yv = y.view();
  RowChunks(in.rows, 2.0 * static_cast<double>(in.cols * wv.cols), [&](Index first, Index count) {
    kernels::product<T>(in.middle_rows(first, count), wv, row.data(), yv.middle_rows(first, count));
  }).go("linear", n_threads);
  return result<T>("linear", yv, out);
}

template <class T>
py::tuple linear_backward(const py::object& dy, const py::object& x, const py::object& w, bool need_dx, int n_threads) {
  const FloatMode mode;
  const auto weight = matrix<T>("linear_backward", "W", w);
  const auto input = matrix<T>("linear_backward", "x", x, weight.view().rows);
  const auto grad = matrix<T>("linear_backward", "dy", dy, weight.view().cols);
  const ConstMatrix<T> wv = weight.view(), xv = input.view(), g = grad.view();
  require(g.rows == xv.rows, "[linear_backward] dy has ", g.rows, " rows, x has ", xv.rows);
  py::object dx = py::none();
  if (need_dx) {
    Buffer<T> memory(panels_size<T>(wv.cols, wv.rows));
    const Panels<T> turned{memory.data(), wv.cols, wv.rows};
    kernels::transpose<T>(wv, turned);
    MatrixBuffer<T> dxv(xv.rows, xv.cols);
    const Matrix<T> to = dxv.view();
    RowChunks(g.rows, 2.0 * static_cast<double>(wv.rows * wv.cols), [&](Index first, Index count) {
      kernels::product<T>(g.middle_rows(first, count), turned, nullptr, to.middle_rows(first, count));
    }).go("linear_backward", n_threads);
    dx = result<T>("linear_backward", to, py::none());
  }
  MatrixBuffer<T> dw(wv.rows, wv.cols), db(1, wv.cols);
  kernels::product_transposed<T>(xv, g, dw.view());
  kernels::column_sums<T>(g, db.view().data);
  return py::make_tuple(dx, result<T>("linear_backward", dw.view(), py::none()),
                        result<T>("linear_backward", db.view(), py::none()).attr("reshape")(-1));
}

const activations::Row& activation_row(const std::string& name) {
  const auto* row = activations::find(name);
  std::vector<std::string> names;
  for (const auto& each : activations::registry()) names.emplace_back(each.name);
  require(row != nullptr, "[functional] unknown activation \'", name, "'; known: ", join(names));
  return *row;
}

template <class T>
py::array activation(const std::string& name, const py::dict& hyper, const py::object& z, const py::object& out) {
  const auto& row = activation_row(name);
  const auto values = resolve("[" + name + "]", row.hypers, hyper_given("[" + name + "]", hyper, row.hypers));
  auto a = matrix<T>(row.name, "z", z);
  const FloatMode mode;
  row.loops<T>().forward(values.data(), a.view(), a.view());
  return result<T>(row.name, a.view(), out);
}

template <class T>
py::array activation_backward(const std::string& name, const py::dict& hyper, const py::object& dy,
                              const py::object& saved, const py::object& out) {
  const auto& row = activation_row(name);
  const auto values = resolve("[" + name + "]", row.hypers, hyper_given("[" + name + "]", hyper, row.hypers));
  auto grad = matrix<T>(row.name, "dy", dy);
  const auto kept = matrix<T>(row.name, "saved", saved, grad.view().cols);
  require(kept.view().rows == grad.view().rows, "[", name, "] saved has ", kept.view().rows, " rows, dy has ",
          grad.view().rows);
  const FloatMode mode;
  row.loops<T>().backward(values.data(), kept.view(), grad.view());
  return result<T>(row.name, grad.view(), out);
}

template <class T>
py::array softmax(const py::object& x, const py::object& out, bool log) {
  const FloatMode mode;
  auto a = matrix<T>("softmax", "x", x);
  if (log)
    kernels::log_softmax<T>(a.view());
  else
    kernels::softmax<T>(a.view());
  return result<T>("softmax", a.view(), out);
}

template <class T>
py::array dropout_mask(Index rows, Index cols, double p, std::uint64_t seed, std::uint64_t layer, std::uint64_t step,
                       std::uint64_t draw) {
  require(rows >= 0 && cols >= 0, "[dropout_mask] shape (", rows, ", ", cols, "); expected numbers >= 0");
  require(p >= 0 && p <= 1, "[dropout_mask] p = ", p, "; expected 0 to 1");
  MatrixBuffer<T> mask(rows, cols);
  for (Index r = 0; r < rows; ++r)
    layers::dropout_mask_row<T>(p, seed, layer, step, draw, r, {0, cols}, mask.view().row(r));
  return result<T>("dropout_mask", mask.view(), py::none());
}

py::array uniform(Index n, std::uint64_t seed, std::uint64_t stream) {
  require(n >= 0, "[uniform] n = ", n, "; expected a number >= 0");
  py::array_t<double> draws(n);
  Words words(seed, stream);
  for (Index i = 0; i < n; ++i) draws.mutable_at(i) = to_unit(words.next());
  return draws;
}

py::array permutation(Index n, std::uint64_t seed, std::uint64_t epoch) {
  require(n >= 0, "[permutation] n = ", n, "; expected a number >= 0");
  py::array_t<std::int64_t> order(n);
  const auto never = [] { return false; };
  permute(order.mutable_data(), n, seed, epoch, never);
  return order;
}

}  // namespace

void register_functional(py::module_& m) {
  register_functional_training(m);
  using py::arg;
  using O = const py::object&;
  const auto none = py::none();
  m.def(
      "linear",
      [](O x, O w, O b, O out, int n) {
        return wants_double({x, w, b}) ? linear<double>(x, w, b, out, n) : linear<float>(x, w, b, out, n);
      },
      arg("x"), arg("w"), arg("b") = none, arg("out") = none, arg("n_threads") = 0);
  m.def(
      "linear_backward",
      [](O dy, O x, O w, bool need_dx, int n) {
        return wants_double({dy, x, w}) ? linear_backward<double>(dy, x, w, need_dx, n)
                                        : linear_backward<float>(dy, x, w, need_dx, n);
      },
      arg("dy"), arg("x"), arg("w"), arg("need_dx") = true, arg("n_threads") = 0);
  m.def(
      "activation",
      [](const std::string& name, const py::dict& hyper, O z, O out) {
        return wants_double({z}) ? activation<double>(name, hyper, z, out) : activation<float>(name, hyper, z, out);
      },
      arg("name"), arg("hyper"), arg("z"), arg("out") = none);
  m.def(
      "activation_backward",
      [](const std::string& name, const py::dict& hyper, O dy, O saved, O out) {
        return wants_double({dy, saved}) ? activation_backward<double>(name, hyper, dy, saved, out)
                                         : activation_backward<float>(name, hyper, dy, saved, out);
      },
      arg("name"), arg("hyper"), arg("dy"), arg("saved"), arg("out") = none);
  m.def(
      "softmax",
      [](O x, O out) { return wants_double({x}) ? softmax<double>(x, out, false) : softmax<float>(x, out, false); },
      arg("x"), arg("out") = none);
  m.def(
      "log_softmax",
      [](O x, O out) { return wants_double({x}) ? softmax<double>(x, out, true) : softmax<float>(x, out, true); },
      arg("x"), arg("out") = none);
  m.def(
      "dropout_mask",
      [](std::pair<Index, Index> shape, double p, std::uint64_t seed, std::uint64_t layer, std::uint64_t step,
         const std::string& dtype, std::uint64_t draw) {
        require(dtype == "float32" || dtype == "float64", "[dropout_mask] unknown dtype '", dtype,
                "'; known: float32, float64");
        return dtype == "float64" ? dropout_mask<double>(shape.first, shape.second, p, seed, layer, step, draw)
                                  : dropout_mask<float>(shape.first, shape.second, p, seed, layer, step, draw);
      },
      arg("shape"), arg("p"), arg("seed"), arg("layer") = 0, arg("step") = 0, arg("dtype") = "float32",
      arg("draw") = 0);
  m.def("uniform", uniform, arg("n"), arg("seed"), arg("stream") = 0,
        "Draws in [0, 1) of stream `stream` under `seed`.");
  m.def("permutation", permutation, arg("n"), arg("seed"), arg("epoch"),
        "The order of rows that fit(shuffle=True) uses in `epoch`.");
}

}  // namespace fastnn::bindings
