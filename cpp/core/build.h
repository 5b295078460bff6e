// What this copy of the engine was compiled as. The bindings are compiled once and ask here.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <string>

namespace fastnn {

struct Build {
  const char* isa;        // v2, v3, v4, base or native
  const char* cxx_flags;  // those that change code
  std::string compiler, eigen;
};
Build build();

// What Eigen believes of this processor's caches, in bytes: no result may depend on it.
void set_eigen_cache_sizes(std::ptrdiff_t l1, std::ptrdiff_t l2, std::ptrdiff_t l3);

}  // namespace fastnn
