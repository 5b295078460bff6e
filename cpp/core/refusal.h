// A Refusal says as data which argument of a call is wrong, why, at which row and column, and what was expected. It has
// no sentence: the bindings pass its fields to Python, where fastnn/_refusals.py has one sentence for each reason and
// knows the name of the user's call. A Failure is not the fault of an argument; its sentence is made in C++, and Python
// adds the name of the call. Neither is used during training.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/types.h"

namespace fastnn {

namespace reason {
// Reasons that concern an array as a whole.
inline constexpr const char* kNoArray = "no_array";        // it is not an array; `came` is its type
inline constexpr const char* kMasked = "masked";           // it has masked cells
inline constexpr const char* kDtype = "dtype";             // `came` is its dtype, which is not accepted
inline constexpr const char* kShape = "shape";             // wrong number of dimensions or columns
inline constexpr const char* kRows = "rows";               // another number of rows than that of another argument
inline constexpr const char* kNoRows = "no_rows";          // it has no rows
inline constexpr const char* kOtherShape = "other_shape";  // the shape is not `needed`, that of another array
inline constexpr const char* kSparse = "sparse";  // `came` says what is wrong with the arrays of a sparse matrix
inline constexpr const char* kCount = "count";    // a list whose number of arrays is not `rows`
// Reasons that concern an array to which a result is written.
inline constexpr const char* kReadOnly = "read_only";
inline constexpr const char* kApart = "apart";
inline constexpr const char* kUnaligned = "unaligned";
inline constexpr const char* kShared = "shared";
// Reasons that concern one cell, at `row` and `column`, which has the number `value`.
inline constexpr const char* kNotFinite = "not_finite";
inline constexpr const char* kColumn = "column";  // of a sparse matrix: `value` is no column from 0 to `highest`
inline constexpr const char* kClass = "class";    // not a class number from 0 to `highest`
inline constexpr const char* kWeight = "weight";  // not finite, or negative
inline constexpr const char* kTarget = "target";  // a target outside the loss's interval from `lowest` to `highest`
inline constexpr const char* kOutput = "output";  // an output outside the loss's interval
// Reasons that concern a loss, for as many outputs as `value` says.
inline constexpr const char* kOutputs = "outputs";       // no multiple of `cols`, the outputs of a target
inline constexpr const char* kPerOutput = "per_output";  // a list that does not have a number for each
// Reasons that concern the call.
inline constexpr const char* kNoWeight = "no_weight";      // the weights of all rows are zero
inline constexpr const char* kNotAdapted = "not_adapted";  // Standardize has no statistics
inline constexpr const char* kNotCompiled = "not_compiled";
inline constexpr const char* kNoLength = "no_length";  // the schedule `came` lasts a fit, and this is none
inline constexpr const char* kNoSteps = "no_steps";    // the schedule `came` lasts a fit of unknown steps
inline constexpr const char* kOwnLoss = "own_loss";    // it needs a loss of the registry
inline constexpr const char* kNoForward = "no_forward";
inline constexpr const char* kNoGradients = "no_gradients";
inline constexpr const char* kNoAverage = "no_average";              // compile chose none
inline constexpr const char* kNothingAveraged = "nothing_averaged";  // no update has been added to it
inline constexpr const char* kAveraged = "averaged";                 // the averages are in the place of the values
}  // namespace reason

// What a call expects of an array.
struct Expected {
  Index cols = -1;       // -1 means any number
  Index or_cols = -1;    // permitted as well
  Index outputs = -1;    // of targets: the outputs that they belong to, if there are several for each
  Index rows = -1;       // -1 means any number
  bool vector = false;   // an array of shape (rows,) counts as one column
  bool flatten = false;  // an array of shape (rows, d1, d2, ...) counts as d1 d2 ... columns
  bool classes = false;  // one class number per row
  const char* of = "";   // the argument with the same number of rows, such as "X"
  const char* by = "";   // what expects it: "the model", "MSELoss"
};

struct Refusal {
  std::string where{};  // the core's own name of the call: "train_step"
  const char* reason = "";
  std::string argument{};
  Expected expected{};
  std::string came{};
  const char* dtype = "";  // the dtype that is expected, or in which numbers have to be finite
  std::vector<Index> shape{}, needed{};
  Index row = -1, column = -1;
  double value = 0;
  double lowest = 0, highest = 0;
  bool open_below = false, open_above = false;
  const char* remedy = "";
};

class Refused : public std::invalid_argument {
 public:
  explicit Refused(Refusal refusal)
      : std::invalid_argument(refusal.where + ": " + refusal.argument + ": " + refusal.reason),
        refusal_(std::move(refusal)) {}
  const Refusal& refusal() const { return refusal_; }

 private:
  Refusal refusal_;
};

// A call that ended without a result although its arguments were right: another call has the model, or training
// diverged. what() is the sentence without the name of the call.
class Failure : public std::runtime_error {
 public:
  Failure(std::string where, const std::string& sentence) : std::runtime_error(sentence), where_(std::move(where)) {}
  const std::string& where() const { return where_; }  // the core's own name of the call: "train_step"

 private:
  std::string where_;
};

// Throws Refused if the condition is false. The arguments are evaluated in any case, so they have to cost nothing.
inline void refuse_unless(bool condition, const char* where, const char* reason, const char* argument = "") {
  if (!condition) throw Refused({.where = where, .reason = reason, .argument = argument});
}

}  // namespace fastnn
