// Cross-entropy of softmax(out), computed from logits: with a class index, l = log(sum_j exp(out_j)) - out_label; with
// probabilities t_j of the classes, l = sum_j t_j (log(sum_i exp(out_i)) - out_j). label_smoothing replaces the target
// distribution t by (1 - s) t + s / k, and weights multiply the terms of the classes, both as in torch.
// predict applies softmax; a row is right if the label, or the first largest t, is the index of its first largest
// output.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>

#include "core/simd_math.h"
#include "kernels/short_rows.h"
#include "kernels/softmax.h"
#include "kernels/softmax_row.h"
#include "losses/classes.h"
#include "losses/lists.h"

namespace fastnn::losses {

struct CrossEntropyParams {
  Reduction reduction = Reduction::kMean;
  Reals weight;
  double label_smoothing = 0;
};

template <class T>
struct CrossEntropy {
  static constexpr TargetKind kTarget = TargetKind::kClass;
  static constexpr bool kTakesProbabilities = true;
  static constexpr Task kTask = Task::kMulticlass;
  static constexpr Mean kMean = Mean::kRows;
  using Params = CrossEntropyParams;
  static constexpr std::array kFields{
      kReduction<Params>, kClassWeights<Params>,
      field<&Params::label_smoothing>("label_smoothing", within(0, 1),
                                      "share of the targets that all classes have equally", tries(0.1))};
  static constexpr Interval kTargets{.lowest = 0, .highest = 1};  // of probabilities
  static Reals class_weights(const Params& p) { return p.weight; }
  explicit CrossEntropy(const Params& p) : weight(p.weight), smoothing(p.label_smoothing) {
    for (const double each : weight.all()) all_weights += each;
  }

  double row(const T* out, const T* target, std::int32_t label, Index k, T scale, T* dout) const {
    if (target || smoothing != 0) return mixed_row(out, target, label, k, scale, dout);
    const double its = weight.empty() ? 1 : weight.data[label];
    const T largest = kernels::row_max(out, k);
    const double at_label = static_cast<double>(out[label]);
    const double sum = kernels::exponentials(out, k, largest, dout);
    if (dout) {
      // softmax - 1 at the label is computed as (e - sum) / sum in double, which is accurate where softmax is close to
      // 1.
      const double e = static_cast<double>(dout[label]), share = static_cast<double>(scale) * its;
      const auto factor = Vec<T>::set(static_cast<T>(share / sum));
      for (Index c = 0; c < padded<T>(k); c += Vec<T>::kLanes) (factor * Vec<T>::load(dout + c)).store(dout + c);
      dout[label] = static_cast<T>(share * ((e - sum) / sum));
    }
    return its * ((static_cast<double>(largest) - at_label) + log(sum));
  }
  // As row(), for a chunk of short rows.
  bool takes(const Targets<T>& targets, Index rows, Index k) const {
    return targets.classes && weight.empty() && smoothing == 0 && kernels::side_by_side(rows, k);
  }
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
  void link_backward(ConstMatrix<T> p, Matrix<T> grad) const { kernels::softmax_backward<T>(p, grad); }
  double right(ConstMatrix<T> out, const Targets<T>& targets, const T* weights) const {
    return right_classes(out, targets, weights);
  }

  Reals weight;
  double smoothing, all_weights = 0;

 private:
  static T weighted(const T* weights, Index r, T scale) { return weights ? weights[r] * scale : scale; }

  // The general case: terms c_j = weight_j ((1 - s) t_j + s / k) for a distribution t, or the label's.
  // l = sum_j c_j (log(sum of exp) + largest - out_j), in which nothing is negative; dl/dout_j = softmax_j C - c_j with
  // C = sum_j c_j.
  [[gnu::noinline]] double mixed_row(const T* out, const T* target, std::int32_t label, Index k, T scale,
                                     T* dout) const {
    const T largest = kernels::row_max(out, k);
    const double sum = kernels::exponentials(out, k, largest, dout);
    const auto top = Vec<T>::set(largest);
    const double total = kernels::sum_of<T>(k, [&](Index c) { return terms(target, label, k, c); });
    const double below =
        kernels::sum_of<T>(k, [&](Index c) { return terms(target, label, k, c) * (top - Vec<T>::load(out + c)); });
    if (dout) {
      const auto share = Vec<T>::set(static_cast<T>(total / sum)), factor = Vec<T>::set(scale);
      for (Index c = 0; c < padded<T>(k); c += Vec<T>::kLanes) {
        const auto slope = factor * (share * Vec<T>::load(dout + c) - terms(target, label, k, c));
        select(inside<T>(c, k), slope, Vec<T>::zero()).store(dout + c);
      }
      if (!target) dout[label] = static_cast<T>(static_cast<double>(scale) * slope_at(out, label, k, largest, sum));
    }
    return total * log(sum) + below;
  }
  // softmax_y C - c_y at the label y: (softmax_y - 1) C + (C - c_y), of which both terms are accurate where softmax_y
  // is close to 1. C - c_y is the share of the other classes.
  double slope_at(const T* out, std::int32_t label, Index k, T largest, double sum) const {
    const double its = weight.empty() ? 1 : weight.data[label];
    const double all = weight.empty() ? static_cast<double>(k) : all_weights;
    const double each = smoothing / static_cast<double>(k), total = (1 - smoothing) * its + each * all;
    const double e = static_cast<double>(exp(Vec<T>::set(out[label] - largest)).lanes()[0]);
    return total * ((e - sum) / sum) + each * (all - its);
  }
  Vec<T> terms(const T* target, std::int32_t label, Index k, Index c) const {
    const auto kept = Vec<T>::set(static_cast<T>(1 - smoothing));
    const auto own = target ? Vec<T>::loadu(target + c) : select(lane_of<T>(label, c), Vec<T>::set(1), Vec<T>::zero());
    const auto mixed = fma(kept, own, Vec<T>::set(static_cast<T>(smoothing / static_cast<double>(k))));
    return weight.empty() ? mixed : mixed * lanes_of<T>(weight, c);
  }
};

}  // namespace fastnn::losses
