// Cross-entropy of softmax(out) with a class index, computed from logits: l = log(sum_j exp(out_j)) - out_label.
// predict applies softmax; a row is right if the label is the index of its first largest output.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>

#include "core/simd_math.h"
#include "kernels/short_rows.h"
#include "kernels/softmax.h"
#include "kernels/softmax_row.h"
#include "losses/loss.h"

namespace fastnn::losses {

template <class T>
struct CrossEntropy {
  static constexpr TargetKind kTarget = TargetKind::kClass;
  static constexpr Task kTask = Task::kMulticlass;
  static constexpr bool kMeanOverOutputs = false;
  using Params = LossParams;
  static constexpr std::array kFields{kReduction<LossParams>};

  double row(const T* out, const T*, std::int32_t label, Index k, T scale, T* dout) const {
    const T largest = kernels::row_max(out, k);
    const double at_label = static_cast<double>(out[label]);
    const double sum = kernels::exponentials(out, k, largest, dout);
    if (dout) {
      // softmax - 1 at the label is computed as (e - sum) / sum in double, which is accurate where softmax is close to
      // 1.
      const double e = static_cast<double>(dout[label]);
      const auto factor = Vec<T>::set(static_cast<T>(static_cast<double>(scale) / sum));
      for (Index c = 0; c < padded<T>(k); c += Vec<T>::kLanes) (factor * Vec<T>::load(dout + c)).store(dout + c);
      dout[label] = static_cast<T>(static_cast<double>(scale) * ((e - sum) / sum));
    }
    return (static_cast<double>(largest) - at_label) + log(sum);
  }
  // As row(), for a chunk of short rows.
  static bool takes(Index rows, Index k) { return kernels::side_by_side(rows, k); }
  double rows(ConstMatrix<T> out, const Targets<T>& targets, const T* weights, T scale, Matrix<T> dout) const {
    constexpr Index kRows = kernels::ShortRows<T>::kRows;
    alignas(kAlign) T factor[kRows] = {};
    alignas(kAlign) double log_sum[kRows];
    double total = 0;
    for (Index first = 0; first < out.rows; first += kRows) {
      const Index count = std::min(kRows, out.rows - first);
      const kernels::ShortRows<T> softmax(out.middle_rows(first, count));
      softmax.log_sums(log_sum);
      if (dout) {
        for (Index r = 0; r < count; ++r)
          factor[r] = static_cast<T>(static_cast<double>(weighted(weights, first + r, scale)) / softmax.sum(r));
        softmax.store(factor, dout.middle_rows(first, count));
      }
      for (Index r = 0; r < count; ++r) {
        const std::int32_t label = targets.classes[first + r];
        const double sum = softmax.sum(r);
        if (dout)
          dout.row(first + r)[label] = static_cast<T>(static_cast<double>(weighted(weights, first + r, scale)) *
                                                      ((softmax.exponential(r, label) - sum) / sum));
        const double value = (softmax.largest(r) - static_cast<double>(out.row(first + r)[label])) + log_sum[r];
        total += static_cast<double>(weighted(weights, first + r, T(1))) * value;
      }
    }
    return total;
  }
  void link(Matrix<T> out) const { kernels::softmax<T>(out, out); }
  double right(const T* out, const T*, std::int32_t label, Index k) const {
    const T at_label = out[label];
    Index before = 0;  // number of outputs because of which the label is not the first largest one
    for (Index j = 0; j < label; ++j) before += out[j] < at_label ? 0 : 1;
    for (Index j = label + 1; j < k; ++j) before += out[j] > at_label ? 1 : 0;
    return before == 0 ? 1 : 0;
  }

 private:
  static T weighted(const T* weights, Index r, T scale) { return weights ? weights[r] * scale : scale; }
};

}  // namespace fastnn::losses
