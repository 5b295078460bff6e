# Instruction-set levels; the only file with -march. The engine is compiled once per level and linked into a module of its
# own (_v2, _v3, _v4, _base, _native). python/fastnn/_core/__init__.py imports the best that the processor can run.
# SPDX-License-Identifier: BSD-3-Clause

set(FASTNN_KNOWN_ISAS v2 v3 v4 base native)

function(fastnn_default_isas result)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set(${result} v2 v3 v4 PARENT_SCOPE)
  else()
    set(${result} base PARENT_SCOPE)
  endif()
endfunction()

# Compiler options of one level. `base` uses the default of the compiler.
function(fastnn_isa_options isa result)
  set(options "")
  if(isa MATCHES "^v[234]$")
    set(options -march=x86-64-${isa})
    if(NOT isa STREQUAL v2)
      # prefetchw fetches a cache line for writing. The levels do not name it, without it __builtin_prefetch(at, 1) fetches
      # for reading, and then a line that another core has changed is asked for twice. Processors of v3 and v4 have it, but
      # for some of Intel before Broadwell (2014), which take it for a nop.
      list(APPEND options -mprfchw)
    endif()
  elseif(isa STREQUAL native)
    set(options -march=native)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 emits thousands of warnings about undefined values in its own AVX-512 intrinsics, which `native` may use, too.
    execute_process(
      COMMAND ${CMAKE_CXX_COMPILER} ${options} -dM -E -x c++ /dev/null
      OUTPUT_VARIABLE macros COMMAND_ERROR_IS_FATAL ANY)
    if(macros MATCHES "__AVX512F__")
      list(APPEND options -Wno-maybe-uninitialized -Wno-uninitialized)
    endif()
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    # At v2, GCC 12 moves pairs of integers through an MMX register and does not leave MMX mode afterwards: from then on,
    # long double arithmetic in the whole process gives NaN.
    list(APPEND options -mno-mmx)
  endif()
  set(${result} ${options} PARENT_SCOPE)
endfunction()

# The bindings contain no vector types (they do not include Eigen), so they are compiled once, for the oldest processor,
# and linked into the modules of all levels. They take as long to compile as an engine.
function(fastnn_add_bindings)
  add_library(bindings OBJECT ${FASTNN_BINDINGS})
  set_target_properties(bindings PROPERTIES FASTNN_FOR_SIZE ON)
  add_library(binding_calls OBJECT ${FASTNN_BINDING_CALLS})
  foreach(part bindings binding_calls)
    fastnn_set_part(${part})
    target_link_libraries(${part} PRIVATE pybind11::module)
  endforeach()
endfunction()

# The module fastnn._core._<isa>: the engine of this level, and the bindings.
function(fastnn_add_core isa)
  if(NOT isa IN_LIST FASTNN_KNOWN_ISAS)
    message(FATAL_ERROR "FASTNN_ISAS: unknown level '${isa}'; known: ${FASTNN_KNOWN_ISAS}")
  endif()
  fastnn_isa_options(${isa} isa_options)
  string(JOIN " " flags_text ${FASTNN_FLAGS_TEXT} ${isa_options})

  add_library(engine_${isa} OBJECT ${FASTNN_ENGINE})
  add_library(direction_${isa} OBJECT ${FASTNN_DIRECTION})
  set_target_properties(direction_${isa} PROPERTIES FASTNN_FOR_SIZE ON)
  foreach(part engine_${isa} direction_${isa})
    fastnn_set_part(${part})
    target_compile_options(${part} PRIVATE ${isa_options})
    target_compile_definitions(${part} PRIVATE "FASTNN_ISA=\"${isa}\"" "FASTNN_CXX_FLAGS=\"${flags_text}\"")
    target_link_libraries(${part} PRIVATE fastnn_eigen OpenMP::OpenMP_CXX)
  endforeach()

  # The engine comes first: the linker keeps the first copy of an inline function that several parts contain, the one that
  # was compiled for speed and for the level.
  # NO_EXTRAS: FastnnFlags.cmake decides on stripping, link-time optimisation and visibility.
  pybind11_add_module(_${isa} MODULE NO_EXTRAS $<TARGET_OBJECTS:engine_${isa}> $<TARGET_OBJECTS:direction_${isa}>
                      $<TARGET_OBJECTS:bindings> $<TARGET_OBJECTS:binding_calls>)
  set_target_properties(_${isa} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(_${isa} PRIVATE fastnn_flags OpenMP::OpenMP_CXX)
  install(TARGETS _${isa} DESTINATION fastnn/_core)
endfunction()

# Settings of all parts: engine, direction and bindings. With CMAKE_UNITY_BUILD each is compiled as one translation unit.
function(fastnn_set_part part)
  target_include_directories(${part} PRIVATE ${PROJECT_SOURCE_DIR}/cpp)
  target_link_libraries(${part} PRIVATE fastnn_flags)
  set_target_properties(${part} PROPERTIES POSITION_INDEPENDENT_CODE ON UNITY_BUILD_BATCH_SIZE 0)
endfunction()

# The module that detects the processor's levels runs before one is chosen, so it is plain C for the oldest processor,
# whatever the default of the compiler is.
function(fastnn_add_cpuid)
  python_add_library(_cpuid MODULE WITH_SOABI ${PROJECT_SOURCE_DIR}/cpp/bindings/cpuid.c)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    target_compile_options(_cpuid PRIVATE -march=x86-64)
  endif()
  target_compile_definitions(_cpuid PRIVATE "FASTNN_VERSION=\"${FASTNN_VERSION}\"")
  set_target_properties(_cpuid PROPERTIES C_STANDARD 11 C_VISIBILITY_PRESET hidden)
  install(TARGETS _cpuid DESTINATION fastnn/_core)
endfunction()
