// What this copy of the engine was compiled as. The bindings are compiled once and ask here.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

namespace fastnn {

struct Build {
  const char* isa;        // v2, v3, v4, base or native
  const char* cxx_flags;  // those that change code
  std::string compiler, eigen;
};
Build build();

}  // namespace fastnn
