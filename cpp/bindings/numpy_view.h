// NumPy arrays as views of the engine. Rank, dtype, strides and flags are checked; an array that does not fit is
// refused, never copied.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "core/refusal.h"
#include "kernels/gather.h"
#include "losses/loss.h"

namespace fastnn::bindings {

namespace py = pybind11;

// A caller's array as rows of numbers, for the duration of one call. The Source points into it and into offsets_.
class NumpyView {
 public:
  NumpyView() = default;
  // Throws Refused if `object` is not an array of real numbers of the expected shape.
  NumpyView(const char* where, const char* name, const py::handle& object, const Expected& expected = {});
  const kernels::Source& source() const { return source_; }
  Index rows() const { return source_.rows; }
  NumpyView(const NumpyView&) = delete;
  NumpyView& operator=(const NumpyView&) = delete;

 private:
  py::object array_;  // not a py::array, whose default constructor allocates an array
  std::vector<Index> offsets_;
  kernels::Source source_;
};

// What a loss expects of its targets, and a call of the weights of rows, given what is expected of the outputs.
inline Expected targets_of(const losses::Row& loss, const Values& values, Expected outputs) {
  outputs.by = loss.class_name;
  if (loss.takes_probabilities) outputs.or_cols = outputs.cols;
  if (loss.outputs_per_target(values) > 1) outputs.outputs = outputs.cols;
  outputs.cols = loss.target_cols(values, outputs.cols);
  outputs.vector = outputs.cols == 1;
  if (loss.target == losses::TargetKind::kClass) outputs.cols = 1, outputs.vector = outputs.classes = true;
  return outputs;
}
inline Expected weights_of(Expected outputs) {
  outputs.cols = 1, outputs.vector = true;
  return outputs;
}

// The name of the object's type for messages, such as "list".
std::string type_name(const py::handle& object);

// Refuses a matrix without rows or columns.
inline void refuse_empty(const char* where, const char* name, Index rows, Index cols) {
  if (rows == 0 || cols == 0)
    throw Refused({.where = where, .reason = reason::kShape, .argument = name, .shape = {rows, cols}});
}

// The engine's dtype for a NumPy dtype; nullopt for objects, text, complex numbers, dates and the like.
std::optional<kernels::DType> numeric_dtype(const py::dtype& dtype);

std::vector<Index> shape_of(const py::array& array);

// An array that a function changes in place, of any shape: float32 or float64 in the byte order of this machine, or the
// dtype of `like`. Throws Refused.
py::array in_place(const char* where, const std::string& name, const py::handle& object,
                   const py::array* like = nullptr);

// The shape of the array for messages, such as "(3, 4)".
std::string shape_text(const py::array& array);

// A new array as py::array_t<T>(shape) makes it, without its two allocations for shape and strides.
template <class T>
py::array new_array(std::initializer_list<Index> shape);

// The (rows, cols) array of T that a call writes: a new one if `out` is None, and otherwise `out`, which must have the
// dtype and shape, contiguous rows in order, aligned memory, and be writeable.
template <class T>
py::array output(const char* where, const py::handle& out, Index rows, Index cols);

// Whether the bounds of their memory overlap, as numpy.may_share_memory.
bool may_share_memory(const py::array& a, const py::array& b);

}  // namespace fastnn::bindings
