// Mean and standard deviation of each column of a caller's rows, of any dtype and layout, in one pass over them. The
// rows may come in parts.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <vector>

#include "core/parallel.h"
#include "kernels/gather.h"

namespace fastnn::kernels {

// What is kept of the rows so far, in double. All but the centre, which is the first row, are of the rows minus the
// centre, so that they keep their digits where the values are large beside their differences.
struct ColumnMoments {
  enum Of { kCentre, kMean, kSquares, kLowest, kHighest, kCount };  // kSquares: sum of squared deviations from the mean
  explicit ColumnMoments(Index n) : columns(n), values(static_cast<std::size_t>(kCount * n)) {}
  double* of(Of what) { return values.data() + what * columns; }
  const double* of(Of what) const { return values.data() + what * columns; }

  Index columns;
  Index rows = 0;
  std::vector<double> values;  // kCount x columns
};

struct Added {
  bool finite = true;    // whether all values are, and their differences from the centre
  bool stopped = false;  // by `poll`
};

// Adds the rows of `source`, at least one. Granules of rows are items that threads share; their moments are merged in
// the order of the granules (Chan, Golub, LeVeque 1979), so that the bits depend on the numbers of rows and columns
// alone. Parts of whole granules have the bits of all rows at once. If not all rows were added, the moments mean
// nothing.
inline constexpr Index kGranuleRows = 2048;
Added add_rows(ColumnMoments& to, const Source& source, int n_threads, parallel::Poll poll);

struct ColumnStatistics {
  std::vector<double> mean;
  std::vector<double> std;  // over all rows, not rows - 1; 0 of a column whose values differ by rounding at most
};
ColumnStatistics statistics(const ColumnMoments& moments);

}  // namespace fastnn::kernels
