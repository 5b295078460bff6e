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
  fastnn_set_half(bindings)
  target_link_libraries(bindings PRIVATE pybind11::module)
endfunction()

# The module fastnn._core._<isa>: the engine of this level, and the bindings.
function(fastnn_add_core isa)
  if(NOT isa IN_LIST FASTNN_KNOWN_ISAS)
    message(FATAL_ERROR "FASTNN_ISAS: unknown level '${isa}'; known: ${FASTNN_KNOWN_ISAS}")
  endif()
  fastnn_isa_options(${isa} isa_options)
  string(JOIN " " flags_text ${FASTNN_FLAGS_TEXT} ${isa_options})

  add_library(engine_${isa} OBJECT ${FASTNN_ENGINE})
  fastnn_set_half(engine_${isa})
  target_compile_options(engine_${isa} PRIVATE ${isa_options})
  target_compile_definitions(engine_${isa} PRIVATE "FASTNN_ISA=\"${isa}\"" "FASTNN_CXX_FLAGS=\"${flags_text}\"")
  target_link_libraries(engine_${isa} PRIVATE fastnn_eigen OpenMP::OpenMP_CXX)

  # The engine comes first: the linker keeps the first copy of an inline function that both contain, the level's own.
  # NO_EXTRAS: FastnnFlags.cmake decides on stripping, link-time optimisation and visibility.
  pybind11_add_module(_${isa} MODULE NO_EXTRAS $<TARGET_OBJECTS:engine_${isa}> $<TARGET_OBJECTS:bindings>)
  set_target_properties(_${isa} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(_${isa} PRIVATE fastnn_flags OpenMP::OpenMP_CXX)
  install(TARGETS _${isa} DESTINATION fastnn/_core)
endfunction()

# Settings of both parts, engine and bindings. With CMAKE_UNITY_BUILD each is compiled as one translation unit.
function(fastnn_set_half half)
  target_include_directories(${half} PRIVATE ${PROJECT_SOURCE_DIR}/cpp)
  target_link_libraries(${half} PRIVATE fastnn_flags)
  set_target_properties(${half} PROPERTIES POSITION_INDEPENDENT_CODE ON UNITY_BUILD_BATCH_SIZE 0)
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
