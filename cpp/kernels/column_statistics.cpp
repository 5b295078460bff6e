// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/column_statistics.h"

#include <algorithm>
#include <cmath>

#include "core/buffer.h"

namespace fastnn::kernels {

namespace {

constexpr Index kGranulesAtOnce = 256;
// Elements of the rows that are converted at a time, within these numbers of rows: they are read twice.
constexpr Index kBlockNumbers = 16384, kFewestBlockRows = 4, kMostBlockRows = 32;
// A column whose standard deviation is a smaller fraction of its mean differs only by rounding.
constexpr double kRoundingOfMean = 1e-15;

// Sets the moments to those of the rows of x, in two passes.
void measure(ColumnMoments& to, ConstMatrix<double> x) {
  const Index n = to.columns;
  double *mean = to.of(ColumnMoments::kMean), *squares = to.of(ColumnMoments::kSquares);
  double *lowest = to.of(ColumnMoments::kLowest), *highest = to.of(ColumnMoments::kHighest);
  std::copy_n(x.row(0), n, lowest);
  std::copy_n(x.row(0), n, highest);
  std::fill_n(mean, n, 0.0);
  std::fill_n(squares, n, 0.0);
  for (Index r = 0; r < x.rows; ++r) {
    const double* row = x.row(r);
    for (Index c = 0; c < n; ++c) {
      mean[c] += row[c];
      lowest[c] = std::min(lowest[c], row[c]);
      highest[c] = std::max(highest[c], row[c]);
    }
  }
  const auto rows = static_cast<double>(x.rows);
  for (Index c = 0; c < n; ++c) mean[c] /= rows;
  for (Index r = 0; r < x.rows; ++r) {
    const double* row = x.row(r);
    for (Index c = 0; c < n; ++c) {
      const double deviation = row[c] - mean[c];
      squares[c] += deviation * deviation;
    }
  }
  to.rows = x.rows;
}

// Adds the moments of other rows with the same centre.
void merge(ColumnMoments& to, const ColumnMoments& other) {
  if (to.rows == 0) {
    std::copy(other.of(ColumnMoments::kMean), other.values.data() + other.values.size(), to.of(ColumnMoments::kMean));
    to.rows = other.rows;
    return;
  }
  const auto here = static_cast<double>(to.rows), there = static_cast<double>(other.rows);
  const double share = there / (here + there), cross = here * share;
  double *mean = to.of(ColumnMoments::kMean), *squares = to.of(ColumnMoments::kSquares);
  double *lowest = to.of(ColumnMoments::kLowest), *highest = to.of(ColumnMoments::kHighest);
  const double *their_mean = other.of(ColumnMoments::kMean), *their_squares = other.of(ColumnMoments::kSquares);
  const double *their_lowest = other.of(ColumnMoments::kLowest), *their_highest = other.of(ColumnMoments::kHighest);
  for (Index c = 0; c < to.columns; ++c) {
    const double gap = their_mean[c] - mean[c];
    mean[c] += gap * share;
    squares[c] += their_squares[c] + gap * gap * cross;
    lowest[c] = std::min(lowest[c], their_lowest[c]);
    highest[c] = std::max(highest[c], their_highest[c]);
  }
  to.rows += other.rows;
}

// One phase for each kGranulesAtOnce granules, after which they are merged.
class MomentsOfRows final : public parallel::Program {
 public:
  MomentsOfRows(ColumnMoments& to, const Source& source, int n_threads)
      : to_(to),
        source_(source),
        centre_(padded<double>(source.cols)),
        ones_(padded<double>(source.cols)),
        block_rows_(std::clamp(kBlockNumbers / source.cols, kFewestBlockRows, kMostBlockRows)),
        stride_(padded<double>(source.cols)) {
    std::copy_n(to.of(ColumnMoments::kCentre), source.cols, centre_.data());
    std::fill_n(ones_.data(), source.cols, 1.0);
    for (Index k = 0; k < items(0); ++k) granules_.push_back({ColumnMoments(source.cols)});
    for (int t = 0; t < n_threads; ++t)
      threads_.push_back({ColumnMoments(source.cols), Buffer<double>(block_rows_ * stride_)});
  }
  Index items(int) const noexcept override {
    return std::min(kGranulesAtOnce, ceil_div(source_.rows - first_, kGranuleRows));
  }
  double item_flops(int) const noexcept override { return 6.0 * static_cast<double>(kGranuleRows * source_.cols); }
  bool may_skip(int) const noexcept override { return true; }

  void run(int, Index item, parallel::Worker& worker) noexcept override {
    Granule& granule = granules_[static_cast<std::size_t>(item)];
    OfThread& own = threads_[static_cast<std::size_t>(worker.thread())];
    const Index begin = first_ + item * kGranuleRows, end = std::min(source_.rows, begin + kGranuleRows);
    granule.moments.rows = 0;
    for (Index first = begin; first < end; first += block_rows_) {
      const Index count = std::min(block_rows_, end - first);
      const Matrix<double> x{own.rows.data(), count, source_.cols, stride_};
      granule.finite = gather<double>(source_, {nullptr, first}, minus_centre_, x) && granule.finite;
      measure(own.block, x);
      merge(granule.moments, own.block);
    }
  }
  int finish(int, bool stopped) noexcept override {
    if (stopped) return parallel::kEnd;
    const Index count = items(0);
    for (Index k = 0; k < count; ++k) {
      const Granule& granule = granules_[static_cast<std::size_t>(k)];
      finite = finite && granule.finite;
      merge(to_, granule.moments);
    }
    first_ += count * kGranuleRows;
    return finite && first_ < source_.rows ? 0 : parallel::kEnd;
  }
  bool finite = true;

 private:
  struct Granule {
    ColumnMoments moments;
    bool finite = true;
  };
  struct OfThread {
    ColumnMoments block;
    Buffer<double> rows;
  };
  ColumnMoments& to_;
  const Source& source_;
  Buffer<double> centre_, ones_;  // padded, because gather reads whole vectors
  // Without the exact numbers, which are for dtypes that double would round.
  const Scaling<double> minus_centre_{.scale = ones_.data(), .mean = centre_.data()};
  Index block_rows_, stride_;
  Index first_ = 0;  // the row with which the phase begins
  std::vector<Granule> granules_;
  std::vector<OfThread> threads_;
};

}  // namespace

Added add_rows(ColumnMoments& to, const Source& source, int n_threads, parallel::Poll poll) {
  if (to.rows == 0)
    for (Index c = 0; c < to.columns; ++c) to.of(ColumnMoments::kCentre)[c] = element(source, 0, c);
  const int limit = n_threads > 0 ? n_threads : parallel::limits().available();
  const double flops = 6.0 * static_cast<double>(source.rows) * static_cast<double>(source.cols);
  const int threads = parallel::threads_without_waking(limit, flops);
  MomentsOfRows rows(to, source, threads);
  const auto outcome = parallel::run(rows, 0, threads, poll);
  return {rows.finite, outcome.stopped};
}

ColumnStatistics statistics(const ColumnMoments& moments) {
  const auto size = static_cast<std::size_t>(moments.columns);
  ColumnStatistics found{std::vector<double>(size), std::vector<double>(size)};
  for (std::size_t c = 0; c < size; ++c) {
    const double centre = moments.of(ColumnMoments::kCentre)[c], lowest = moments.of(ColumnMoments::kLowest)[c];
    const bool constant = !(lowest < moments.of(ColumnMoments::kHighest)[c]);
    found.mean[c] = centre + (constant ? lowest : moments.of(ColumnMoments::kMean)[c]);
    const double std = std::sqrt(moments.of(ColumnMoments::kSquares)[c] / static_cast<double>(moments.rows));
    const bool rounding = !(std > kRoundingOfMean * std::abs(found.mean[c]));
    found.std[c] = constant || rounding ? 0 : std;
  }
  return found;
}

}  // namespace fastnn::kernels
