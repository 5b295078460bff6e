// Registers the functions behind fastnn.functional, which run the kernels of training on a caller's arrays in place.
// This file itself has those that create arrays.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/border.h"
#include "bindings/functional.h"
#include "bindings/operands.h"
#include "bindings/sparse_view.h"
#include "bindings/values.h"
#include "core/check.h"
#include "initializers/initializer.h"
#include "kernels/column_statistics.h"
#include "layers/dropout_mask.h"
#include "run/refuse_cells.h"
#include "run/settings.h"

namespace fastnn::bindings {

namespace {

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
  PhiloxStream words(seed, stream);
  for (Index i = 0; i < n; ++i) draws.mutable_at(i) = to_unit(words.next());
  return draws;
}

template <class T>
py::array initial_values(const initializers::Row& row, const Values& values, Index rows, Index cols, std::uint64_t seed,
                         std::uint64_t stream) {
  MatrixBuffer<T> drawn(rows, cols);
  PhiloxStream words(seed, stream);
  row.fill<T>()(values, drawn.view(), {rows, cols}, words);
  return result<T>("initial_values", drawn.view(), py::none());
}

// The moments of rows that are known so far are a pair: how many rows, and an array (ColumnMoments::kCount, columns).
kernels::ColumnMoments moments_of(const std::pair<Index, py::array_t<double>>& known) {
  const auto& [rows, values] = known;
  require(rows > 0 && values.ndim() == 2 && values.shape(0) == kernels::ColumnMoments::kCount && values.shape(1) > 0,
          "[column_moments] the moments are not those of a call of column_moments");
  kernels::ColumnMoments moments(values.shape(1));
  moments.rows = rows;
  for (Index what = 0; what < values.shape(0); ++what)
    for (Index c = 0; c < moments.columns; ++c)
      moments.values[static_cast<std::size_t>(what * moments.columns + c)] = values.at(what, c);
  return moments;
}

// Those of the rows of x, and of the rows before them if `before` is not None.
py::tuple column_moments(const py::object& x, const std::string& name, Index columns, const py::object& before,
                         int n_threads) {
  const char* where = "column_moments";
  std::optional<kernels::ColumnMoments> moments;
  if (!before.is_none()) {
    moments = moments_of(before.cast<std::pair<Index, py::array_t<double>>>());
    columns = moments->columns;
  }
  const NumpyView rows(where, name.c_str(), x, {.cols = columns, .flatten = true, .by = "the model"});
  refuse_unless(rows.rows() > 0, where, reason::kNoRows, name.c_str());
  refuse_empty(where, name.c_str(), rows.rows(), rows.source().cols);
  checked_threads(where, n_threads);
  if (!moments) moments.emplace(rows.source().cols);
  kernels::Added added;
  {
    const WithoutGil free;
    added = kernels::add_rows(*moments, rows.source(), n_threads, signal_poll());
    if (!added.finite && !added.stopped)  // otherwise finite numbers that overflow when they are subtracted
      run::refuse_cells(rows.source(), {}, rows.rows(),
                        {.where = where, .reason = reason::kNotFinite, .argument = name, .dtype = "float64"},
                        [](double value, Index) { return !std::isfinite(value); });
  }
  if (added.stopped) throw py::error_already_set();
  py::array_t<double> values({Index{kernels::ColumnMoments::kCount}, moments->columns});
  std::ranges::copy(moments->values, values.mutable_data());
  return py::make_tuple(moments->rows, values);
}

py::tuple column_statistics(const std::pair<Index, py::array_t<double>>& moments) {
  const auto found = kernels::statistics(moments_of(moments));
  return py::make_tuple(py::array_t<double>(py::ssize_t(found.mean.size()), found.mean.data()),
                        py::array_t<double>(py::ssize_t(found.std.size()), found.std.data()));
}

constexpr Index kFreeFrom = 1 << 17;  // elements from which a look at all of them takes so long that others may run

bool all_finite(const py::object& x) {
  const NumpyView view("all_finite", "x", x, {.vector = true, .flatten = true});
  std::optional<WithoutGil> free;
  if (view.rows() * view.source().cols >= kFreeFrom) free.emplace();
  return kernels::all_finite(view.source());
}

// The distinct numbers of a column of integers, increasing; None unless all are at least 0 and below their count.
py::object distinct_below_count(const py::object& y) {
  const NumpyView view("distinct_below_count", "y", y, {.cols = 1, .vector = true});
  const Index n = view.rows(), limit = std::min<Index>(n, std::numeric_limits<std::int32_t>::max());
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(n));
  if (!kernels::gather_classes(view.source(), {}, n, limit, numbers.data())) return py::none();
  std::vector<char> seen(static_cast<std::size_t>(limit));
  for (const std::int32_t number : numbers) seen[static_cast<std::size_t>(number)] = 1;
  py::array_t<std::int64_t> distinct(std::ranges::count(seen, 1));
  std::int64_t* to = distinct.mutable_data();
  for (Index number = 0; number < limit; ++number)
    if (seen[static_cast<std::size_t>(number)]) *to++ = number;
  return distinct;
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
  register_functional_layers(m);
  register_functional_products(m);
  register_functional_rows(m);
  register_functional_schedules(m);
  register_functional_steps(m);
  register_functional_training(m);
  using py::arg;
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
  m.def(
      "initial_values",
      [](const std::string& name, const py::dict& params, std::pair<Index, Index> shape, std::uint64_t seed,
         std::uint64_t stream, const std::string& dtype) {
        const auto& row = initializers::registry().at("[initial_values]", name);
        const auto [rows, cols] = shape;
        require(rows >= 1 && cols >= 1, "[initial_values] shape (", rows, ", ", cols, "); expected numbers >= 1");
        require(dtype == "float32" || dtype == "float64", "[initial_values] unknown dtype '", dtype,
                "'; known: float32, float64");
        const Values values = values_of("[" + name + "]", row, params);
        return dtype == "float64" ? initial_values<double>(row, values, rows, cols, seed, stream)
                                  : initial_values<float>(row, values, rows, cols, seed, stream);
      },
      arg("name"), arg("params"), arg("shape"), arg("seed"), arg("stream") = 0, arg("dtype") = "float32",
      "A matrix of shape (in, out), drawn by an initializer from stream `stream` under `seed`.");
  m.def("column_moments", column_moments, arg("x"), arg("name") = "X", arg("columns") = -1, arg("before") = py::none(),
        arg("n_threads") = 0,
        "(rows, moments): what column_statistics needs of the rows of X and of those before them.");
  m.def("column_statistics", column_statistics, arg("moments"),
        "Mean and standard deviation of each column; 0 is that of values that differ by rounding at most.");
  m.def("permutation", permutation, arg("n"), arg("seed"), arg("epoch"),
        "The order of rows that fit(shuffle=True) uses in `epoch`.");
  m.def(
      "standstill",
      [](const std::vector<double>& losses, double tol, double best, Index waited) {
        run::Standstill state{.tol = tol, .best = best, .waited = waited};
        for (const double loss : losses) state.ends(loss);
        return std::make_pair(state.best, state.waited);
      },
      arg("losses"), arg("tol"), arg("best"), arg("waited"),
      "(best, waited) after the losses of further epochs, as the row \"standstill\" counts them.");
  m.def("all_finite", all_finite, arg("x"), "Whether all numbers of an array are finite.");
  m.def("distinct_below_count", distinct_below_count, arg("y"),
        "The distinct numbers of a column of integers, increasing; None unless all are at least 0 and below their "
        "count.");
  m.def("has_sorted_rows", has_sorted_rows, arg("where"), arg("name"), arg("matrix"),
        "Whether the columns of each row of a CSR matrix increase. Refuses places outside of the matrix.");
}

}  // namespace fastnn::bindings
