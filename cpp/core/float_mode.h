// The processor's floating-point control register while the engine computes: round to nearest, and numbers below the
// smallest normal one are zero, as operands and as results. Arithmetic on such numbers takes a hundred times as long on
// many processors, and training makes them by itself: momentum decays, weights decay. The mode is ours only between
// entering and leaving the engine; whoever called, and every callback, finds the register as it was.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace fastnn {

namespace float_register {

#if defined(__x86_64__)
// MXCSR: all exceptions masked, round to nearest, flush-to-zero (bit 15), denormals-are-zero (bit 6).
inline constexpr std::uint64_t kEngine = 0x1F80 | 1U << 15 | 1U << 6;
// "memory" keeps loads and stores, and with them the arithmetic between, on their side of the change.
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
#else  // numbers below the smallest normal one are computed with
inline constexpr std::uint64_t kEngine = 0;
inline std::uint64_t read() noexcept { return 0; }
inline void write(std::uint64_t) noexcept {}
#endif

// What this thread's register held when the engine was entered; kOutside while it is not in the engine.
inline constexpr std::uint64_t kOutside = ~std::uint64_t{0};
inline constinit thread_local std::uint64_t t_callers = kOutside;

}  // namespace float_register

// The engine's mode as long as this lives. May be nested: the outermost one sets and restores.
class FloatMode {
 public:
  FloatMode() noexcept : outermost_(float_register::t_callers == float_register::kOutside) {
    if (!outermost_) return;
    float_register::t_callers = float_register::read();
    float_register::write(float_register::kEngine);
  }
  ~FloatMode() {
    if (!outermost_) return;
    float_register::write(float_register::t_callers);
    float_register::t_callers = float_register::kOutside;
  }
  FloatMode(const FloatMode&) = delete;

 private:
  bool outermost_;
};

// The caller's mode as long as this lives: for what the engine calls back. A mode that it leaves there is the caller's
// from then on.
class CallersFloatMode {
 public:
  CallersFloatMode() noexcept : inside_(float_register::t_callers != float_register::kOutside) {
    if (!inside_) return;
    float_register::write(float_register::t_callers);
    float_register::t_callers = float_register::kOutside;
  }
  ~CallersFloatMode() {
    if (!inside_) return;
    float_register::t_callers = float_register::read();
    float_register::write(float_register::kEngine);
  }
  CallersFloatMode(const CallersFloatMode&) = delete;

 private:
  bool inside_;
};

}  // namespace fastnn
