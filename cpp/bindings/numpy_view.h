// NumPy arrays as the engine's views: checks rank, dtype, strides and flags; refuses, never copies.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "core/refusal.h"
#include "kernels/gather.h"
#include "losses/loss.h"

namespace fastnn::bindings {

namespace py = pybind11;

// A caller's array for the time of one call. The Source points into it and into `offsets`.
class Rows {
 public:
  Rows() = default;
  // Throws Refused for what is no array of real numbers of the expected shape.
  Rows(const char* where, const char* name, const py::handle& object, const Expected& expected = {});
  const kernels::Source& source() const { return source_; }
  Index rows() const { return source_.rows; }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

 private:
  py::object array_;  // a py::array without a value would make one
  std::vector<Index> offsets_;
  kernels::Source source_;
};

// What a loss expects of targets, and a call of the weights of rows, where `outputs` is expected of outputs.
inline Expected targets_of(const losses::Row& loss, Expected outputs) {
  outputs.by = loss.class_name;
  if (loss.target == losses::TargetKind::kClass) outputs.cols = 1, outputs.vector = outputs.classes = true;
  return outputs;
}
inline Expected weights_of(Expected outputs) {
  outputs.cols = 1, outputs.vector = true;
  return outputs;
}

// "list" for messages.
std::string type_name(const py::handle& object);

// Of matrices that have to have a row and a column.
inline void refuse_empty(const char* where, const char* name, Index rows, Index cols) {
  if (rows == 0 || cols == 0)
    throw Refused({.where = where, .reason = reason::kShape, .argument = name, .shape = {rows, cols}});
}

// "(3, 4)" for messages.
std::string shape_text(const py::array& array);

// What py::array_t<T>(shape) makes, without its vectors of shape and strides.
template <class T>
py::array new_array(std::initializer_list<Index> shape);

// A fresh (rows, cols) array of T, or `out` after checks: dtype, shape, contiguous rows, aligned, writeable.
template <class T>
py::array output(const char* where, const py::handle& out, Index rows, Index cols);

// Do the bounds of their memory overlap? (as numpy.may_share_memory)
bool may_share_memory(const py::array& a, const py::array& b);

}  // namespace fastnn::bindings
