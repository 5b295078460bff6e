// What NumPy's generators draw for estimators: the orders of rows, one array that is shuffled again for each epoch as
// scikit-learn does by numpy.random.RandomState.shuffle, and the uniform numbers of RandomState.uniform.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <vector>

#include "bindings/border.h"
#include "core/numpy_random.h"

namespace fastnn::bindings {

// A bit generator of numpy.random, whose state each draw advances.
struct NumpyGenerator {
  NumpyGenerator() = default;
  explicit NumpyGenerator(const py::object& generator);

  py::object owner;  // of the memory of the state
  py::object lock;   // to be held while others may draw from it
  Numbers numbers{};
};

// The orders of n rows. A fit draws them without a call of Python.
class NumpyOrders : public EmptyAtFirst<NumpyOrders> {
 public:
  NumpyOrders() = default;  // of no rows
  // shared: whether others may draw from the generator meanwhile, so that orders are drawn with the GIL, under its lock.
  NumpyOrders(const py::object& generator, Index n, bool shared);

  Index rows() const { return static_cast<Index>(order_.size()); }
  // Returns the next order, in memory that the call after it changes. To be called without the GIL.
  const std::int64_t* next();

 private:
  NumpyGenerator generator_;
  bool shared_ = false;
  // What is shuffled, and what is returned, which other cores read: the copy costs less than if each exchange had to take
  // its cache lines back from them.
  std::vector<std::uint32_t> shuffled_;
  std::vector<std::int64_t> order_;
};

}  // namespace fastnn::bindings
