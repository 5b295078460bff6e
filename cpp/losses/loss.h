// The contract of a loss: value and gradient of a chunk of rows from raw outputs, with a weight for each row. A loss
// also defines the link function (identity, logistic, softmax) that predict applies, and which outputs count as right
// for the accuracy. The average over a batch is not computed by the member, which only multiplies gradients by `scale`;
// the registry row divides by the weights of the whole batch.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <string>

#include "core/registry.h"
#include "core/types.h"
#include "losses/average.h"

namespace fastnn::losses {

enum class TargetKind { kDense, kClass };  // k numbers per row, or one class index in [0, k) per row
enum class Task { kRegression, kBinary, kMulticlass };
// What reduction="mean" is a mean over: rows, or rows and the outputs or targets of each.
enum class Mean { kRows, kOutputs, kTargets };

// The targets of a chunk: `dense` (rows, k) for kDense, or `classes` (rows) for kClass; the other one is empty.
template <class T>
struct Targets {
  ConstMatrix<T> dense;
  const std::int32_t* classes = nullptr;
};

// The loss of a batch with the weights w of its rows: sum(w l) / sum(w), or sum(w l). kBatchMean is a mean over rows
// alone, for losses whose mean is over outputs as well.
enum class Reduction { kMean, kSum, kBatchMean };
// Every loss has the parameter `reduction`, first in its table. This is the struct of losses without other parameters.
struct LossParams {
  Reduction reduction = Reduction::kMean;
};
template <class P>
inline constexpr Field kReduction =
    field<&P::reduction>("reduction", choices("mean", "sum"), "mean over the batch, or sum");
// Of losses whose mean is over outputs as well.
template <class P>
inline constexpr Field kReductionOverOutputs =
    field<&P::reduction>("reduction", choices("mean", "sum", "batchmean"),
                         "mean over all elements, sum, or sum over elements and mean over rows");

// A member is a template like this (see mse.h; elementwise.h has most of it):
//   struct HuberParams {
//     Reduction reduction = Reduction::kMean;
//     double delta = 1;
//   };
//   template <class T> struct Huber {
//     using Params = HuberParams;
//     static constexpr std::array kFields{kReduction<Params>, field<&Params::delta>("delta", above(0), ...)};
//     explicit Huber(const Params& p);                 // if it has parameters of its own
//     static constexpr TargetKind kTarget; static constexpr Task kTask; static constexpr Mean kMean;
//     static constexpr bool kTakesProbabilities;       // with kClass: targets may also be probabilities of classes
//     static constexpr Interval kTargets, kOutputs;    // the permitted numbers, if not all are. If they depend on
//                                                      // parameters: static Interval outputs(const Params&)
//     static Index first_bounded(const Params&, Index k);  // the first of k outputs to which the range applies
//     static constexpr const char* kOutputsRemedy;     // with such a range: what a network without such outputs lacks
//     static constexpr double kBoundary;               // of kBinary: an output above it says yes
//     static constexpr const char* kPredicts;          // what predict gives, if it does not follow from the task
//     static Index outputs_per_target(const Params&);  // if it is not 1
//     static Reals class_weights(const Params&);       // if classes have weights: row() multiplies by them, and
//                                                      // means are divided by the sum of those of the rows
//     // The unweighted loss of one row, summed over its k outputs; dout = scale * dl/dout over padded(k) columns, zero
//     // beyond k. If dout is nullptr, only the value is computed.
//     double row(const T* out, const T* target, std::int32_t label, Index k, T scale, T* dout) const;
//     // If predictions are not the outputs: makes them of these in place, where columns beyond k stay 0.
//     void link(T* out, Index k) const;
//     void link_backward(const T* p, T* grad, Index k) const;  // the gradient by the outputs in place of that by p
//     double right(const T* out, const T* target, std::int32_t label, Index k) const;  // accuracy of one row in [0, 1]
//     // If it is faster, a whole chunk at once: link(Matrix<T> out), link_backward(ConstMatrix<T> p, Matrix<T> grad) and
//     // right(ConstMatrix<T> out, const Targets<T>& t, const T* weights), which is the sum over the rows, instead of the
//     // above, and rows() instead of row() for the shapes for which takes() is true.
//     bool takes(const Targets<T>& t, Index rows, Index k) const;
//     double rows(ConstMatrix<T> out, const Targets<T>& t, const T* weights, T scale, Matrix<T> dout) const;
//   };

template <class T>
struct Loops {
  // Returns the sum over rows of weight * loss, in double and in row order; stores dout = weight * scale * dl/dout.
  // weights == nullptr: all weights are 1. dout.data == nullptr: no gradient is computed.
  double (*value)(const Values& values, ConstMatrix<T> out, Targets<T> targets, const T* weights, T scale,
                  Matrix<T> dout) noexcept;
  void (*link)(const Values& values, Matrix<T> out) noexcept;
  // The gradient by the raw outputs in place of that by the predictions p = link(out).
  void (*link_backward)(const Values& values, ConstMatrix<T> p, Matrix<T> grad) noexcept;
  // Returns the sum over rows of weight * (fraction of right outputs of the row).
  double (*right)(const Values& values, ConstMatrix<T> out, Targets<T> targets, const T* weights) noexcept;
};

// What a loss with given parameters asks of k outputs and their targets, and how it averages. A model asks its row once,
// not for each batch.
struct Traits {
  Interval targets, outputs;  // numbers outside are refused when targets are gathered and losses are computed
  bool bounds_targets = false, bounds_outputs = false;
  Index first_bounded = 0;  // the first output to which the range of outputs applies
  Index target_cols = 0;
  Reals class_weights;  // empty: all are 1
  bool is_sum = false;
  Index mean_over = 1;  // the number of outputs or targets of a row over which the mean is taken, too

  // The loss of the rows in `sums`.
  double average(const Sums& sums) const {
    return is_sum ? sums.loss * power_of_two(sums.exponent) : sums.loss / divisor(sums, mean_over);
  }
  // The same if the mean over outputs has been taken already.
  double average_over_rows(const Sums& sums) const {
    return is_sum ? sums.loss * power_of_two(sums.exponent) : sums.loss / divisor(sums, 1);
  }
  // The factor of the gradients besides the weights, which are in units of 2^exponent.
  double scale(const Sums& sums) const { return is_sum ? power_of_two(sums.exponent) : 1 / divisor(sums, mean_over); }

 private:
  static double divisor(const Sums& sums, Index over) {
    return sums.divisor == 0 ? 1 : sums.divisor * static_cast<double>(over);
  }
};

struct Row : fastnn::Row {
  TargetKind target;
  bool takes_probabilities;
  Task task;
  Mean mean;
  double boundary;       // of kBinary: an output above it says yes
  const char* predicts;  // "" where the task says it
  bool links;            // whether predictions are not the outputs
  Reduction (*reduction)(const Values& values);
  Interval (*targets)(const Values& values);
  Interval (*outputs)(const Values& values);
  Index (*first_bounded)(const Values& values, Index k);
  const char* outputs_remedy;  // what the message about outputs advises
  Index (*outputs_per_target)(const Values& values);
  Reals (*class_weights)(const Values& values);
  Loops<float> f32;
  Loops<double> f64;

  template <class T>
  const Loops<T>& loops() const {
    return of_type<T>(f32, f64);
  }
  // Whether targets with this number of columns are class indices.
  bool takes_classes(Index cols) const { return target == TargetKind::kClass && (cols == 1 || !takes_probabilities); }
  Index target_cols(const Values& values, Index k) const { return k / outputs_per_target(values); }
  Traits traits(const Values& values, Index k) const;
};

template <class T, template <class> class L>
double value_loop(const Values& values, ConstMatrix<T> out, Targets<T> t, const T* weights, T scale,
                  Matrix<T> dout) noexcept {
  const L<T> loss = made<L<T>>(values);
  if constexpr (requires { loss.takes(t, out.rows, out.cols); })
    if (loss.takes(t, out.rows, out.cols)) return loss.rows(out, t, weights, scale, dout);
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
  [[maybe_unused]] const L<T> loss = made<L<T>>(values);
  if constexpr (requires { loss.link(out); })
    loss.link(out);
  else if constexpr (requires { loss.link(out.data, out.cols); })
    for (Index r = 0; r < out.rows; ++r) loss.link(out.row(r), out.cols);
}

template <class T, template <class> class L>
void link_backward_loop(const Values& values, ConstMatrix<T> p, Matrix<T> grad) noexcept {
  [[maybe_unused]] const L<T> loss = made<L<T>>(values);
  if constexpr (requires { loss.link_backward(p, grad); })
    loss.link_backward(p, grad);
  else if constexpr (requires { loss.link_backward(p.data, grad.data, p.cols); })
    for (Index r = 0; r < p.rows; ++r) loss.link_backward(p.row(r), grad.row(r), p.cols);
}

template <class T, template <class> class L>
double right_loop(const Values& values, ConstMatrix<T> out, Targets<T> t, const T* weights) noexcept {
  const L<T> loss = made<L<T>>(values);
  if constexpr (requires { loss.right(out, t, weights); }) {
    return loss.right(out, t, weights);
  } else {
    double sum = 0;
    for (Index r = 0; r < out.rows; ++r) {
      const double right =
          loss.right(out.row(r), t.dense ? t.dense.row(r) : nullptr, t.classes ? t.classes[r] : 0, out.cols);
      sum += (weights ? static_cast<double>(weights[r]) : 1.0) * right;
    }
    return sum;
  }
}

// The properties that a member declares, and the usual values of those that it does not declare.
template <class M>
struct Facts {
  using Params = typename M::Params;

  static Params params(const Values& values) { return values.as<Params>(); }
  static Interval targets(const Values& values) {
    if constexpr (requires(const Params& p) { M::targets(p); }) return M::targets(params(values));
    if constexpr (requires { M::kTargets; }) return M::kTargets;
    (void)values;
    return {};
  }
  static Interval outputs(const Values& values) {
    if constexpr (requires(const Params& p) { M::outputs(p); }) return M::outputs(params(values));
    if constexpr (requires { M::kOutputs; }) return M::kOutputs;
    (void)values;
    return {};
  }
  static Index first_bounded(const Values& values, Index k) {
    if constexpr (requires(const Params& p) { M::first_bounded(p, k); }) return M::first_bounded(params(values), k);
    (void)values, (void)k;
    return 0;
  }
  static Index outputs_per_target(const Values& values) {
    if constexpr (requires(const Params& p) { M::outputs_per_target(p); }) return M::outputs_per_target(params(values));
    (void)values;
    return 1;
  }
  static Reals class_weights(const Values& values) {
    if constexpr (requires(const Params& p) { M::class_weights(p); }) return M::class_weights(params(values));
    (void)values;
    return {};
  }
  static constexpr const char* remedy() {
    if constexpr (requires { M::kOutputsRemedy; }) return M::kOutputsRemedy;
    return "";
  }
  static constexpr double boundary() {
    if constexpr (requires { M::kBoundary; }) return M::kBoundary;
    return 0;
  }
  static constexpr const char* predicts() {
    if constexpr (requires { M::kPredicts; }) return M::kPredicts;
    return "";
  }
  static constexpr bool links() {
    return requires(const M& loss, float* row, Matrix<float> rows) { loss.link(row, rows.cols); } ||
           requires(const M& loss, Matrix<float> rows) { loss.link(rows); };
  }
  static constexpr bool links_backward() {
    return requires(const M& loss, float* row, Matrix<float> rows) { loss.link_backward(row, row, rows.cols); } ||
           requires(const M& loss, Matrix<float> rows) { loss.link_backward(rows, rows); };
  }
  static constexpr bool takes_probabilities() {
    return requires { M::kTakesProbabilities; };
  }
};

template <template <class> class L>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  using Its = Facts<L<float>>;
  static_assert(Its::links() == Its::links_backward(), "a loss with a link has its backward pass, too");
  return {row_of<L<float>>(name, class_name, formula),
          L<float>::kTarget,
          Its::takes_probabilities(),
          L<float>::kTask,
          L<float>::kMean,
          Its::boundary(),
          Its::predicts(),
          Its::links(),
          [](const Values& values) { return Its::params(values).reduction; },
          Its::targets,
          Its::outputs,
          Its::first_bounded,
          Its::remedy(),
          Its::outputs_per_target,
          Its::class_weights,
          {value_loop<float, L>, link_loop<float, L>, link_backward_loop<float, L>, right_loop<float, L>},
          {value_loop<double, L>, link_loop<double, L>, link_backward_loop<double, L>, right_loop<double, L>}};
}

// The first number of the first row with numbers outside of the range of targets or outputs; row -1: there is none. If
// the range has no limits, nothing is read.
struct Outside {
  Index row = -1, column = 0;
  explicit operator bool() const { return row >= 0; }
};
template <class T>
Outside outside_targets(const Traits& traits, ConstMatrix<T> targets) noexcept;
template <class T>
Outside outside_outputs(const Traits& traits, ConstMatrix<T> out) noexcept;

// Throws Refused if the loss cannot have k outputs: if they are no multiple of the outputs of a target, or a list of
// parameters does not have a number for each.
void check_outputs(const std::string& where, const Row& row, const Values& values, Index k);

// Gathers the targets of rows ids[0], ids[1], ... from y, as many as `dense` has rows, in `dense` or in `classes`,
// whichever y has. good: all are finite and in the range of the loss, or classes in [0, k).
template <class T>
struct Read {
  Targets<T> targets;
  bool good;
};
template <class T>
Read<T> read_targets(const Row& row, const Traits& traits, const kernels::Source& y, kernels::RowIds ids, Index k,
                     Matrix<T> dense, std::int32_t* classes) noexcept;

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
// Stands for a loss that the caller computes. It has no formula, and predict gives the outputs as they are.
const Row& own();

}  // namespace fastnn::losses
