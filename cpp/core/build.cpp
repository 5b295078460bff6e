// SPDX-License-Identifier: BSD-3-Clause
#include "core/build.h"

#include <Eigen/Core>

// cpp/cmake/FastnnIsa.cmake defines both.
#ifndef FASTNN_ISA
#define FASTNN_ISA "base"
#endif
#ifndef FASTNN_CXX_FLAGS
#define FASTNN_CXX_FLAGS ""
#endif

namespace fastnn {

Build build() {
  return {FASTNN_ISA, FASTNN_CXX_FLAGS,
#if defined(__clang__)
          "clang " __clang_version__,
#else
          "gcc " __VERSION__,
#endif
          std::to_string(EIGEN_MAJOR_VERSION) + "." + std::to_string(EIGEN_MINOR_VERSION) + "." +
              std::to_string(EIGEN_PATCH_VERSION)};
}

}  // namespace fastnn
