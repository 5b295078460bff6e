// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/column_statistics.h"

#include <algorithm>
#include <cmath>

#include "core/buffer.h"

namespace fastnn::kernels {

namespace {

constexpr Index kBlockRows = 32;      // converted at a time
constexpr Index kGranuleRows = 2048;  // of an item, or more, so that there are at most kGranules
constexpr Index kGranules = 512;
// A column whose standard deviation is a smaller fraction of its mean differs only by rounding.
constexpr double kRounding = 1e-15;

// Mean, sum of squared deviations, smallest and largest value of each column.
class Moments {
 public:
  explicit Moments(Index columns) : n_(columns), values_(4 * columns) {}
  double* mean() { return values_.data(); }
  double* squares() { return values_.data() + n_; }
  double* lowest() { return values_.data() + 2 * n_; }
  double* highest() { return values_.data() + 3 * n_; }
  bool finite = true;

  void add(Moments& other, double rows) {
    finite = finite && other.finite;
    const double share = rows / (rows_ + rows), cross = rows_ * share;
    double *m = mean(), *s = squares(), *low = lowest(), *high = highest();
    const double *m2 = other.mean(), *s2 = other.squares(), *low2 = other.lowest(), *high2 = other.highest();
    const bool first = rows_ == 0;
    for (Index c = 0; c < n_; ++c) {
      const double gap = m2[c] - m[c];
      m[c] = first ? m2[c] : m[c] + gap * share;
      s[c] = first ? s2[c] : s[c] + (s2[c] + gap * gap * cross);
      low[c] = first ? low2[c] : std::min(low[c], low2[c]);
      high[c] = first ? high2[c] : std::max(high[c], high2[c]);
    }
    rows_ += rows;
  }
  // Those of a block, in two passes.
  void measure(ConstMatrix<double> x) {
    double *m = mean(), *s = squares(), *low = lowest(), *high = highest();
    std::copy_n(x.row(0), n_, low);
    std::copy_n(x.row(0), n_, high);
    std::fill_n(m, 2 * n_, 0.0);
    for (Index r = 0; r < x.rows; ++r)
      for (Index c = 0; c < n_; ++c) {
        m[c] += x.row(r)[c];
        low[c] = std::min(low[c], x.row(r)[c]);
        high[c] = std::max(high[c], x.row(r)[c]);
      }
    for (Index c = 0; c < n_; ++c) m[c] /= static_cast<double>(x.rows);
    for (Index r = 0; r < x.rows; ++r)
      for (Index c = 0; c < n_; ++c) {
        const double deviation = x.row(r)[c] - m[c];
        s[c] += deviation * deviation;
      }
  }

 private:
  Index n_;
  Buffer<double> values_;
  double rows_ = 0;
};

class Pass final : public parallel::Program {
 public:
  Pass(const Source& source, int n_threads)
      : source_(source),
        granule_(std::max(kGranuleRows, (source.rows + kGranules - 1) / kGranules)),
        stride_(padded<double>(source.cols)) {
    for (Index k = 0; k < items(0); ++k) granules_.emplace_back(source.cols);
    for (int t = 0; t < n_threads; ++t) {
      rows_.emplace_back(kBlockRows * stride_);
      blocks_.emplace_back(source.cols);
    }
  }
  Index items(int) const noexcept override { return (source_.rows + granule_ - 1) / granule_; }
  double item_flops(int) const noexcept override { return 6.0 * static_cast<double>(granule_ * source_.cols); }
  bool may_skip(int) const noexcept override { return true; }
  int finish(int, bool) noexcept override { return parallel::kEnd; }

  void run(int, Index item, parallel::Worker& worker) noexcept override {
    const auto thread = static_cast<std::size_t>(worker.thread());
    const Index end = std::min(source_.rows, (item + 1) * granule_);
    for (Index first = item * granule_; first < end; first += kBlockRows) {
      const Index count = std::min(kBlockRows, end - first);
      const Matrix<double> x{rows_[thread].data(), count, source_.cols, stride_};
      Moments& block = blocks_[thread];
      block.finite = gather<double>(source_, {nullptr, first}, {}, x);
      block.measure(x);
      granules_[static_cast<std::size_t>(item)].add(block, static_cast<double>(count));
    }
  }
  ColumnStatistics merged() {
    const Index n = source_.cols;
    Moments all(n);
    for (Index k = 0; k < items(0); ++k)
      all.add(granules_[static_cast<std::size_t>(k)],
              static_cast<double>(std::min(granule_, source_.rows - k * granule_)));
    ColumnStatistics found{{all.mean(), all.mean() + n}, std::vector<double>(static_cast<std::size_t>(n)), all.finite};
    for (Index c = 0; c < n; ++c) {
      const bool constant = !(all.lowest()[c] < all.highest()[c]);
      const double std = std::sqrt(all.squares()[c] / static_cast<double>(source_.rows));
      const bool rounding = !(std > kRounding * std::abs(all.mean()[c]));
      found.std[static_cast<std::size_t>(c)] = constant || rounding ? 0 : std;
      if (constant) found.mean[static_cast<std::size_t>(c)] = all.lowest()[c];
    }
    return found;
  }

 private:
  const Source& source_;
  Index granule_, stride_;
  std::vector<Moments> granules_, blocks_;  // blocks_ and rows_: by thread
  std::vector<Buffer<double>> rows_;
};

}  // namespace

ColumnStatistics column_statistics(const Source& source, int n_threads, parallel::Poll poll) {
  const int threads = n_threads > 0 ? n_threads : parallel::limits().available();
  const double flops = 6.0 * static_cast<double>(source.rows) * static_cast<double>(source.cols);
  Pass pass(source, threads);
  const auto outcome = parallel::run(pass, 0, parallel::threads_without_waking(threads, flops), poll);
  ColumnStatistics found = pass.merged();
  found.stopped = outcome.stopped;
  return found;
}

}  // namespace fastnn::kernels
