# The dependencies of the build: Python and pybind11, Eigen's headers, OpenMP. Nothing is downloaded or vendored.
# SPDX-License-Identifier: BSD-3-Clause

set(PYBIND11_FINDPYTHON ON)
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
# In a build started by pip, site-packages is on CMAKE_PREFIX_PATH; the hints are for a plain `cmake --preset`.
find_package(pybind11 3 CONFIG REQUIRED HINTS ${Python_SITELIB}/pybind11 ${Python_SITEARCH}/pybind11)
find_package(OpenMP REQUIRED COMPONENTS CXX)

add_library(fastnn_eigen INTERFACE)
if(FASTNN_SYSTEM_EIGEN)
  find_package(Eigen3 5.0 CONFIG REQUIRED)
  get_target_property(FASTNN_EIGEN_INCLUDE Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
else()
  # The wheel `eigency` installs the headers in site-packages/eigency/eigen; its Python part is not used.
  # A cached path may be that of an earlier build environment of pip, which no longer exists.
  if(NOT EXISTS "${FASTNN_EIGEN_INCLUDE}/Eigen/Core")
    unset(FASTNN_EIGEN_INCLUDE CACHE)
  endif()
  find_path(
    FASTNN_EIGEN_INCLUDE Eigen/Core
    HINTS ${CMAKE_PREFIX_PATH} ${Python_SITELIB} ${Python_SITEARCH}
    PATH_SUFFIXES eigency/eigen
    NO_DEFAULT_PATH)
  if(NOT FASTNN_EIGEN_INCLUDE)
    message(FATAL_ERROR "Eigen's headers were not found: install eigency>=5.0.1 for ${Python_EXECUTABLE}, "
                        "or configure with -DFASTNN_SYSTEM_EIGEN=ON for a system Eigen")
  endif()
endif()
message(STATUS "Eigen: ${FASTNN_EIGEN_INCLUDE}")

# SYSTEM suppresses warnings in Eigen's headers.
target_include_directories(fastnn_eigen SYSTEM INTERFACE ${FASTNN_EIGEN_INCLUDE})
target_compile_definitions(
  fastnn_eigen
  INTERFACE EIGEN_DONT_PARALLELIZE  # only core/parallel* runs threads
            EIGEN_FAST_MATH=0       # exact square roots on every level; with AVX-512 Eigen would approximate them
            EIGEN_MPL2_ONLY)        # excludes the few files under other licences
