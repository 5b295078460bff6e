// Mean and standard deviation of each column of a caller's array, of any dtype and layout, in one pass over its rows.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <vector>

#include "core/parallel.h"
#include "kernels/gather.h"

namespace fastnn::kernels {

struct ColumnStatistics {
  std::vector<double> mean;
  std::vector<double> std;  // over all rows, not rows - 1; 0 of a column of equal values
  bool finite = true;       // whether all values are; if not, the numbers above mean nothing
  bool stopped = false;     // by `poll`
};

// Granules of rows are items that threads share; their means and sums of squared deviations are merged in the order of
// the granules (Chan, Golub, LeVeque 1979), so that the bits depend on the numbers of rows and columns alone. Rows must
// be at least 1.
ColumnStatistics column_statistics(const Source& source, int n_threads, parallel::Poll poll);

}  // namespace fastnn::kernels
