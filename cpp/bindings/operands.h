// A caller's arrays as operands of the kernels behind fastnn.functional, which read them in place. They are copied only
// if their dtype, byte order or strides require it. Training does not use this file.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>

#include "bindings/numpy_view.h"
#include "core/buffer.h"
#include "kernels/plain_products.h"

namespace fastnn::bindings {

using kernels::Plain;

// True, for float64, if any array is float64 or none is floating-point; otherwise false, for float32.
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

// An array object read directly from its C struct: pybind11's accessors take as long as a small product.
class PlainArray {
 public:
  // Is `object` an aligned array of T in the byte order of this machine, and not of a subclass? Dtypes are compared by
  // address, because NumPy has one object for each built-in dtype; arrays with another object take the slow path.
  template <class T>
  static bool is(PyObject* object) {
    const auto& numpy = py::detail::npy_api::get();
    static PyObject* const wanted = numpy.PyArray_DescrFromType_(py::detail::npy_format_descriptor<T>::value);
    if (Py_TYPE(object) != numpy.PyArray_Type_) return false;
    const auto* proxy = py::detail::array_proxy(object);
    return proxy->descr == wanted && (proxy->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
  }
  explicit PlainArray(PyObject* object) : proxy_(py::detail::array_proxy(object)) {}
  int ndim() const { return proxy_->nd; }
  Index shape(int axis) const { return proxy_->dimensions[axis]; }
  Index stride(int axis) const { return proxy_->strides[axis]; }
  bool writeable() const { return (proxy_->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0; }
  bool contiguous() const { return (proxy_->flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0; }
  bool same_shape(const PlainArray& other) const {
    return ndim() == other.ndim() &&
           std::equal(proxy_->dimensions, proxy_->dimensions + proxy_->nd, other.proxy_->dimensions);
  }
  bool has_shape(std::initializer_list<Index> shape) const {
    return ndim() == static_cast<int>(shape.size()) && std::equal(shape.begin(), shape.end(), proxy_->dimensions);
  }
  Index size() const {
    Index n = 1;
    for (int axis = 0; axis < ndim(); ++axis) n *= shape(axis);
    return n;
  }
  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(proxy_->data);
  }
  // The array as a matrix with one of its strides 1; a vector is one column. Empty if no stride is 1.
  template <class T>
  std::optional<Plain<T>> matrix() const {
    constexpr Index kSize = sizeof(T);
    Plain<T> view{data<const T>(), shape(0), ndim() == 2 ? shape(1) : 1, stride(0), ndim() == 2 ? stride(1) : kSize};
    if (view.rows <= 1) view.row_stride = view.cols * kSize;
    if (view.cols <= 1) view.col_stride = kSize;
    if (view.row_stride % kSize != 0 || view.col_stride % kSize != 0) return std::nullopt;
    view.row_stride /= kSize;
    view.col_stride /= kSize;
    if (view.row_stride != 1 && view.col_stride != 1) return std::nullopt;
    return view;
  }

 private:
  const py::detail::PyArray_Proxy* proxy_;
};

// A new array of the shape and dtype of an array for which is() holds.
inline py::object new_like(PyObject* array) {
  const auto* proxy = py::detail::array_proxy(array);
  const auto& numpy = py::detail::npy_api::get();
  PyObject* made = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, Py_NewRef(proxy->descr), proxy->nd,
                                               proxy->dimensions, nullptr, nullptr, 0, nullptr);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

inline bool may_share_memory(PyObject* a, PyObject* b) {
  return may_share_memory(py::reinterpret_borrow<py::array>(a), py::reinterpret_borrow<py::array>(b));
}

// A caller's array as a matrix of T for the duration of one call.
template <class T>
class Operand {
 public:
  Operand(const char* where, const char* name, const py::object& object, const Expected& expected = {}) {
    const NumpyView rows(where, name, object, expected);
    if (PlainArray::is<T>(object.ptr()))
      if (const auto view = PlainArray(object.ptr()).matrix<T>()) {
        view_ = *view;
        return;
      }
    copy_ = MatrixBuffer<T>(rows.rows(), rows.source().cols);
    // Whether all numbers are finite does not matter: functions of arrays propagate Inf and NaN.
    kernels::gather<T>(rows.source(), {}, {}, copy_.view());
    const ConstMatrix<T> copy = std::as_const(copy_).view();
    view_ = {copy.data, copy.rows, copy.cols, copy.stride, 1};
  }
  const Plain<T>& view() const { return view_; }

 private:
  MatrixBuffer<T> copy_;
  Plain<T> view_;
};

// Copies a caller's array to an engine matrix of T.
template <class T>
MatrixBuffer<T> matrix(const char* where, const char* name, const py::object& object, const Expected& expected = {}) {
  const NumpyView rows(where, name, object, expected);
  MatrixBuffer<T> copy(rows.rows(), rows.source().cols);
  kernels::gather<T>(rows.source(), {}, {}, copy.view());
  return copy;
}

// A view of a result array, whose rows are contiguous.
template <class T>
Matrix<T> writable(py::array& array) {
  const Index rows = array.shape(0), cols = array.ndim() > 1 ? array.shape(1) : 1;
  return {static_cast<T*>(array.mutable_data()), rows, cols,
          rows > 1 ? array.strides(0) / static_cast<Index>(sizeof(T)) : cols};
}

template <class T>
py::array result(const char* where, ConstMatrix<T> from, const py::object& out) {
  py::array array = output<T>(where, out, from.rows, from.cols);
  const Matrix<T> to = writable<T>(array);
  for (Index r = 0; r < from.rows; ++r)
    if (from.cols > 0) std::memcpy(to.row(r), from.row(r), sizeof(T) * static_cast<std::size_t>(from.cols));
  return array;
}

}  // namespace fastnn::bindings
