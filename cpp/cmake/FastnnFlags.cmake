# Compiler and linker flags that hold for every level, each with its reason. No -ffast-math, neither here nor at
# link time: it would change rounding modes for the whole process and break NaN checks.
# SPDX-License-Identifier: BSD-3-Clause

# What build_info() reports, beside the level's own options.
set(FASTNN_FLAGS_TEXT
    -O3                # inlining of packet code decides the speed of every kernel
    -ffp-contract=off  # a * b + c is fused only where the source says fma(): same bits from every compiler
    -fno-math-errno    # nobody reads errno after sqrt; without this it is a call instead of an instruction
)

# An interface target: whoever links it gets the flags.
function(fastnn_set_flags target)
  add_library(${target} INTERFACE)
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_compile_options(
    ${target}
    INTERFACE ${FASTNN_FLAGS_TEXT}
              -fvisibility=hidden          # two loaded levels must not see each other's symbols
              -fvisibility-inlines-hidden
              -ffunction-sections          # lets the linker drop what nothing calls
              -fdata-sections
              -Wall -Wextra -Wconversion -Wshadow
              # No loop over numbers is in the bindings, and pybind11's templates take half as long again at -O3.
              $<$<STREQUAL:$<TARGET_PROPERTY:NAME>,bindings>:-O1>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Unique symbols of inline variables would be shared between levels in spite of RTLD_LOCAL.
    target_compile_options(${target} INTERFACE -fno-gnu-unique)
  endif()
  if(FASTNN_WERROR)
    target_compile_options(${target} INTERFACE -Werror)
  endif()
  if(FASTNN_TESTING)
    target_compile_definitions(${target} INTERFACE FASTNN_TESTING=1)
  endif()
  # LTO is off: every hot path is one template instantiation, and it doubles the time of an install.
  target_link_options(
    ${target} INTERFACE -Wl,--gc-sections
    # Exports PyInit_* alone: copies of std:: templates compiled for v4 must not serve v2.
    -Wl,--version-script=${PROJECT_SOURCE_DIR}/cpp/cmake/exports.map)
  set_target_properties(${target} PROPERTIES INTERFACE_LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cpp/cmake/exports.map)
  fastnn_set_sanitizer(${target})
endfunction()

function(fastnn_set_sanitizer target)
  if(FASTNN_SANITIZE STREQUAL "")
    return()
  elseif(FASTNN_SANITIZE STREQUAL address)
    # Undefined behaviour rides along: one more build would find nothing that this one does not.
    # -O1: the optimiser takes ten times as long over kernels whose every load is checked, and finds no more errors.
    set(options -fsanitize=address,undefined -fno-sanitize-recover=undefined -O1)
  elseif(FASTNN_SANITIZE STREQUAL thread)
    set(options -fsanitize=thread)
  else()
    message(FATAL_ERROR "FASTNN_SANITIZE is '${FASTNN_SANITIZE}'; known: address, thread, or empty")
  endif()
  target_compile_options(${target} INTERFACE ${options} -fno-omit-frame-pointer -g)
  target_link_options(${target} INTERFACE ${options})
endfunction()
