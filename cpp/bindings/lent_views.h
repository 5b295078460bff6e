// The views of a model's memory that callers hold. Nobody may write to them while fit runs.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <vector>

namespace fastnn::bindings {

namespace py = pybind11;

// The arrays that are views of a model's memory and that callers may still hold. While fit runs they are read-only.
class LentViews {
 public:
  void add(const py::array& view);
  // Makes the writable arrays among them read-only for the lifetime of the object.
  class Lock {
   public:
    explicit Lock(const LentViews& views);
    ~Lock();
    Lock(const Lock&) = delete;

   private:
    std::vector<py::array> locked_;
  };

 private:
  std::vector<py::weakref> views_;  // some of the arrays may no longer exist
  std::size_t room_ = 16;           // when views_ has this size, the references to arrays that are gone are removed
};

}  // namespace fastnn::bindings
