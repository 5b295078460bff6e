// Elementary functions on vectors, made of +, -, *, /, fma and operations on the bits of numbers. They do not call the
// C library, and their results do not depend on the width of a vector, so v3 and v4 give the same bits.
// tests/engine/test_elementary.py measures their errors: exp, log and log1p at most 1 ulp, sigmoid 2.5 ulp, tanh 5.5
// ulp in float and 7.5 ulp in double. (tanh is a quotient of polynomials; a formula with fewer roundings takes three
// times as long.) Subnormal numbers are zero, as everywhere in the engine (core/float_mode.h). The polynomials and
// quotients minimise the largest relative error of the whole function (Remez algorithm in 50 digits) and were then
// rounded to T. The comments beside them give these errors.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <limits>

#include "core/simd.h"

namespace fastnn {

namespace detail {

template <class T>
inline constexpr int kFraction = std::numeric_limits<T>::digits - 1;  // bits of the fraction
template <class T>
inline constexpr typename Vec<T>::Bit kBias = std::numeric_limits<T>::max_exponent - 1;
template <class T>
inline constexpr auto kOne = kBias<T> << kFraction<T>;  // the bits of 1

template <class T>
struct Constants;
template <>
struct Constants<float> {
  static constexpr float kLog2e = 0x1.715476p+0F;
  static constexpr float kLn2 = 0x1.62e4p-1F, kLn2Rest = 0x1.7f7d1cp-20F;  // kLn2 times an exponent is exact
  static constexpr float kExpLowest = -0x1.5d589ep+6F;                     // below it exp(x) is subnormal
  static constexpr float kExpHighest = 0x1.62e42ep+6F;                     // above it exp(x) is infinite
  static constexpr float kExpFloor = -88, kTanhSquare = 81, kLog1pWhole = 0x1p30F;
  // (P - 1) / x^2 and (Q - 1) / x^2 in x^2 for |x| <= 9.02: error 2.2e-8.
  static constexpr std::array kTanhTop{0.13382688F, 0.003497459F, 2.063585e-05F, 1.338434e-08F};
  static constexpr std::array kTanhBottom{0.4671601F, 0.025884366F, 0.00032885198F, 7.790267e-07F};
  static constexpr std::uint32_t kTwoThirds = 0x3F2AAAABU;
  // (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2: error 5.2e-11.
  static constexpr std::array kExp{0.5F, 0.16666666F, 0.041666295F, 0.008333499F, 0.0013944755F, 0.00019789884F};
  // (log((1 + s) / (1 - s)) - 2 s) / s^3 in s^2 for |s| <= 1/5: error 2.3e-11.
  static constexpr std::array kLog{0.6666666F, 0.40000862F, 0.2850712F, 0.24098691F};
};
template <>
struct Constants<double> {
  static constexpr double kLog2e = 0x1.71547652b82fep+0;
  static constexpr double kLn2 = 0x1.62e42fefa3p-1, kLn2Rest = 0x1.3de6af278ece6p-42;
  static constexpr double kExpLowest = -0x1.6232bdd7abcd2p+9;
  static constexpr double kExpHighest = 0x1.62e42fefa39efp+9;
  static constexpr double kExpFloor = -709, kTanhSquare = 364, kLog1pWhole = 0x1p60;
  static constexpr std::array kTanhTop{0.15180511382927284,    0.005974675552962766,  9.360143993114503e-05,
                                       6.830151381296411e-07,  2.440187559781918e-09, 4.169696876098306e-12,
                                       3.0618326721083284e-15, 7.406138824942073e-19, 2.4974376669106606e-23};
  static constexpr std::array kTanhBottom{0.48513844716260557,    0.03435415794049943,    0.0008281151000027663,
                                          8.75337982060892e-06,   4.4628623518708866e-08, 1.1109186381857823e-10,
                                          1.2698550703874648e-13, 5.62714963209057e-17,   6.2152471050166506e-21};
  static constexpr std::uint64_t kTwoThirds = 0x3FE5555555555555ULL;
  // Errors 5.4e-20 and 1.4e-19.
  static constexpr std::array kExp{0.5,
                                   0.16666666666666682,
                                   0.04166666666666609,
                                   0.008333333333316918,
                                   0.001388888888911726,
                                   0.00019841269896680216,
                                   2.4801586924620208e-05,
                                   2.755723455907399e-06,
                                   2.755758277519512e-07,
                                   2.5112144514883416e-08,
                                   2.0826544528546696e-09};
  static constexpr std::array kLog{0.666666666666666,   0.4000000000005598, 0.2857142855599819,  0.22222224277215338,
                                   0.18181667028089885, 0.1539107439397924, 0.13174228915059638, 0.13838789244965313};
};

// c[0] + c[1] x + ...
template <class T, class Coefficients>
Vec<T> polynomial(const Coefficients& c, Vec<T> x) {
  auto sum = Vec<T>::set(c.back());
#pragma GCC unroll 32
  for (std::size_t i = 2; i <= c.size(); ++i) sum = fma(sum, x, Vec<T>::set(c[c.size() - i]));
  return sum;
}

// x = n ln(2) + r with a whole n and |r| <= ln(2) / 2; exp(r) = 1 + r + q r^2.
template <class T>
struct Reduced {
  typename Vec<T>::Bits n;  // shifted to the position of the exponent
  Vec<T> r, q;
};
template <class T>
Reduced<T> reduce(Vec<T> x) {
  using N = Constants<T>;
  // Adding 1.5 * 2^kFraction rounds a number to an integer, which is then in the lowest bits of the sum.
  const auto round = Vec<T>::set(T(1.5) * static_cast<T>(typename Vec<T>::Bit{1} << kFraction<T>));
  const auto shifted = fma(x, Vec<T>::set(N::kLog2e), round);
  const auto n = shifted - round;
  const auto r = fma(n, Vec<T>::set(-N::kLn2Rest), fma(n, Vec<T>::set(-N::kLn2), x));
  return {shifted.bits() << kFraction<T>, r, polynomial(N::kExp, r)};
}
// A rounded number and its rounding error: the exact number is value + rest.
template <class T>
struct Pair {
  Vec<T> value, rest;
};
// a + b with its rounding error, for |a| >= |b| or b = 0.
template <class T>
Pair<T> sum(Vec<T> a, Vec<T> b) {
  const auto value = a + b;
  return {value, (a - value) + b};
}
// 2^n; zero for the largest n at which 2^n is subnormal.
template <class T>
Vec<T> power_of_two(typename Vec<T>::Bits n) {
  return Vec<T>::of_bits(n + kOne<T>);
}

// x = 2^e m with 2/3 <= m < 4/3, for normal x > 0.
template <class T>
struct Split {
  Vec<T> e, m;
  typename Vec<T>::Bits scale;  // e + kBias, shifted to the position of the exponent
};
template <class T>
Split<T> split(Vec<T> x) {
  using Bit = typename Vec<T>::Bit;
  constexpr Bit kUnit = Bit{1} << kFraction<T>, kTwoThirds = Constants<T>::kTwoThirds;
  const auto above = x.bits() + (kOne<T> - kTwoThirds);  // the exponent changes at 2/3
  const auto e = above >> kFraction<T>;
  // An integer in the lowest bits of 2^kFraction converts to T exactly: subtracting 2^kFraction leaves the integer.
  const auto offset = Vec<T>::set(static_cast<T>(kUnit) + static_cast<T>(kBias<T>));
  const auto base = (kBias<T> + kFraction<T>) << kFraction<T>;
  return {Vec<T>::of_bits(e | base) - offset, Vec<T>::of_bits((above & (kUnit - 1)) + kTwoThirds), e << kFraction<T>};
}

// log(2^e (1 + f)) for |f| <= 1/3.
// log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + R)) with s = f / (2 + f), in which the leading term f has no rounding error.
template <class T>
Pair<T> logarithm(Vec<T> e, Vec<T> f) {
  using N = Constants<T>;
  const auto s = f / (Vec<T>::set(2) + f), z = s * s, half = Vec<T>::set(T(0.5)) * (f * f);
  const auto [value, rest] = sum(e * Vec<T>::set(N::kLn2), f);
  return {value, rest + fma(e, Vec<T>::set(N::kLn2Rest), fma(s, fma(z, polynomial(N::kLog, z), half), -half))};
}
// Returns y where x is normal and positive; elsewhere the logarithm's special values: -Inf, Inf or NaN.
template <class T>
Vec<T> logarithm_at(Vec<T> x, Vec<T> y) {
  using Limits = std::numeric_limits<T>;
  const auto zero = Vec<T>::zero();
  const auto below = select(less(x, zero), Vec<T>::set(Limits::quiet_NaN()), Vec<T>::set(-Limits::infinity()));
  return select(less(x, Vec<T>::set(Limits::min())), below, select(at_most(x, Vec<T>::set(Limits::max())), y, x));
}

}  // namespace detail

template <class T>
Vec<T> exp(Vec<T> x) {
  using N = detail::Constants<T>;
  const auto [n, r, q] = detail::reduce(x);
  const auto y = Vec<T>::of_bits((Vec<T>::set(1) + fma(r * r, q, r)).bits() + n);
  // Inf above kExpHighest; NaN for NaN.
  const auto above = select(at_most(x, Vec<T>::set(N::kExpHighest)), y, x * Vec<T>::set(std::numeric_limits<T>::max()));
  return select(less(x, Vec<T>::set(N::kExpLowest)), Vec<T>::zero(), above);
}

// exp(x) - 1 for x <= 0.
template <class T>
Vec<T> expm1(Vec<T> x) {
  const auto [n, r, q] = detail::reduce(max(x, Vec<T>::set(detail::Constants<T>::kExpFloor)));
  const auto power = detail::power_of_two<T>(n);
  return fma(power, fma(r * r, q, r), power - Vec<T>::set(1));
}

// -Inf at zero, NaN below.
template <class T>
Vec<T> log(Vec<T> x) {
  const auto [e, m, scale] = detail::split(x);
  const auto [value, rest] = detail::logarithm(e, m - Vec<T>::set(1));
  return detail::logarithm_at(x, value + rest);
}

// The logarithm of a single number, with the same bits as in a vector.
inline double log(double x) { return log(Vec<double>::set(x)).lanes()[0]; }

// log(1 + x); -Inf at -1, NaN below.
template <class T>
Vec<T> log1p(Vec<T> x) {
  const auto one = Vec<T>::set(1), u = one + x;
  const auto [e, m, scale] = detail::split(u);
  // The rounding error of 1 + x, divided by 2^e; zero where x is so large that it does not matter.
  const auto lost = (x - (u - one)) * Vec<T>::of_bits(2 * detail::kOne<T> - scale);
  const auto seen = select(less(x, Vec<T>::set(detail::Constants<T>::kLog1pWhole)), lost, Vec<T>::zero());
  const auto [f, f_rest] = detail::sum(m - one, seen);
  const auto [value, rest] = detail::logarithm(e, f);
  // f_rest is multiplied by an approximation of the derivative of log(1 + f), accurate enough for a rounding error.
  return detail::logarithm_at(u, value + fma(f_rest, fma(f, f, one - f), rest));
}

// 1 / (1 + exp(-x)), with a small relative error in both tails: exp is only evaluated at -|x|.
template <class T>
Vec<T> sigmoid(Vec<T> x) {
  const auto one = Vec<T>::set(1);
  const auto [n, r, q] = detail::reduce(max(-abs(x), Vec<T>::set(detail::Constants<T>::kExpFloor)));
  const auto e = detail::power_of_two<T>(n) * (one + fma(r * r, q, r));
  return select(less(x, Vec<T>::zero()), e, one) / (one + e);
}

// sigmoid(x) and sigmoid(-x) = 1 - sigmoid(x), each with a small relative error.
template <class T>
struct Sides {
  Vec<T> value, complement;
};
template <class T>
Sides<T> sigmoid_sides(Vec<T> x) {
  const auto one = Vec<T>::set(1), zero = Vec<T>::zero();
  const auto [n, r, q] = detail::reduce(max(-abs(x), Vec<T>::set(detail::Constants<T>::kExpFloor)));
  const auto e = detail::power_of_two<T>(n) * (one + fma(r * r, q, r));
  const auto sum = one + e;
  return {select(less(x, zero), e, one) / sum, select(less(zero, x), e, one) / sum};
}

// x P(x^2) / Q(x^2) with P(0) = Q(0) = 1, the best approximation of these degrees. Beyond the interval of the fit, x^2
// is replaced by its upper end; the quotient then grows with x beyond 1 and is limited to 1.
template <class T>
Vec<T> tanh(Vec<T> x) {
  using N = detail::Constants<T>;
  const auto one = Vec<T>::set(1), z = min(x * x, Vec<T>::set(N::kTanhSquare));
  const auto top = fma(z * x, detail::polynomial(N::kTanhTop, z), x);
  const auto y = top / fma(z, detail::polynomial(N::kTanhBottom, z), one);
  return max(min(y, one), -one);
}

// exp(-x^2 / 2) for 0 <= x <= 40. The rounding error of x^2 would cause an error of x^2 / 2 ulp. So x is split: the
// square of its upper half is exact, and the remainder is small enough for a short series.
template <class T>
Vec<T> exp_half_square(Vec<T> x) {
  const auto half = Vec<T>::set(T(0.5)), one = Vec<T>::set(1);
  const auto shifted = x * Vec<T>::set(sizeof(T) == sizeof(float) ? T(0x1p12 + 1) : T(0x1p27 + 1));
  const auto upper = shifted - (shifted - x);
  const auto rest = half * ((upper - x) * (upper + x));  // -(x^2 - upper^2) / 2
  const auto series = fma(fma(Vec<T>::set(T(1) / 24), rest, Vec<T>::set(T(1) / 6)), rest, half);
  return exp(-(half * upper * upper)) * fma(rest * rest, series, one + rest);
}

namespace detail {
// (1 + x) M(x) with M(x) = exp(x^2 / 2) Phi(-x), as a polynomial in (x - c) / (x + c), lowest power first, interpolated
// at Chebyshev nodes in 60 digits. Relative errors: 2.4e-9 (c = 4, x <= 14.5) and 1.4e-17 (c = 5, x <= 38.7). For
// larger x, Phi(-x) is zero in the respective type.
inline constexpr std::array kTailFloat{0.472053206f,    -0.0967034679f,   0.0139996304f,   0.0286000275f,
                                       -0.0321977281f,  0.0179395481f,    -0.00500252108f, -0.000300497001f,
                                       0.000691233524f, -6.57207547e-05f, -7.39324634e-05f};
inline constexpr std::array kTailDouble{
    0.46151582985003775,     -0.09155228183400882,   0.031030368425963187,    0.010002352385205339,
    -0.026401042966292542,   0.024536963244452856,   -0.015170415402539756,   0.0065220006563208553,
    -0.0016760723482432765,  7.7916908442719311e-06, 0.00018233419859308241,  -5.360803796862406e-05,
    -9.8964536462015615e-06, 9.0612110550127391e-06, -6.8992722795179217e-08, -1.3100326669859615e-06,
    1.2476274575233402e-07,  1.9900968926444781e-07, -2.198924620677515e-08,  -3.2132486137931933e-08,
    3.5388184840061293e-10,  4.0561311864666168e-09, 7.7803735465068952e-10};

template <class T>
constexpr const auto& tail_coefficients() {
  if constexpr (sizeof(T) == sizeof(float))
    return kTailFloat;
  else
    return kTailDouble;
}
}  // namespace detail

// M(x) = exp(x^2 / 2) Phi(-x) for x >= 0, Phi the normal distribution function: M(0) = 1/2, M(x) -> 1/(x sqrt(2 pi)).
// So erfc(y) = 2 exp(-y^2) M(y sqrt(2)).
template <class T>
Vec<T> normal_tail(Vec<T> x) {
  const auto& c = detail::tail_coefficients<T>();
  const auto center = Vec<T>::set(sizeof(T) == sizeof(float) ? T(4) : T(5)), one = Vec<T>::set(1);
  // t = (x - c) / (x + c) and the final division by 1 + x share one quotient.
  const auto quotient = one / ((x + center) * (one + x));
  const auto t = (x - center) * ((one + x) * quotient);
  return detail::polynomial(c, t) * ((x + center) * quotient);
}

}  // namespace fastnn
