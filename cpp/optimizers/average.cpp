// SPDX-License-Identifier: BSD-3-Clause
#include "optimizers/average.h"

#include <algorithm>
#include <array>

#include "core/elementary.h"
#include "core/simd.h"

namespace fastnn::optimizers {

namespace {

template <class P>
inline constexpr Field kStartEpoch =
    field<&P::start_epoch>("start_epoch", "first epoch of a fit, counted from 0, whose updates count", tries(1));
template <class P>
inline constexpr Field kStartStep =
    field<&P::start_step>("start_step", "first update since compile, counted from 0, that counts", tries(2));
template <class P>
inline constexpr Field kEvery = field<&P::every>("every", at_least(1), "count only each `every`-th", tries(3));
template <class P>
inline constexpr Field kUnit = field<&P::unit>("unit", choices("steps", "epochs"),
                                               "what `every` counts: updates, or epochs, with the last update of each");

struct EmaParams {
  double decay = 0.999;
  bool bias_correction = false, warmup = false;
  std::int64_t start_epoch = 0, start_step = 0, every = 1;
  AverageUnit unit = AverageUnit::kSteps;
};
struct Ema {
  using Params = EmaParams;
  static constexpr std::array kFields{
      field<&Params::decay>("decay", within(0, below(1)), "share of the last average kept", tries(0.9)),
      field<&Params::bias_correction>("bias_correction",
                                      "the average begins at zero, and its bias is corrected as Adam's are"),
      field<&Params::warmup>("warmup", "keep at most (1 + n) / (10 + n) in the n-th update"),
      kStartEpoch<Params>,
      kStartStep<Params>,
      kEvery<Params>,
      kUnit<Params>,
  };
  static double share(const Params& p, std::int64_t n) {
    const auto count = static_cast<double>(n);
    double share = 1 - p.decay;
    if (p.bias_correction) share /= power_complement(p.decay, count);
    if (p.warmup) share = std::max(share, 1 - (1 + count) / (10 + count));
    return n == 1 ? 1 : share;
  }
};

struct SwaParams {
  std::int64_t start_epoch = 0, start_step = 0, every = 1;
  AverageUnit unit = AverageUnit::kEpochs;
};
struct Swa {
  using Params = SwaParams;
  static constexpr std::array kFields{kStartEpoch<Params>, kStartStep<Params>, kEvery<Params>, kUnit<Params>};
  static double share(const Params&, std::int64_t n) { return 1 / static_cast<double>(n); }
};

template <class M>
constexpr Average average_of(const char* name, const char* class_name, const char* formula) {
  using P = typename M::Params;
  return {row_of<M>(name, class_name, formula),
          [](const Values& values, std::int64_t n) { return M::share(values.as<P>(), n); },
          [](const Values& values) {
            const auto p = values.as<P>();
            return AverageTimes{p.start_epoch, p.start_step, p.every, p.unit};
          }};
}

constexpr Average kAverages[] = {
    average_of<Ema>("ema", "EMA", "average = decay average + (1 - decay) w, in the first update w"),
    average_of<Swa>("swa", "SWA", "the mean of w after the updates that count"),
};

}  // namespace

Registry<Average> averages() { return {"average", kAverages}; }

template <class T>
void add_to_average(const AverageTile<T>& tile, T share) noexcept {
  const auto part = Vec<T>::set(share);
  for (Index r = 0; r < tile.rows; ++r) {
    const T* w = tile.param + r * tile.stride;
    T* average = tile.average + r * tile.stride;
    for (Index c = 0; c < tile.cols; c += Vec<T>::kLanes) {
      const auto old = Vec<T>::loadu(average + c);
      fma(part, Vec<T>::loadu(w + c) - old, old).storeu(average + c);
    }
  }
}

// Numbers that are no whole vector are computed in one, so that their bits do not depend on their place.
template <class T>
void add_to_average(const T* param, T* average, Index n, T share) noexcept {
  if (share == T(1)) {  // whatever the average was
    std::copy_n(param, n, average);
    return;
  }
  const Index rest = n % Vec<T>::kLanes;
  add_to_average<T>({1, n - rest, param, average, n}, share);
  if (rest == 0) return;
  T w[Vec<T>::kLanes] = {}, sum[Vec<T>::kLanes] = {};
  std::copy_n(param + n - rest, rest, w);
  std::copy_n(average + n - rest, rest, sum);
  add_to_average<T>({1, Vec<T>::kLanes, w, sum, n}, share);
  std::copy_n(sum, rest, average + n - rest);
}

template void add_to_average(const AverageTile<float>&, float) noexcept;
template void add_to_average(const AverageTile<double>&, double) noexcept;
template void add_to_average(const float*, float*, Index, float) noexcept;
template void add_to_average(const double*, double*, Index, double) noexcept;

}  // namespace fastnn::optimizers
