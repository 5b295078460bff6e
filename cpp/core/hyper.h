// Hyperparameters as every registry describes them: name, default, allowed range, one line of documentation.
// Python's classes, stubs and documentation are generated from these rows; nobody repeats them by hand.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/types.h"

namespace fastnn {

enum class HyperKind { kReal, kCount, kFlag, kChoice };

struct Hyper {
  const char* name;
  double value;                                              // the default; for a choice its index
  double lowest = -std::numeric_limits<double>::infinity();  // allowed: lowest <= v <= highest
  double highest = std::numeric_limits<double>::infinity();
  const char* doc = "";
  HyperKind kind = HyperKind::kReal;
  const char* choices = "";  // "mean|sum": a kChoice arrives as its index
};

using HyperValues = std::vector<double>;           // in the order of the row's table
using HyperGiven = std::map<std::string, double>;  // as the border hands them in

// Defaults overridden by `given`. Throws std::invalid_argument that names `where` ("[adam]"), the value and the
// allowed range, or lists the known names.
HyperValues resolve(const std::string& where, std::span<const Hyper> table, const HyperGiven& given);

// "a, b, c" for messages that list candidates.
std::string join(const std::vector<std::string>& names);

}  // namespace fastnn
