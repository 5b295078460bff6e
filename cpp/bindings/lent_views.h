// Arrays of callers that nobody may write to during a call: the views of a model's memory while fit runs, and those of a
// sparse matrix that say where its cells are.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <vector>

namespace fastnn::bindings {

namespace py = pybind11;

// Makes the writable arrays among these read-only for the lifetime of the object. Several objects may hold one array,
// for calls that read it in several threads: it becomes writable again with the last of them.
class ReadOnly {
 public:
  explicit ReadOnly(std::vector<py::array> arrays);
  ~ReadOnly();
  ReadOnly(const ReadOnly&) = delete;
  ReadOnly& operator=(const ReadOnly&) = delete;

 private:
  std::vector<py::array> locked_;  // those that were writable before the first of these objects
};

// The arrays that are views of a model's memory and that callers may still hold. While fit runs they are read-only.
class LentViews {
 public:
  void add(const py::array& view);
  std::vector<py::array> held() const;

 private:
  std::vector<py::weakref> views_;  // some of the arrays may no longer exist
  std::size_t room_ = 16;           // when views_ has this size, the references to arrays that are gone are removed
};

}  // namespace fastnn::bindings
