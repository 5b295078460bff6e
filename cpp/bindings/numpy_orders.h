// NumpyOrders: the orders of rows that one of NumPy's generators draws. One array is shuffled again for each epoch, as
// scikit-learn does by numpy.random.RandomState.shuffle, and a fit draws them without a call of Python.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <vector>

#include "bindings/border.h"
#include "core/numpy_random.h"

namespace fastnn::bindings {

class NumpyOrders {
 public:
  // generator: a bit generator of numpy.random, whose state each order advances. shared: whether others may draw from
  // it meanwhile, so that orders are drawn with the GIL, under the lock of the generator.
  NumpyOrders(const py::object& generator, Index n, bool shared);

  Index rows() const { return static_cast<Index>(order_.size()); }
  // Returns the next order, in memory that the call after it changes. To be called without the GIL.
  const std::int64_t* next();

 private:
  py::object generator_;  // owns the memory of the state
  py::object lock_;       // of the generator if it is shared; otherwise no object
  // What is shuffled, and what is returned, which other cores read: the copy costs less than if each exchange had to take
  // its cache lines back from them.
  std::vector<std::uint32_t> shuffled_;
  std::vector<std::int64_t> order_;
  Numbers numbers_;
};

}  // namespace fastnn::bindings
