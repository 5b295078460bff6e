// Words for a batch that was refused: finds the cell that the flag was raised for and names it.
// Runs after the engine has stopped, never on the training path.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <string>

#include "core/check.h"
#include "trainer/engine.h"
#include "trainer/model.h"

namespace fastnn::trainer {

// Throws std::invalid_argument that names row, column and value, or Interrupted; returns for every other verdict.
// The batch is rows ids[0], ..., ids[count - 1] of the caller's arrays. `certain`: one of its cells is wrong.
template <class T>
void refuse(const char* where, Verdict verdict, const Data& data, kernels::RowIds ids, Index count,
            kernels::Scaling<T> scaling, Index n_outputs, bool certain = true) {
  if (verdict == Verdict::kGood) return;  // before any word is made
  const auto find = [&](const kernels::Source& source, const char* name, const char* expected, auto bad) {
    for (Index r = 0; r < count; ++r)
      for (Index c = 0; c < source.cols; ++c) {
        const double value = kernels::element(source, ids[r], c);
        require(!bad(value, c), "[", where, "] ", name, " has ", value, " at row ", ids[r], ", column ", c,
                "; expected ", expected);
      }
    require(!certain, "[", where, "] ", name, " has a value that is not allowed; expected ", expected);
  };
  const auto overflows = [&](double value, Index c) {
    T x = static_cast<T>(value);
    if (scaling.scale) x *= scaling.scale[c];
    if (scaling.shift) x += scaling.shift[c];
    return !std::isfinite(x);
  };
  const auto not_finite = [](double value, Index) { return !std::isfinite(static_cast<T>(value)); };
  const auto not_class = [&](double v, Index) {
    return !(v >= 0 && v < static_cast<double>(n_outputs) && v == std::floor(v));
  };
  const std::string finite = std::string("finite numbers (as ") + (sizeof(T) == 4 ? "float32)" : "float64)");
  const std::string classes = "class numbers 0 to " + std::to_string(n_outputs - 1);
  switch (verdict) {
    case Verdict::kBadX:
      return find(data.x, "X", finite.c_str(), overflows);
    case Verdict::kBadGrad:
      return find(data.grad, "grad", finite.c_str(), not_finite);
    case Verdict::kBadWeight:
      return find(data.weights, "sample_weight", "finite numbers >= 0",
                  [&](double v, Index c) { return not_finite(v, c) || v < 0; });
    case Verdict::kBadTarget:
      if (data.y.cols == 1 && n_outputs > 1) return find(data.y, "y", classes.c_str(), not_class);
      return find(data.y, "y", finite.c_str(), not_finite);
    case Verdict::kStopped:
      throw Interrupted(std::string("[") + where + "] interrupted");
    case Verdict::kGood:
    case Verdict::kStatisticsNotFinite:
    case Verdict::kLossNotFinite:
    case Verdict::kSteep:
    case Verdict::kWeightsNotFinite:
      return;
  }
}

// Looks for a wrong cell in rows that nobody has read yet.
template <class T>
void refuse_any(const char* where, const Data& data, kernels::RowIds ids, Index count, kernels::Scaling<T> scaling,
                Index n_outputs) {
  if (count == 0) return;
  refuse<T>(where, Verdict::kBadX, data, ids, count, scaling, n_outputs, false);
  refuse<T>(where, Verdict::kBadTarget, data, ids, count, scaling, n_outputs, false);
  if (data.weights) refuse<T>(where, Verdict::kBadWeight, data, ids, count, scaling, n_outputs, false);
}

// Throws Diverged; `when` is empty or " in epoch 3, batch 7".
template <class T>
[[noreturn]] void diverged(const char* where, Verdict verdict, Engine<T>& run, const std::string& when) {
  layers::Complaint why{"an update gave weights that are not finite",
                        "Try a smaller learning rate, scaled inputs or max_grad_norm"};
  if (verdict == Verdict::kLossNotFinite) why.what = "the loss is " + std::to_string(run.last_loss());
  if (verdict == Verdict::kStatisticsNotFinite) why = run.complaint();
  throw Diverged("[" + std::string(where) + "] training diverged" + when + ": " + why.what +
                 "; the model is as at the end of the last finite epoch (or before the call). " + why.advice);
}

}  // namespace fastnn::trainer
