// Finds the cell for which the engine refused a batch, and throws Refused with row, column and value. This runs after
// the engine has stopped, never during training.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <string>

#include "core/refusal.h"
#include "run/engine.h"
#include "run/refuse_cells.h"
#include "train/model.h"

namespace fastnn::train {

using run::Compiled;
using run::Data;
using run::Engine;
using run::OutputOutside;
using run::Verdict;

// The batch is rows ids[0], ..., ids[count - 1] of the caller's arrays.
template <class T>
struct CellSearch {
  const char* where;
  const Data& data;
  kernels::RowIds ids;
  Index count;
  kernels::Scaling<T> scaling;
  Index n_outputs;
  const Compiled<T>* compiled;  // nullptr before compile
  const OutputOutside& outside;

  // Throws Refused with row, column and value, or Interrupted; returns for every other verdict.
  void raise(Verdict verdict) const {
    switch (verdict) {
      case Verdict::kBadX:
        return x(), changed(reason::kNotFinite, data.names->x);
      case Verdict::kBadTarget:
        return target(), changed(reason::kNotFinite, data.names->y);
      case Verdict::kBadWeight:
        return weight(), changed(reason::kWeight, data.names->weights);
      case Verdict::kBadGrad:
        find(data.grad, cell(reason::kNotFinite, data.names->grad, kName),
             [](double v, Index) { return !std::isfinite(static_cast<T>(v)); });
        return changed(reason::kNotFinite, data.names->grad);
      case Verdict::kBadOutput: {
        Refusal refusal =
            run::refusal_of_range(where, reason::kOutput, data.names->outputs, *compiled->loss, compiled->loss_values);
        refusal.row = ids[outside.row()], refusal.value = outside.value();
        throw Refused(std::move(refusal));
      }
      case Verdict::kStopped:
        throw Interrupted();
      case Verdict::kGood:
      case Verdict::kStatisticsNotFinite:
      case Verdict::kLossNotFinite:
      case Verdict::kMayOverflow:
      case Verdict::kWeightsNotFinite:
        return;
    }
  }

  // Checks rows that the engine has not read yet, and throws Refused for the first wrong cell.
  void raise_if_any() const {
    x();
    target();
    if (data.weights) weight();
  }

 private:
  static constexpr const char* kName = sizeof(T) == 4 ? "float32" : "float64";

  Refusal cell(const char* why, const char* argument, const char* dtype) const {
    return {.where = where, .reason = why, .argument = argument, .dtype = dtype};
  }
  // Reached if no wrong cell is found: another thread has changed it since the engine read it. Refused without a cell.
  [[noreturn]] void changed(const char* why, const char* argument) const { throw Refused(cell(why, argument, kName)); }
  template <class Bad>
  void find(const kernels::Source& source, Refusal refusal, Bad bad) const {
    run::refuse_cells(source, ids, count, std::move(refusal), bad);
  }

  void x() const {
    find(data.x, cell(reason::kNotFinite, data.names->x, kName),
         [&](double value, Index c) { return !std::isfinite(kernels::scaled<T>(data.x, scaling, value, c)); });
  }
  void target() const {
    const losses::Row& loss = *compiled->loss;
    const Interval range = loss.targets(compiled->loss_values);
    if (loss.takes_classes(data.y.cols))
      return run::refuse_classes(where, data.names->y, data.y, ids, count, n_outputs);
    find(data.y, run::refusal_of_range(where, reason::kTarget, data.names->y, loss, compiled->loss_values),
         [&](double v, Index) { return std::isfinite(static_cast<T>(v)) && range.template excludes<T>(v); });
    find(data.y, cell(reason::kNotFinite, data.names->y, kName),
         [](double v, Index) { return !std::isfinite(static_cast<T>(v)); });
  }
  // If losses are added instead of averaged, weights are factors of gradients and have to be finite in T.
  void weight() const {
    const bool factors = compiled->loss_traits.is_sum;
    run::refuse_weights(where, data.names->weights, data.weights, ids, count, factors ? kName : "",
                        factors && sizeof(T) == sizeof(float));
  }
};

// Throws Diverged; `when` is empty or " in epoch 3, batch 7".
template <class T>
[[noreturn]] void diverged(const char* where, Verdict verdict, Engine<T>& run, const std::string& when) {
  layers::StatisticsError why{"an update gave weights that are not finite",
                              "Try a smaller learning rate, scaled inputs or max_grad_norm"};
  if (verdict == Verdict::kLossNotFinite) why.what = "the loss is " + std::to_string(run.last_loss());
  if (verdict == Verdict::kStatisticsNotFinite) why = run.statistics_error();
  throw Diverged(where, "training diverged" + when + ": " + why.what +
                            "; the model is as at the end of the last finite epoch (or before the call). " +
                            why.advice);
}

}  // namespace fastnn::train
