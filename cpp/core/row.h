// Row: a registry row, which describes one member of a registry. (Everywhere else "row" alone means a row of a matrix.)
// The member declares a struct of its parameters with their defaults, and a table of the fields of that struct: name,
// permitted values, documentation, the value that tests try. Everything that names, checks, documents or tests a
// parameter reads this table; the member itself reads its struct.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/interval.h"

namespace fastnn {

// The bytes of a trivially copyable struct, for code that passes it on without knowing its type. The member converts
// them back: values.as<SgdParams>().momentum.
class Bytes {
 public:
  static constexpr std::size_t kSize = 128;
  Bytes() = default;
  template <class P>
  explicit Bytes(const P& plain) {
    assign(plain);
  }
  template <class P>
  void assign(const P& plain) {
    static_assert(std::is_trivially_copyable_v<P> && sizeof(P) <= kSize);
    std::memcpy(bytes_, &plain, sizeof(P));
  }
  template <class P>
  P as() const {
    static_assert(std::is_trivially_copyable_v<P> && sizeof(P) <= kSize);
    P plain;
    std::memcpy(&plain, bytes_, sizeof(P));
    return plain;
  }

 private:
  alignas(std::max_align_t) unsigned char bytes_[kSize] = {};
};

// A list of numbers that is a parameter. It only points to them: those of a default are constants, others live as long
// as the Values in which they were set and the copies of these.
struct Reals {
  const double* data = nullptr;
  std::size_t size = 0;

  bool empty() const { return size == 0; }
  std::span<const double> all() const { return {data, size}; }
};

// The parameters of a row.
class Values : public Bytes {
 public:
  Values() = default;
  template <class P>
  explicit Values(const P& plain) : Bytes(plain) {}
  // Keeps a list for a parameter of these values.
  Reals keep(std::span<const double> numbers) {
    lists_ = std::make_shared<const Kept>(Kept{{numbers.begin(), numbers.end()}, std::move(lists_)});
    return {lists_->numbers.data(), lists_->numbers.size()};
  }

 private:
  struct Kept {
    std::vector<double> numbers;
    std::shared_ptr<const Kept> before;
  };
  std::shared_ptr<const Kept> lists_;
};

enum class Kind { kReal, kCount, kFlag, kChoice, kReals };

// The value of a field as a number: a flag is 0 or 1, and a choice is its index. A count is stored as an integer, too,
// because seeds have more bits than a double.
struct Number {
  double real = 0;
  std::uint64_t whole = 0;

  constexpr Number() = default;
  constexpr Number(double value)
      : real(value), whole(value >= 1 && value < 0x1p64 ? static_cast<std::uint64_t>(value) : 0) {}
  static constexpr Number count(std::uint64_t value) {
    Number number(static_cast<double>(value));
    number.whole = value;
    return number;
  }
  friend constexpr bool operator==(const Number&, const Number&) = default;
};

struct Field {
  static constexpr std::size_t kMaxChoices = 6, kMaxTried = 4;

  const char* name;
  Kind kind;
  Interval range;      // of a real number, a count or each number of a list
  std::uint64_t most;  // of a count: the largest number of its type
  std::array<const char*, kMaxChoices> choices;
  const char* doc;
  bool is_required;   // whether it has to be given: there is no default
  Number standard;    // the default
  bool is_tried;      // whether tests try another value,
  Number tried;       // which is permitted and makes a difference
  const char* pair;   // torch's one name for this field and its neighbour: "betas" for beta1 and beta2; or nullptr
  const char* above;  // the field whose value has to be below this one's, or nullptr
  Number (*get)(const Values&);
  void (*set)(Values&, Number);
  // Of a list instead:
  Reals standard_list;
  std::array<double, kMaxTried> tried_list;
  std::size_t tried_size;
  bool per_output;  // it is empty or has a number for each output of the network
  Reals (*get_list)(const Values&);
  void (*set_list)(Values&, std::span<const double>);

  int choice(std::string_view word) const {  // its index, or -1
    for (std::size_t c = 0; c < kMaxChoices; ++c)
      if (choices[c] != nullptr && word == choices[c]) return static_cast<int>(c);
    return -1;
  }
  bool permits(Number number) const {
    if (kind == Kind::kFlag) return number.real == 0 || number.real == 1;
    if (kind == Kind::kChoice) return true;
    if (!std::isfinite(number.real) || range.excludes<double>(number.real)) return false;
    return kind == Kind::kReal || kind == Kind::kReals ||
           (number.real == std::floor(number.real) && number.whole <= most);
  }
};
using Fields = std::span<const Field>;

// A field of a table is written as field<&SgdParams::momentum>("momentum", within(0, 1), "share kept", tries(0.3)).
struct Choices {
  std::array<const char*, Field::kMaxChoices> words;
};
template <class... Words>
constexpr Choices choices(Words... words) {
  return {{words...}};
}
struct Tries {
  double value;
};
constexpr Tries tries(double value) { return {value}; }
struct TriesList {
  std::array<double, Field::kMaxTried> values;
  std::size_t size;
};
template <class... Numbers>
constexpr TriesList tries(double first, double second, Numbers... more) {
  return {{first, second, static_cast<double>(more)...}, 2 + sizeof...(more)};
}
struct PerOutput {};
inline constexpr PerOutput kPerOutput{};
struct Required {};
inline constexpr Required kRequired{};
struct Pair {
  const char* name;
};
constexpr Pair pair(const char* name) { return {name}; }
struct AboveField {
  const char* name;
};
constexpr AboveField above_field(const char* name) { return {name}; }

namespace detail {

template <class Member>
struct MemberOf;
template <class P, class V>
struct MemberOf<V P::*> {
  using Struct = P;
  using Value = V;
};

template <class V>
constexpr Number to_number(V value) {
  if constexpr (std::is_integral_v<V> && !std::is_same_v<V, bool>)
    return Number::count(static_cast<std::uint64_t>(value));
  else
    return Number(static_cast<double>(value));
}
template <auto kMember>
Number get_member(const Values& values) {
  return to_number(values.as<typename MemberOf<decltype(kMember)>::Struct>().*kMember);
}
template <auto kMember>
void set_member(Values& values, Number number) {
  using Of = MemberOf<decltype(kMember)>;
  using V = typename Of::Value;
  auto plain = values.as<typename Of::Struct>();
  if constexpr (std::is_same_v<V, bool>)
    plain.*kMember = number.real != 0;
  else if constexpr (std::is_integral_v<V>)
    plain.*kMember = static_cast<V>(number.whole);
  else if constexpr (std::is_enum_v<V>)
    plain.*kMember = static_cast<V>(static_cast<int>(number.real));
  else
    plain.*kMember = number.real;
  values.assign(plain);
}
template <auto kMember>
Reals get_list(const Values& values) {
  return values.as<typename MemberOf<decltype(kMember)>::Struct>().*kMember;
}
template <auto kMember>
void set_list(Values& values, std::span<const double> numbers) {
  auto plain = values.as<typename MemberOf<decltype(kMember)>::Struct>();
  plain.*kMember = values.keep(numbers);
  values.assign(plain);
}

constexpr void add(Field& field, const Interval& range) { field.range = range; }
constexpr void add(Field& field, const Choices& given) { field.choices = given.words; }
constexpr void add(Field& field, Tries given) { field.is_tried = true, field.tried = Number(given.value); }
constexpr void add(Field& field, const TriesList& given) {
  field.is_tried = true, field.tried_list = given.values, field.tried_size = given.size;
}
constexpr void add(Field& field, PerOutput) { field.per_output = true; }
constexpr void add(Field& field, Required) { field.is_required = true; }
constexpr void add(Field& field, fastnn::Pair given) { field.pair = given.name; }
constexpr void add(Field& field, AboveField given) { field.above = given.name; }
constexpr void add(Field& field, const char* doc) { field.doc = doc; }

}  // namespace detail

// The arguments after the name, in any order: the range or the choices, the documentation, tries(), pair(),
// above_field(), kPerOutput, kRequired. A flag or a choice needs no tries(): tests try its other values. What tests try of a list
// for each output is repeated for as many outputs as there are.
template <auto kMember, class... More>
constexpr Field field(const char* name, More... more) {
  using Of = detail::MemberOf<decltype(kMember)>;
  using V = typename Of::Value;
  Field made{};
  made.name = name;
  made.doc = "";
  if constexpr (std::is_same_v<V, Reals>) {
    made.kind = Kind::kReals;
    made.standard_list = typename Of::Struct{}.*kMember;
    made.get_list = detail::get_list<kMember>;
    made.set_list = detail::set_list<kMember>;
  } else {
    made.standard = detail::to_number(typename Of::Struct{}.*kMember);
    made.get = detail::get_member<kMember>;
    made.set = detail::set_member<kMember>;
  }
  if constexpr (std::is_same_v<V, Reals>) {
  } else if constexpr (std::is_same_v<V, bool>) {
    made.kind = Kind::kFlag;
    detail::add(made, tries(1 - made.standard.real));
  } else if constexpr (std::is_enum_v<V>) {
    made.kind = Kind::kChoice;
    detail::add(made, tries(made.standard.real == 0 ? 1 : 0));
  } else if constexpr (std::is_integral_v<V>) {
    made.kind = Kind::kCount;
    made.range = at_least(0);
    made.most = static_cast<std::uint64_t>(std::numeric_limits<V>::max());
  } else {
    static_assert(std::is_same_v<V, double>);
    made.kind = Kind::kReal;
  }
  (detail::add(made, more), ...);
  return made;
}

// "a, b, c" for messages that list candidates.
std::string join(const std::vector<std::string>& names);

// The field called `name`, or nullptr.
const Field* find(Fields fields, std::string_view name);
// Writes one value; throws std::invalid_argument, headed by `where`, that names the value and what is permitted, or the
// known names.
void set(const std::string& where, Fields fields, Values& values, std::string_view name, Number number);
// The same of a list.
void set_list(const std::string& where, const Field& field, Values& values, std::span<const double> numbers);
// Checks what fields permit of each other, after all of them are set: throws as set() does.
void check_together(const std::string& where, Fields fields, const Values& values);
// The first field that is not above the one that it has to be above, or nullptr.
const Field* first_not_above(Fields fields, const Values& values);
// What a field permits, in words: "a finite number, at least 0".
std::string permitted(const Field& field);
// Are all fields equal?
bool same(Fields fields, const Values& a, const Values& b);

// The part of a registry row that all rooms have in common; the Row of each room adds to it.
struct Row {
  const char* name;        // "leaky_relu": the name in configurations and in fastnn.functional
  const char* class_name;  // "LeakyReLU": torch's name, the class in Python
  const char* formula;     // one line of documentation
  const char* note;        // a sentence of documentation that its users have to know, or ""
  Fields params;
  Values (*defaults)();
};

struct NoParams {};

namespace detail {
template <class M>
struct ParamsOf {
  using Type = NoParams;
};
template <class M>
  requires requires { typename M::Params; }
struct ParamsOf<M> {
  using Type = typename M::Params;
};
}  // namespace detail
template <class M>
using ParamsOf = typename detail::ParamsOf<M>::Type;

// The common part of the registry row of member M: its struct Params, its table kFields and its kNote, where it has
// them.
template <class M>
constexpr Row row_of(const char* name, const char* class_name, const char* formula) {
  Fields fields;
  if constexpr (requires { M::kFields; }) fields = M::kFields;
  const char* note = "";
  if constexpr (requires { M::kNote; }) note = M::kNote;
  return {name, class_name, formula, note, fields, [] { return Values(ParamsOf<M>{}); }};
}

// Makes the member, from its parameters if its constructor takes them.
template <class M>
M made(const Values& values) {
  if constexpr (requires(const ParamsOf<M>& params) { M(params); })
    return M(values.as<ParamsOf<M>>());
  else
    return M{};
}

}  // namespace fastnn
