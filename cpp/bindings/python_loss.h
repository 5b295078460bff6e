// A Python function as the loss of a training step: f(out, rows) -> (loss, gradient), with arrays of the model's dtype.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <utility>

#include "bindings/border.h"
#include "bindings/network.h"
#include "core/check.h"
#include "train/model.h"

namespace fastnn::bindings {

// Asks a Python function for the loss of a batch, with the GIL.
class PythonLoss final : public train::OwnLoss {
 public:
  PythonLoss(const char* where, const py::object& function, bool is_double)
      : where_(where), function_(function), is_double_(is_double) {}
  double compute(const Rows& rows, const void* out, void* dout, Index cols, Index stride) override {
    return is_double_ ? ask(rows, static_cast<const double*>(out), static_cast<double*>(dout), cols, stride)
                      : ask(rows, static_cast<const float*>(out), static_cast<float*>(dout), cols, stride);
  }

 private:
  template <class T>
  double ask(const Rows& rows, const T* out, T* dout, Index cols, Index stride) {
    const WithGil gil;
    py::array_t<T> copy({rows.count, cols});
    for (Index r = 0; r < rows.count; ++r) std::copy_n(out + r * stride, cols, copy.mutable_data(r, 0));
    py::object which;
    if (rows.order) {
      py::array_t<std::int64_t> numbers(rows.count);
      std::copy_n(rows.order, rows.count, numbers.mutable_data());
      which = std::move(numbers);
    } else {
      which = py::slice(rows.first, rows.first + rows.count, 1);
    }
    const auto answer = function_(copy, which).template cast<std::pair<double, py::array>>();
    const py::array& grad = answer.second;
    const bool fits = grad.dtype().is(py::dtype::of<T>()) && grad.ndim() == 2 && grad.shape(0) == rows.count &&
                      grad.shape(1) == cols && (grad.flags() & py::array::c_style) != 0;
    require(fits, "[", where_, "] the gradient of own_loss is no contiguous array of the outputs' shape and dtype");
    const auto* from = static_cast<const T*>(grad.data());
    for (Index r = 0; r < rows.count; ++r) {
      std::copy_n(from + r * cols, cols, dout + r * stride);
      std::fill_n(dout + r * stride + cols, padded<T>(cols) - cols, T(0));
    }
    return answer.first;
  }

  const char* where_;
  py::object function_;
  bool is_double_;
};

}  // namespace fastnn::bindings
