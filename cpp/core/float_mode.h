// The floating-point mode of the engine, set in the processor's control register: round to nearest, and subnormal
// numbers are zero both as operands and as results. Arithmetic on subnormal numbers takes a hundred times as long on
// many processors, and training produces them, since momentum and decayed weights shrink towards zero. The mode is set
// on entry to the engine and restored on exit, and for the duration of every callback.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace fastnn {

namespace float_register {

#if defined(__x86_64__)
// MXCSR: all exceptions masked, round to nearest, flush-to-zero (bit 15), denormals-are-zero (bit 6).
inline constexpr std::uint64_t kEngine = 0x1F80 | 1U << 15 | 1U << 6;
// The clobber "memory" keeps the compiler from moving loads and stores, and the arithmetic between them, across the
// change of mode.
inline std::uint64_t read() noexcept {
  std::uint32_t value;
  asm volatile("stmxcsr %0" : "=m"(value) : : "memory");
  return value;
}
inline void write(std::uint64_t value) noexcept {
  const auto word = static_cast<std::uint32_t>(value);
  asm volatile("ldmxcsr %0" : : "m"(word) : "memory");
}
#elif defined(__aarch64__)
// FPCR: no exception traps, round to nearest, flush-to-zero (bit 24) of operands and results.
inline constexpr std::uint64_t kEngine = 1U << 24;
inline std::uint64_t read() noexcept {
  std::uint64_t value;
  asm volatile("mrs %0, fpcr" : "=r"(value) : : "memory");
  return value;
}
inline void write(std::uint64_t value) noexcept { asm volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#else  // no known control register: subnormal numbers are computed with
inline constexpr std::uint64_t kEngine = 0;
inline std::uint64_t read() noexcept { return 0; }
inline void write(std::uint64_t) noexcept {}
#endif

// The control register's value when this thread entered the engine; kOutside while the thread is not in the engine.
inline constexpr std::uint64_t kOutside = ~std::uint64_t{0};
inline constinit thread_local std::uint64_t t_callers_register = kOutside;

}  // namespace float_register

// Sets the engine's mode for the lifetime of the object. Objects may be nested: the outermost one sets and restores.
class FloatMode {
 public:
  FloatMode() noexcept : outermost_(float_register::t_callers_register == float_register::kOutside) {
    if (!outermost_) return;
    float_register::t_callers_register = float_register::read();
    float_register::write(float_register::kEngine);
  }
  ~FloatMode() {
    if (!outermost_) return;
    float_register::write(float_register::t_callers_register);
    float_register::t_callers_register = float_register::kOutside;
  }
  FloatMode(const FloatMode&) = delete;

 private:
  bool outermost_;
};

// Restores the caller's mode for the lifetime of the object, around callbacks. If a callback changes the mode, the
// changed mode is restored when the engine returns.
class CallersFloatMode {
 public:
  CallersFloatMode() noexcept : inside_(float_register::t_callers_register != float_register::kOutside) {
    if (!inside_) return;
    float_register::write(float_register::t_callers_register);
    float_register::t_callers_register = float_register::kOutside;
  }
  ~CallersFloatMode() {
    if (!inside_) return;
    float_register::t_callers_register = float_register::read();
    float_register::write(float_register::kEngine);
  }
  CallersFloatMode(const CallersFloatMode&) = delete;

 private:
  bool inside_;
};

}  // namespace fastnn
