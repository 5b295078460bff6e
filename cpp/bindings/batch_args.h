// The arrays of one call of a network, X and what belongs to its rows, borrowed for the time of the call.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <optional>

#include "bindings/network.h"
#include "bindings/sparse_view.h"

namespace fastnn::bindings {

// The arrays of one call, checked against the model and against each other.
class BatchArgs {
 public:
  BatchArgs(const char* where, Network& net, py::handle x, py::handle y, py::handle w, py::handle grad = Py_None,
            const run::Names& names = run::kNames, bool only_checked = false);
  // Multiplies the weight of each row by the weight of its class, which `table` holds at the class's index.
  void weigh_classes(const char* where, const py::object& table, bool only_ratios);
  void need_rows(const char* where) const { refuse_unless(rows > 0, where, reason::kNoRows, data.names->x); }

  run::Data data;
  Index rows = 0;

 private:
  std::optional<NumpyView> x_, y_, w_, grad_;
  std::optional<SparseView> sparse_x_;
  Buffer<double> weights_of_classes_;
};

}  // namespace fastnn::bindings
