// The contract of a loss: value and gradient of a chunk of rows from raw outputs, with a weight for each row. A loss
// also defines the link function (identity, logistic, softmax) that predict applies, and which outputs count as right
// for the accuracy. The average over a batch is not computed by the member, which only multiplies gradients by `scale`;
// the registry row divides by the weights of the whole batch.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "core/registry.h"
#include "core/types.h"
#include "losses/average.h"

namespace fastnn::losses {

enum class TargetKind { kDense, kClass };  // k numbers per row, or one class index in [0, k) per row
enum class Task { kRegression, kBinary, kMulticlass };

// The targets of a chunk: `dense` (rows, k) for kDense, or `classes` (rows) for kClass; the other one is empty.
template <class T>
struct Targets {
  ConstMatrix<T> dense;
  const std::int32_t* classes = nullptr;
};

// The loss of a batch with the weights w of its rows: sum(w l) / sum(w), or sum(w l).
enum class Reduction { kMean, kSum };
// Every loss has the parameter `reduction`, first in its table. This is the struct of losses without other parameters.
struct LossParams {
  Reduction reduction = Reduction::kMean;
};
template <class P>
inline constexpr Field kReduction =
    field<&P::reduction>("reduction", choices("mean", "sum"), "mean over the batch, or sum");

// A member is a template like this (see mse.h; elementwise.h has most of it):
//   struct HuberParams {
//     Reduction reduction = Reduction::kMean;
//     double delta = 1;
//   };
//   template <class T> struct Huber {
//     using Params = HuberParams;
//     static constexpr std::array kFields{kReduction<Params>, field<&Params::delta>("delta", above(0), ...)};
//     explicit Huber(const Params& p);                 // where it has parameters of its own
//     static constexpr TargetKind kTarget; static constexpr Task kTask; static constexpr bool kMeanOverOutputs;
//     static constexpr Interval kTargets, kOutputs;    // where not all numbers make sense; others are refused
//     static constexpr const char* kOutputsRemedy;     // with kOutputs: what a network without such outputs lacks
//     // unweighted loss of one row, summed over its k outputs; dout = scale * dl/dout over padded(k) columns, zero
//     // beyond k. dout == nullptr: value only.
//     double row(const T* out, const T* target, std::int32_t label, Index k, T scale, T* dout) const;
//     void link(T* out, Index k) const;                                          // in place, columns beyond k stay 0
//     double right(const T* out, const T* target, std::int32_t label, Index k) const;  // accuracy of one row in [0, 1]
//     // where it pays, a whole chunk at once: link(Matrix<T> out) instead of the above, and, for shapes that it takes,
//     // rows() instead of row()
//     static bool takes(Index rows, Index k);
//     double rows(ConstMatrix<T> out, const Targets<T>& t, const T* weights, T scale, Matrix<T> dout) const;
//   };

template <class T>
struct Loops {
  // Returns the sum over rows of weight * loss, in double and in row order; stores dout = weight * scale * dl/dout.
  // weights == nullptr: all weights are 1. dout.data == nullptr: no gradient is computed.
  double (*value)(const Values& values, ConstMatrix<T> out, Targets<T> targets, const T* weights, T scale,
                  Matrix<T> dout) noexcept;
  void (*link)(const Values& values, Matrix<T> out) noexcept;
  // Returns the sum over rows of weight * (fraction of right outputs of the row).
  double (*right)(const Values& values, ConstMatrix<T> out, Targets<T> targets, const T* weights) noexcept;
};

struct Row : fastnn::Row {
  TargetKind target;
  Task task;
  bool mean_over_outputs;  // reduction="mean" divides by (weights of the batch) x k instead of the weights alone
  Reduction (*reduction)(const Values& values);
  Interval targets, outputs;   // values outside are refused when targets are gathered and losses are computed
  const char* outputs_remedy;  // what the message about outputs advises
  Loops<float> f32;
  Loops<double> f64;

  template <class T>
  const Loops<T>& loops() const {
    return of_type<T>(f32, f64);
  }
  bool is_sum(const Values& values) const { return reduction(values) == Reduction::kSum; }
  // The loss of the rows in `sums`, which have k outputs each.
  double average(const Values& values, const Sums& sums, Index k) const {
    return is_sum(values) ? sums.loss * power_of_two(sums.exponent) : sums.loss / divisor(sums.weight, k);
  }
  // The factor of the gradients besides the weights, which are in units of 2^exponent.
  double scale(const Values& values, const Sums& sums, Index k) const {
    return is_sum(values) ? power_of_two(sums.exponent) : 1 / divisor(sums.weight, k);
  }

 private:
  double divisor(double weight, Index k) const {
    if (weight == 0) return 1;
    return mean_over_outputs ? weight * static_cast<double>(k) : weight;
  }
};

template <class T, template <class> class L>
double value_loop(const Values& values, ConstMatrix<T> out, Targets<T> t, const T* weights, T scale,
                  Matrix<T> dout) noexcept {
  const L<T> loss = made<L<T>>(values);
  if constexpr (requires { L<T>::takes(out.rows, out.cols); })
    if (L<T>::takes(out.rows, out.cols)) return loss.rows(out, t, weights, scale, dout);
  double sum = 0;
  for (Index r = 0; r < out.rows; ++r) {
    const T weight = weights ? weights[r] : T(1);
    const double value = loss.row(out.row(r), t.dense ? t.dense.row(r) : nullptr, t.classes ? t.classes[r] : 0,
                                  out.cols, weight * scale, dout ? dout.row(r) : nullptr);
    sum += static_cast<double>(weight) * value;
  }
  return sum;
}

template <class T, template <class> class L>
void link_loop(const Values& values, Matrix<T> out) noexcept {
  const L<T> loss = made<L<T>>(values);
  if constexpr (requires { loss.link(out); })
    loss.link(out);
  else
    for (Index r = 0; r < out.rows; ++r) loss.link(out.row(r), out.cols);
}

template <class T, template <class> class L>
double right_loop(const Values& values, ConstMatrix<T> out, Targets<T> t, const T* weights) noexcept {
  const L<T> loss = made<L<T>>(values);
  double sum = 0;
  for (Index r = 0; r < out.rows; ++r) {
    const double right =
        loss.right(out.row(r), t.dense ? t.dense.row(r) : nullptr, t.classes ? t.classes[r] : 0, out.cols);
    sum += (weights ? static_cast<double>(weights[r]) : 1.0) * right;
  }
  return sum;
}

template <class M>
constexpr Interval targets_of() {
  if constexpr (requires { M::kTargets; }) return M::kTargets;
  return {};
}
template <class M>
constexpr Interval outputs_of() {
  if constexpr (requires { M::kOutputs; }) return M::kOutputs;
  return {};
}
template <class M>
constexpr const char* remedy_of() {
  if constexpr (requires { M::kOutputsRemedy; }) return M::kOutputsRemedy;
  return "";
}

template <template <class> class L>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {row_of<L<float>>(name, class_name, formula),
          L<float>::kTarget,
          L<float>::kTask,
          L<float>::kMeanOverOutputs,
          [](const Values& values) { return values.as<typename L<float>::Params>().reduction; },
          targets_of<L<float>>(),
          outputs_of<L<float>>(),
          remedy_of<L<float>>(),
          {value_loop<float, L>, link_loop<float, L>, right_loop<float, L>},
          {value_loop<double, L>, link_loop<double, L>, right_loop<double, L>}};
}

// The first row of x with a number outside the interval, or -1. If the interval has no limits, x is not read.
template <class T>
Index first_outside(const Interval& interval, ConstMatrix<T> x) noexcept;

// Gathers the targets of rows ids[0], ids[1], ... from y, as many as `dense` has rows, in `dense` or in `classes`,
// whichever the loss takes. good: all are finite and in the range of the loss, or classes in [0, k).
template <class T>
struct Read {
  Targets<T> targets;
  bool good;
};
template <class T>
Read<T> read_targets(const Row& row, const kernels::Source& y, kernels::RowIds ids, Index k, Matrix<T> dense,
                     std::int32_t* classes) noexcept;

// Rows in a caller's memory, neither padded nor aligned. Rows of more than kLongRow outputs need as many rows of
// `scratch`.
template <class T>
inline constexpr Index kLongRow = 16384 / static_cast<Index>(sizeof(T));
template <class T>
struct PlainRows {
  ConstMatrix<T> out, target;  // target, or
  const std::int32_t* classes = nullptr;
  const T* weights = nullptr;
  Matrix<T> dout;
  Matrix<T> scratch[3];

  PlainRows part(Index first, Index count) const {
    PlainRows rows = *this;
    rows.out = out.middle_rows(first, count);
    rows.dout = dout.middle_rows(first, count);
    if (classes) rows.classes += first;
    if (weights) rows.weights += first;
    if (target) rows.target = target.middle_rows(first, count);
    for (auto& each : rows.scratch)
      if (each) each = each.middle_rows(first, count);
    return rows;
  }
};
// Adds Loops::value of these rows to `sum`. Returns false, with dout undefined, if a target or output is out of range.
template <class T>
bool add_plain_rows(const Row& row, const Values& values, const PlainRows<T>& rows, T scale, double& sum) noexcept;

Registry<Row> registry();

}  // namespace fastnn::losses
