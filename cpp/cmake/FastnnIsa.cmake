# Instruction-set levels: the only file with -march. The engine is compiled once per level and linked into a module
# of its own (_v2, _v3, _v4, _base, _native); python/fastnn/_core/__init__.py imports the best that runs.
# SPDX-License-Identifier: BSD-3-Clause

set(FASTNN_KNOWN_ISAS v2 v3 v4 base native)

function(fastnn_default_isas result)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set(${result} v2 v3 v4 PARENT_SCOPE)
  else()
    set(${result} base PARENT_SCOPE)
  endif()
endfunction()

# Compiler options of one level. `base` is what the compiler makes without being asked.
function(fastnn_isa_options isa result)
  set(options "")
  if(isa MATCHES "^v[234]$")
    set(options -march=x86-64-${isa})
  elseif(isa STREQUAL native)
    set(options -march=native)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 warns of the undefined values in its own AVX-512 intrinsics, a thousand times. `native` may have them, too.
    execute_process(
      COMMAND ${CMAKE_CXX_COMPILER} ${options} -dM -E -x c++ /dev/null
      OUTPUT_VARIABLE macros COMMAND_ERROR_IS_FATAL ANY)
    if(macros MATCHES "__AVX512F__")
      list(APPEND options -Wno-maybe-uninitialized -Wno-uninitialized)
    endif()
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    # GCC 12 moves a pair of integers through an MMX register at v2 and never leaves that mode: from then on everything
    # that calculates in long double, in the whole process, gets NaN.
    list(APPEND options -mno-mmx)
  endif()
  set(${result} ${options} PARENT_SCOPE)
endfunction()

# The bindings: no vector reaches them (they do not see Eigen), so one compilation for the oldest processor serves every
# level's module. They take as long to compile as an engine.
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

  # The engine stands first: of an inline function that both halves have, the linker keeps the level's own.
  # NO_EXTRAS: strip, LTO and visibility are decided in FastnnFlags.cmake, once.
  pybind11_add_module(_${isa} MODULE NO_EXTRAS $<TARGET_OBJECTS:engine_${isa}> $<TARGET_OBJECTS:bindings>)
  set_target_properties(_${isa} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(_${isa} PRIVATE fastnn_flags OpenMP::OpenMP_CXX)
  install(TARGETS _${isa} DESTINATION fastnn/_core)
endfunction()

# What both halves have in common; each is compiled as one file where CMAKE_UNITY_BUILD says so.
function(fastnn_set_half half)
  target_include_directories(${half} PRIVATE ${PROJECT_SOURCE_DIR}/cpp)
  target_link_libraries(${half} PRIVATE fastnn_flags)
  set_target_properties(${half} PROPERTIES POSITION_INDEPENDENT_CODE ON UNITY_BUILD_BATCH_SIZE 0)
endfunction()

# The probe runs before a level is chosen: plain C for the oldest processor, whatever the compiler's default is.
function(fastnn_add_cpuid)
  python_add_library(_cpuid MODULE WITH_SOABI ${PROJECT_SOURCE_DIR}/cpp/bindings/cpuid.c)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    target_compile_options(_cpuid PRIVATE -march=x86-64)
  endif()
  target_compile_definitions(_cpuid PRIVATE "FASTNN_VERSION=\"${FASTNN_VERSION}\"")
  set_target_properties(_cpuid PROPERTIES C_STANDARD 11 C_VISIBILITY_PRESET hidden)
  install(TARGETS _cpuid DESTINATION fastnn/_core)
endfunction()
