// The kernels one by one, on the caller's arrays: copies them into engine matrices (any strides, dtype and byte order),
// runs the very loops that training uses, and writes the result. fastnn.functional gives them their names.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "activations/activation.h"
#include "bindings/border.h"
#include "bindings/numpy_view.h"
#include "core/buffer.h"
#include "core/check.h"
#include "kernels/gemm.h"
#include "kernels/softmax.h"
#include "layers/dropout.h"
#include "losses/loss.h"
#include "optimizers/optimizer.h"
#include "trainer/inference.h"

namespace fastnn::inline FASTNN_ISA::bindings {

namespace {

// float64 if any of the arrays is (integers count as float64 do not decide), float32 otherwise.
bool wants_double(std::initializer_list<py::object> arrays) {
  bool any_single = false;
  for (const auto& object : arrays) {
    if (!py::isinstance<py::array>(object)) continue;
    const py::dtype dtype = py::reinterpret_borrow<py::array>(object).dtype();
    if (dtype.kind() == 'f' && dtype.itemsize() == 8) return true;
    any_single = any_single || (dtype.kind() == 'f');
  }
  return !any_single;
}

// A caller's array as an engine matrix of T: a copy.
template <class T>
MatrixBuffer<T> matrix(const char* where, const char* name, const py::object& object, Index cols = -1, bool vector = false) {
  const Rows rows(where, name, object, cols, false, vector);
  MatrixBuffer<T> copy(rows.rows(), rows.source().cols);
  kernels::gather<T>(rows.source(), {}, {}, copy.view());  // functions of arrays pass Inf and NaN on
  return copy;
}

template <class T>
py::array result(const char* where, ConstMatrix<T> from, const py::object& out) {
  py::array array = output<T>(where, out, from.rows, from.cols);
  auto* to = static_cast<T*>(array.mutable_data());
  const Index stride = from.rows > 1 ? array.strides(0) / array.itemsize() : from.cols;
  for (Index r = 0; r < from.rows; ++r)
    if (from.cols > 0) std::memcpy(to + r * stride, from.row(r), sizeof(T) * static_cast<std::size_t>(from.cols));
  return array;
}

// Runs f(first row, rows) over chunks of rows on n_threads threads.
template <class F>
class RowChunks final : public parallel::Program {
 public:
  RowChunks(Index rows, double flops_per_row, F f) : rows_(rows), flops_(flops_per_row), f_(std::move(f)) {}
  Index items(int) const noexcept override { return ceil_div(rows_, kChunk); }
  double item_flops(int) const noexcept override { return flops_ * static_cast<double>(kChunk); }
  bool may_skip(int) const noexcept override { return true; }
  void run(int, Index item, int) noexcept override { f_(item * kChunk, std::min(kChunk, rows_ - item * kChunk)); }
  int finish(int, bool) noexcept override { return parallel::kEnd; }
  void go(const char* where, int n_threads) {
    require(n_threads >= 0, "[", where, "] n_threads = ", n_threads, "; expected a number >= 1, or 0 for automatic");
    if (n_threads == 0) n_threads = flops_ * static_cast<double>(rows_) < 1e6 ? 1 : parallel::limits().available();
    const py::gil_scoped_release release;
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
  const auto weight = matrix<T>("linear_backward", "W", w);
  const auto input = matrix<T>("linear_backward", "x", x, weight.view().rows);
  const auto grad = matrix<T>("linear_backward", "dy", dy, weight.view().cols);
  const ConstMatrix<T> wv = weight.view(), xv = input.view(), g = grad.view();
  require(g.rows == xv.rows, "[linear_backward] dy has ", g.rows, " rows, x has ", xv.rows);
  py::object dx = py::none();
  if (need_dx) {
    MatrixBuffer<T> wt(wv.cols, wv.rows), dxv(xv.rows, xv.cols);
    kernels::transpose<T>(wv, wt.view());
    const Matrix<T> to = dxv.view();
    const ConstMatrix<T> turned = wt.view();
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
  require(row != nullptr, "unknown activation '", name, "'; known: ", join(names));
  return *row;
}

template <class T>
py::array activation(const std::string& name, const py::dict& hyper, const py::object& z, const py::object& out) {
  const auto& row = activation_row(name);
  const auto values = resolve("[" + name + "]", row.hypers, hyper_given("[" + name + "]", hyper, row.hypers));
  auto a = matrix<T>(row.name, "z", z);
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
  row.loops<T>().backward(values.data(), kept.view(), grad.view());
  return result<T>(row.name, grad.view(), out);
}

template <class T>
py::array softmax(const py::object& x, const py::object& out, bool log) {
  auto a = matrix<T>("softmax", "x", x);
  for (Index r = 0; r < a.view().rows; ++r) {
    if (log) kernels::log_softmax_row<T>(a.view().row(r), a.view().cols);
    else kernels::softmax_row<T>(a.view().row(r), a.view().cols);
  }
  return result<T>("softmax", a.view(), out);
}

template <class T>
py::tuple loss(const std::string& name, const py::dict& hyper, const py::object& out, const py::object& target,
               const py::object& weights) {
  const auto* row = losses::find(name);
  std::vector<std::string> names;
  for (const auto& each : losses::registry()) names.emplace_back(each.name);
  require(row != nullptr, "unknown loss '", name, "'; known: ", join(names));
  const auto values = resolve("[" + name + "]", row->hypers, hyper_given("[" + name + "]", hyper, row->hypers));
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
  const double value = row->loops<T>().value(values.data(), o.view(), targets, weights.is_none() ? nullptr : per_row.data(),
                                             static_cast<T>(1 / divisor), dout.view());
  return py::make_tuple(value / divisor, result<T>(row->name, dout.view(), py::none()));
}

// Updates flat arrays in place: what the engine does to a tile, on a copy of the caller's memory.
template <class T>
void step_one(const optimizers::Row& row, const optimizers::Coefficients& c, T l1, py::array param, const py::array& grad,
              const std::vector<py::array>& states) {
  const auto n = static_cast<Index>(param.size());
  const auto flat = [&](const py::object& a) { return a.attr("reshape")(1, n).cast<py::object>(); };
  auto w = matrix<T>(row.name, "parameter", flat(param));
  const auto g = matrix<T>(row.name, "gradient", flat(grad));
  std::vector<MatrixBuffer<T>> kept;
  optimizers::Tile<T> tile;
  tile.rows = 1;
  tile.cols = padded<T>(n);
  tile.param = w.view().data;
  tile.stride = tile.grad_stride = padded<T>(n);
  tile.grad = g.view().data;
  tile.l1 = l1;
  for (const auto& state : states) kept.push_back(matrix<T>(row.name, "state", flat(state)));
  for (std::size_t s = 0; s < kept.size(); ++s) tile.state[s] = kept[s].view().data;
  row.loops<T>().update(c, tile);
  const auto write = [&](const py::array& to, MatrixBuffer<T>& from) {
    to[py::ellipsis()] = py::array_t<T>({n}, from.view().data).attr("reshape")(to.attr("shape"));
  };
  write(param, w);
  for (std::size_t s = 0; s < kept.size(); ++s) write(states[s], kept[s]);
}

void optimizer_step(const std::string& name, const py::dict& hyper, std::int64_t t, const std::vector<py::array>& params,
                    const std::vector<py::array>& grads, const std::vector<std::vector<py::array>>& states) {
  const auto* row = optimizers::find(name);
  std::vector<std::string> names;
  for (const auto& each : optimizers::registry()) names.emplace_back(each.name);
  require(row != nullptr, "unknown optimizer '", name, "'; known: ", join(names));
  const auto values = resolve("[" + name + "]", row->hypers, hyper_given("[" + name + "]", hyper, row->hypers));
  require(t >= 1, "[", name, "] t = ", t, "; steps are counted from 1");
  const auto n_states = static_cast<std::size_t>(row->states(values.data()));
  require(grads.size() == params.size(), "[", name, "] ", grads.size(), " gradients came for ", params.size(), " parameters");
  require(states.size() >= n_states, "[", name, "] ", states.size(), " state lists came, expected ", n_states);
  double l1 = 0;
  for (std::size_t h = 0; h < row->hypers.size(); ++h)
    if (std::string(row->hypers[h].name) == "l1") l1 = values[h];
  const auto coefficients = row->coefficients(values.data(), t);
  for (std::size_t k = 0; k < params.size(); ++k) {
    std::vector<py::array> own;
    for (std::size_t s = 0; s < n_states; ++s) {
      require(states[s].size() == params.size(), "[", name, "] state ", s, " has ", states[s].size(), " arrays, expected ",
              params.size());
      own.push_back(states[s][k]);
    }
    std::vector<py::array> all{params[k], grads[k]};
    all.insert(all.end(), own.begin(), own.end());
    for (std::size_t a = 0; a < all.size(); ++a) {
      require(all[a].attr("shape").equal(params[k].attr("shape")), "[", name, "] arrays of parameter ", k, " differ in shape");
      require(a == 1 || all[a].writeable(), "[", name, "] parameter ", k, " or its state is read-only");
    }
    const py::dtype dtype = params[k].dtype();
    if (dtype.kind() == 'f' && dtype.itemsize() == 4) step_one<float>(*row, coefficients, static_cast<float>(l1), params[k], grads[k], own);
    else if (dtype.kind() == 'f' && dtype.itemsize() == 8) step_one<double>(*row, coefficients, l1, params[k], grads[k], own);
    else throw py::type_error("[" + name + "] parameter " + std::to_string(k) + " has dtype " + std::string(py::str(py::object(dtype))) + "; expected float32 or float64");
  }
}

template <class T>
py::array dropout_mask(Index rows, Index cols, double p, std::uint64_t seed, std::uint64_t layer, std::uint64_t step) {
  require(rows >= 0 && cols >= 0, "[dropout_mask] shape (", rows, ", ", cols, "); expected numbers >= 0");
  require(p >= 0 && p <= 1, "[dropout_mask] p = ", p, "; expected 0 to 1");
  MatrixBuffer<T> mask(rows, cols);
  for (Index r = 0; r < rows; ++r) layers::dropout_mask_row<T>(p, seed, layer, step, r, {0, cols}, mask.view().row(r));
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
  permute(order.mutable_data(), n, seed, epoch);
  return order;
}

}  // namespace

void register_functional(py::module_& m) {
  using py::arg;
  using O = const py::object&;
  const auto none = py::none();
  m.def("linear", [](O x, O w, O b, O out, int n) {
    return wants_double({x, w, b}) ? linear<double>(x, w, b, out, n) : linear<float>(x, w, b, out, n);
  }, arg("x"), arg("w"), arg("b") = none, arg("out") = none, arg("n_threads") = 0);
  m.def("linear_backward", [](O dy, O x, O w, bool need_dx, int n) {
    return wants_double({dy, x, w}) ? linear_backward<double>(dy, x, w, need_dx, n) : linear_backward<float>(dy, x, w, need_dx, n);
  }, arg("dy"), arg("x"), arg("w"), arg("need_dx") = true, arg("n_threads") = 0);
  m.def("activation", [](const std::string& name, const py::dict& hyper, O z, O out) {
    return wants_double({z}) ? activation<double>(name, hyper, z, out) : activation<float>(name, hyper, z, out);
  }, arg("name"), arg("hyper"), arg("z"), arg("out") = none);
  m.def("activation_backward", [](const std::string& name, const py::dict& hyper, O dy, O saved, O out) {
    return wants_double({dy, saved}) ? activation_backward<double>(name, hyper, dy, saved, out)
                                     : activation_backward<float>(name, hyper, dy, saved, out);
  }, arg("name"), arg("hyper"), arg("dy"), arg("saved"), arg("out") = none);
  m.def("softmax", [](O x, O out) { return wants_double({x}) ? softmax<double>(x, out, false) : softmax<float>(x, out, false); },
        arg("x"), arg("out") = none);
  m.def("log_softmax", [](O x, O out) { return wants_double({x}) ? softmax<double>(x, out, true) : softmax<float>(x, out, true); },
        arg("x"), arg("out") = none);
  m.def("loss", [](const std::string& name, const py::dict& hyper, O out, O target, O weights) {
    return wants_double({out}) ? loss<double>(name, hyper, out, target, weights) : loss<float>(name, hyper, out, target, weights);
  }, arg("name"), arg("hyper"), arg("out"), arg("target"), arg("sample_weight") = none);
  m.def("optimizer_step", optimizer_step, arg("name"), arg("hyper"), arg("t"), arg("params"), arg("grads"), arg("states"));
  m.def("dropout_mask", [](std::pair<Index, Index> shape, double p, std::uint64_t seed, std::uint64_t layer, std::uint64_t step, const std::string& dtype) {
    require(dtype == "float32" || dtype == "float64", "[dropout_mask] unknown dtype '", dtype, "'; known: float32, float64");
    return dtype == "float64" ? dropout_mask<double>(shape.first, shape.second, p, seed, layer, step)
                              : dropout_mask<float>(shape.first, shape.second, p, seed, layer, step);
  }, arg("shape"), arg("p"), arg("seed"), arg("layer") = 0, arg("step") = 0, arg("dtype") = "float32");
  m.def("uniform", uniform, arg("n"), arg("seed"), arg("stream") = 0, "Draws in [0, 1) of stream `stream` under `seed`.");
  m.def("permutation", permutation, arg("n"), arg("seed"), arg("epoch"), "The order of rows that fit(shuffle=True) uses in `epoch`.");
}

}  // namespace fastnn::inline FASTNN_ISA::bindings
