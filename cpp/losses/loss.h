// The contract of a loss: value and gradient of a chunk of rows from raw outputs, with per-row weights; a loss
// owns the link (identity, logistic, softmax) that predict applies, and what "right" means for accuracy.
// It does not know how batches are averaged beyond `scale`: the plan divides by the weights of the whole batch.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <span>
#include <string>

#include "core/hyper.h"
#include "core/types.h"

namespace fastnn::losses {

enum class TargetKind { kDense, kClass };  // a row of k numbers; one class index in [0, k)
enum class Task { kRegression, kBinary, kMulticlass };

// Targets of a chunk: `dense` (rows, k) for kDense, `classes` (rows) for kClass; the other one is empty.
template <class T>
struct Targets {
  ConstMatrix<T> dense;
  const std::int32_t* classes = nullptr;
};

// A member is a template like this (see mse.h):
//   template <class T> struct Huber {
//     static constexpr TargetKind kTarget; static constexpr Task kTask; static constexpr bool kMeanOverOutputs;
//     static constexpr std::array<Hyper, 2> kHypers;
//     explicit Huber(const double* hyper);
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
// Every loss has the hyperparameter `reduction` first.
inline constexpr Hyper kReduction{.name = "reduction",
                                  .value = 0,
                                  .doc = "mean over the batch, or sum",
                                  .kind = HyperKind::kChoice,
                                  .choices = "mean|sum"};

template <class T>
struct Loops {
  // Sum over rows of weight * loss (in double, row order); rows of dout = weight * scale * dl/dout.
  // weights == nullptr: all one. dout.data == nullptr: value only.
  double (*value)(const double* hyper, ConstMatrix<T> out, Targets<T> targets, const T* weights, T scale,
                  Matrix<T> dout) noexcept;
  void (*link)(const double* hyper, Matrix<T> out) noexcept;
  // Sum over rows of weight * (share of right outputs of the row).
  double (*right)(const double* hyper, ConstMatrix<T> out, Targets<T> targets, const T* weights) noexcept;
};

struct Row {
  const char* name;        // "cross_entropy": the word of configurations and of fastnn.functional
  const char* class_name;  // "CrossEntropyLoss": torch's name, the class in fastnn.nn
  const char* formula;
  TargetKind target;
  Task task;
  bool mean_over_outputs;  // reduction="mean" divides by (weights of the batch) x k instead of the weights alone
  std::span<const Hyper> hypers;
  Loops<float> f32;
  Loops<double> f64;

  template <class T>
  const Loops<T>& loops() const {
    return of_type<T>(f32, f64);
  }
};

template <class T, template <class> class L>
double value_loop(const double* hyper, ConstMatrix<T> out, Targets<T> t, const T* weights, T scale,
                  Matrix<T> dout) noexcept {
  const L<T> loss(hyper);
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
void link_loop(const double* hyper, Matrix<T> out) noexcept {
  const L<T> loss(hyper);
  if constexpr (requires { loss.link(out); })
    loss.link(out);
  else
    for (Index r = 0; r < out.rows; ++r) loss.link(out.row(r), out.cols);
}

template <class T, template <class> class L>
double right_loop(const double* hyper, ConstMatrix<T> out, Targets<T> t, const T* weights) noexcept {
  const L<T> loss(hyper);
  double sum = 0;
  for (Index r = 0; r < out.rows; ++r) {
    const double right =
        loss.right(out.row(r), t.dense ? t.dense.row(r) : nullptr, t.classes ? t.classes[r] : 0, out.cols);
    sum += (weights ? static_cast<double>(weights[r]) : 1.0) * right;
  }
  return sum;
}

template <template <class> class L>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {name,
          class_name,
          formula,
          L<float>::kTarget,
          L<float>::kTask,
          L<float>::kMeanOverOutputs,
          L<float>::kHypers,
          {value_loop<float, L>, link_loop<float, L>, right_loop<float, L>},
          {value_loop<double, L>, link_loop<double, L>, right_loop<double, L>}};
}

std::span<const Row> registry();
const Row* find(const std::string& name);

}  // namespace fastnn::losses
