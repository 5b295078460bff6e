// A refusal as data: which argument of a call is wrong, why, where in it, and what was expected. It holds no sentence:
// the border hands these fields to Python, where fastnn/_refusals.py has one sentence for each reason and the name of
// the call that the user made. A failure is no fault of an argument; its sentence is made here, the name in front of it
// in Python. Never used on the training path.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/types.h"

namespace fastnn {

namespace reason {
// Of an array as a whole.
inline constexpr const char* kNoArray = "no_array";  // `came`: its type
inline constexpr const char* kMasked = "masked";     // it has masked cells
inline constexpr const char* kDtype = "dtype";       // `came`: its dtype, which holds no real numbers or is another one
inline constexpr const char* kShape = "shape";       // its number of dimensions or of columns
inline constexpr const char* kRows = "rows";         // not as many as those of another argument
inline constexpr const char* kNoRows = "no_rows";    // none
inline constexpr const char* kOtherShape = "other_shape";  // not `needed`, the shape of another array
inline constexpr const char* kCount = "count";             // a list of another number of arrays than `rows`
inline constexpr const char* kReadOnly = "read_only";      // these four: of arrays that take a result
inline constexpr const char* kApart = "apart";
inline constexpr const char* kUnaligned = "unaligned";
inline constexpr const char* kShared = "shared";
// Of one cell, at `row` and `column`: `value`.
inline constexpr const char* kNotFinite = "not_finite";
inline constexpr const char* kClass = "class";    // no class number from 0 to `highest`
inline constexpr const char* kWeight = "weight";  // not finite, or negative
inline constexpr const char* kTarget = "target";  // outside the interval from `lowest` to `highest` of a loss
inline constexpr const char* kOutput = "output";  // the same of an output
// Of the call.
inline constexpr const char* kNoWeight = "no_weight";  // all rows weigh nothing
inline constexpr const char* kNotCompiled = "not_compiled";
inline constexpr const char* kNoForward = "no_forward";
inline constexpr const char* kNoGradients = "no_gradients";
}  // namespace reason

// What a call expects of an array.
struct Expected {
  Index cols = -1;       // -1: any
  Index rows = -1;       // -1: any
  bool vector = false;   // an array (rows,) counts as one column
  bool flatten = false;  // (rows, d1, d2, ...) counts as d1 d2 ... columns
  bool classes = false;  // one class number a row
  const char* of = "";   // whose rows it has to have: "X"
  const char* by = "";   // who expects it: "the model", "MSELoss"
};

struct Refusal {
  std::string where{};  // the core's own name of the call: "train_step"
  const char* reason = "";
  std::string argument{};
  Expected expected{};
  std::string came{};
  const char* dtype = "";  // the one that is expected, or as which numbers have to be finite
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

// For conditions that can be asked for free.
inline void refuse_unless(bool condition, const char* where, const char* reason, const char* argument = "") {
  if (!condition) throw Refused({.where = where, .reason = reason, .argument = argument});
}

}  // namespace fastnn
