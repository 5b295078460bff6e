// Copies between NumPy arrays and engine matrices, for the kernels that fastnn.functional calls one by one.
// Training never comes through here.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstring>
#include <initializer_list>

#include "bindings/numpy_view.h"
#include "core/buffer.h"

namespace fastnn::bindings {

// float64 if any of the arrays is (integers count as float64 do not decide), float32 otherwise.
inline bool wants_double(std::initializer_list<py::object> arrays) {
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
MatrixBuffer<T> matrix(const char* where, const char* name, const py::object& object, Index cols = -1,
                       bool vector = false) {
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

}  // namespace fastnn::bindings
