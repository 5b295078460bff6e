// The registry of metrics as other rooms see it. A member is a sum over rows; Python computes one or several figures
// from the sums of all rows (fastnn/metrics): the squared errors of each output give the MSE and the RMSE. Figures that
// are no functions of such sums, such as the area under the ROC curve, are computed from predictions.
// The accuracy is not among the members: which outputs are right is for the loss to say (losses/loss.h).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/registry.h"
#include "core/types.h"

namespace fastnn::metrics {

// What the outputs of a model are, by its loss: a number each, a yes or no each, or scores of classes of which a row has
// one.
enum class Outputs { kNumbers, kFlags, kClasses };
struct Kind {
  Outputs outputs = Outputs::kNumbers;
  Index columns = 0;           // the number of outputs
  Index each = 1;              // outputs for each target
  double boundary = 0;         // of kFlags: an output above it is a yes
  bool probabilities = false;  // whether predictions are probabilities of classes
  const char* loss = "";       // the class name of the loss, for messages

  // The classes that are counted: of a single yes or no, both answers are.
  Index classes() const { return outputs == Outputs::kFlags && columns == 1 ? 2 : columns; }
};

// A chunk of rows: raw outputs or predictions, as the member says; targets, either as numbers or as classes; and weights
// in a common unit.
template <class T>
struct Rows {
  ConstMatrix<T> out;
  ConstMatrix<T> targets;
  const std::int32_t* classes = nullptr;
  const T* weights = nullptr;  // nullptr: all are 1

  double weight(Index r) const { return weights ? static_cast<double>(weights[r]) : 1.0; }
};

// Adds the sums of these rows to `sums`, which are zero before.
template <class T>
using Add = void (*)(const Values& values, const Kind& kind, const Rows<T>& rows, double* sums) noexcept;

struct Row : fastnn::Row {
  bool sees_predictions;  // otherwise raw outputs, whose order is that of the predictions and which are cheaper
  bool (*defined)(const Kind& kind);
  Index (*size)(const Kind& kind);  // how many sums there are
  // Adds the sums of other rows. `own` and `its` are factors of the weights in either, which bring them to one unit.
  void (*join)(const Kind& kind, double* sums, double own, const double* others, double its) noexcept;
  Add<float> f32;
  Add<double> f64;

  template <class T>
  Add<T> add() const {
    return of_type<T>(f32, f64);
  }
};

Registry<Row> registry();

// The members that compile has chosen, whose sums are stored one after another.
class Chosen {
 public:
  struct Given {
    const Row* row;
    Values values;
  };
  Chosen() = default;
  // Throws std::invalid_argument if one of them is not defined for this kind of outputs.
  Chosen(const Kind& kind, std::span<const Given> members);

  bool empty() const { return parts_.empty(); }
  Index size() const { return size_; }
  std::size_t count() const { return parts_.size(); }
  // The sums of member `k` among those of all.
  std::span<const double> of(std::size_t k, std::span<const double> sums) const {
    const Part& part = parts_[k];
    return sums.subspan(static_cast<std::size_t>(part.first), static_cast<std::size_t>(part.size));
  }
  bool see_predictions() const { return see_predictions_; }
  // Stores the sums of a chunk of rows of those members that see raw outputs, or of those that see predictions.
  template <class T>
  void sum(const Rows<T>& rows, bool predictions, double* sums) const noexcept;
  // Adds the sums of other rows, as Row::join does.
  void join(double* sums, double own, const double* others, double its) const noexcept;

 private:
  struct Part {
    const Row* row;
    Values values;
    Index first, size;
  };
  Kind kind_;
  std::vector<Part> parts_;
  Index size_ = 0;
  bool see_predictions_ = false;
};

}  // namespace fastnn::metrics
