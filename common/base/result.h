// SPDX-License-Identifier: MIT
// Failures are values: Result<T> holds a T or an Error and may not be dropped silently.
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "common/base/error.h"

namespace qpop::base {

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;
  Result(Error error) : Base(tl::unexpect, std::move(error)) {}  // NOLINT(google-explicit-constructor): `return error;`
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
 public:
  using Base = tl::expected<void, Error>;
  using Base::Base;
  Result() = default;
  Result(Error error) : Base(tl::unexpect, std::move(error)) {}  // NOLINT(google-explicit-constructor): `return error;`
};

using Status = Result<void>;

}  // namespace qpop::base
