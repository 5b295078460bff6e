// How this copy of the engine was compiled. The engine is compiled once per instruction-set level; the bindings are
// compiled only once, so they call this function.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

namespace fastnn {

struct Build {
  const char* isa;        // v2, v3, v4, base or native
  const char* cxx_flags;  // the flags that change the generated code
  std::string compiler, eigen;
};
Build build();

}  // namespace fastnn
