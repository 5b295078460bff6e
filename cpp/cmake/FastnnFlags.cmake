# Compiler and linker flags of all levels, each with its reason. -ffast-math is used neither here nor at link time: it would
# change the floating-point mode of the whole process and break checks for NaN.
# SPDX-License-Identifier: BSD-3-Clause

# The flags that build_info() reports, in addition to the options of the level.
set(FASTNN_FLAGS_TEXT
    -O3                # the speed of the kernels depends on inlining
    -ffp-contract=off  # a * b + c is fused only where the source says fma(), so that all compilers give the same bits
    -fno-math-errno    # sqrt becomes an instruction; otherwise it is a call that sets errno, which nothing reads
)

# An interface target: targets that link it get the flags.
function(fastnn_set_flags target)
  add_library(${target} INTERFACE)
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_compile_options(
    ${target}
    INTERFACE ${FASTNN_FLAGS_TEXT}
              -fvisibility=hidden          # symbols of one level must not be used by another
              -fvisibility-inlines-hidden
              -ffunction-sections          # so that the linker can remove unused functions
              -fdata-sections
              -Wall -Wextra -Wconversion -Wshadow
              # The bindings, and the rooms that prepare and direct a training, contain no loops that take time. They are
              # compiled for size, since the wheel contains them once for each level; -O3 makes them twice as large.
              $<$<BOOL:$<TARGET_PROPERTY:FASTNN_FOR_SIZE>>:-Os>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Otherwise inline variables get unique symbols, which loaded modules share in spite of RTLD_LOCAL.
    target_compile_options(${target} INTERFACE -fno-gnu-unique)
  endif()
  if(FASTNN_WERROR)
    target_compile_options(${target} INTERFACE -Werror)
  endif()
  if(FASTNN_TESTING)
    target_compile_definitions(${target} INTERFACE FASTNN_TESTING=1)
  endif()
  # No link-time optimisation: time-critical paths are single template instantiations, and it doubles the build time.
  target_link_options(
    ${target} INTERFACE -Wl,--gc-sections
    # Exports PyInit_* alone, so that v2 never uses a copy of a std:: template that was compiled for v4.
    -Wl,--version-script=${PROJECT_SOURCE_DIR}/cpp/cmake/exports.map)
  set_target_properties(${target} PROPERTIES INTERFACE_LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cpp/cmake/exports.map)
  fastnn_set_sanitizer(${target})
endfunction()

function(fastnn_set_sanitizer target)
  if(FASTNN_SANITIZE STREQUAL "")
    return()
  elseif(FASTNN_SANITIZE STREQUAL address)
    # Both sanitizers in one build: separate builds would find nothing more.
    # -O1: with every load checked, -O3 compiles the kernels ten times as long without finding more errors.
    set(options -fsanitize=address,undefined -fno-sanitize-recover=undefined -O1)
  elseif(FASTNN_SANITIZE STREQUAL thread)
    set(options -fsanitize=thread)
  else()
    message(FATAL_ERROR "FASTNN_SANITIZE is '${FASTNN_SANITIZE}'; known: address, thread, or empty")
  endif()
  target_compile_options(${target} INTERFACE ${options} -fno-omit-frame-pointer -g)
  target_link_options(${target} INTERFACE ${options})
endfunction()
