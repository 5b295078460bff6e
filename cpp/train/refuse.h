// Words for a batch that was refused: finds the cell that the flag was raised for and names it.
// Runs after the engine has stopped, never on the training path.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <string>

#include "core/check.h"
#include "run/engine.h"
#include "train/model.h"

namespace fastnn::train {

using run::Compiled;
using run::Data;
using run::Engine;
using run::OutputOutside;
using run::Verdict;

// The batch is rows ids[0], ..., ids[count - 1] of the caller's arrays.
template <class T>
struct Refusal {
  const char* where;
  const Data& data;
  kernels::RowIds ids;
  Index count;
  kernels::Scaling<T> scaling;
  Index n_outputs;
  const Compiled<T>* compiled;  // nullptr before compile
  const OutputOutside& outside;
  bool certain = true;  // one of the cells is wrong

  // Throws std::invalid_argument that names row, column and value, or Interrupted; returns for every other verdict.
  void raise(Verdict verdict) const {
    switch (verdict) {
      case Verdict::kBadX:
        return x();
      case Verdict::kBadTarget:
        return target();
      case Verdict::kBadWeight:
        return weight();
      case Verdict::kBadGrad:
        return find(data.grad, "grad", finite(), [](double v, Index) { return !std::isfinite(static_cast<T>(v)); });
      case Verdict::kBadOutput:
        return require(false, "[", where, "] the outputs have ", compiled->loss->outputs.shown(outside.value()),
                       " at row ", ids[outside.row()], "; ", compiled->loss->class_name, " expects ",
                       compiled->loss->outputs.text(), ": ", compiled->loss->outputs_remedy);
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
  void raise_if_any() const {
    Refusal looking = *this;
    looking.certain = false;
    looking.x();
    looking.target();
    if (data.weights) looking.weight();
  }

 private:
  template <class Bad>
  void find(const kernels::Source& source, const char* name, const std::string& expected, Bad bad) const {
    for (Index r = 0; r < count; ++r)
      for (Index c = 0; c < source.cols; ++c) {
        const double value = kernels::element(source, ids[r], c);
        require(!bad(value, c), "[", where, "] ", name, " has ", value, " at row ", ids[r], ", column ", c,
                "; expected ", expected);
      }
    require(!certain, "[", where, "] ", name, " has a value that is not allowed; expected ", expected);
  }
  static std::string finite() {
    return std::string("finite numbers (as ") + (sizeof(T) == 4 ? "float32)" : "float64)");
  }

  void x() const {
    find(data.x, "X", finite(),
         [&](double value, Index c) { return !std::isfinite(kernels::scaled<T>(data.x, scaling, value, c)); });
  }
  void target() const {
    const losses::Row& loss = *compiled->loss;
    if (loss.target == losses::TargetKind::kClass)
      return find(data.y, "y", "class numbers 0 to " + std::to_string(n_outputs - 1), [&](double v, Index) {
        return !(v >= 0 && v < static_cast<double>(n_outputs) && v == std::floor(v));
      });
    for (Index r = 0; r < count; ++r)
      for (Index c = 0; c < data.y.cols; ++c) {
        const double value = kernels::element(data.y, ids[r], c);
        if (!std::isfinite(static_cast<T>(value)) || !loss.targets.excludes<T>(value)) continue;
        const std::string column = data.y.cols > 1 ? ", column " + std::to_string(c) : "";
        require(false, "[", where, "] y has ", loss.targets.shown(value), " at row ", ids[r], column, "; ",
                loss.class_name, " expects ", loss.targets.text());
      }
    find(data.y, "y", finite(), [](double v, Index) { return !std::isfinite(static_cast<T>(v)); });
  }
  // Where losses are added up, weights are not relative: they are factors of gradients.
  void weight() const {
    const bool as_t = compiled->loss_is_sum();
    find(data.weights, "sample_weight", as_t ? finite() + " >= 0" : "finite numbers >= 0", [&](double v, Index) {
      return !(v >= 0) || !std::isfinite(as_t ? static_cast<double>(static_cast<T>(v)) : v);
    });
  }
};

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

}  // namespace fastnn::train
