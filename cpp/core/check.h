// Refusals: one function, so that every message says where, what came and what was expected.
// Never used on the training path; nothing here aborts.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sstream>
#include <stdexcept>

namespace fastnn {

// require(n == 4, "[linear] x has ", n, " columns, the layer expects 4") -> std::invalid_argument
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (condition) return;
  std::ostringstream text;
  (text << ... << parts);
  throw std::invalid_argument(text.str());
}

}  // namespace fastnn
