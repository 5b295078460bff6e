// Refusals: one function, so that every message says where, what came and what was expected.
// Never used on the training path; nothing here aborts.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sstream>
#include <stdexcept>
#include <type_traits>

namespace fastnn {

namespace detail {
// Six digits do for a measured number; a class or row that came as a double is shown whole.
template <class Part>
void write(std::ostringstream& text, const Part& part) {
  if constexpr (std::is_floating_point_v<Part>)
    if (part > -1e10 && part < 1e10 && part == static_cast<Part>(static_cast<long long>(part))) {
      text << static_cast<long long>(part);
      return;
    }
  text << part;
}
}  // namespace detail

// require(n == 4, "[linear] x has ", n, " columns, the layer expects 4") -> std::invalid_argument
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (condition) return;
  std::ostringstream text;
  (detail::write(text, parts), ...);
  throw std::invalid_argument(text.str());
}

}  // namespace fastnn
