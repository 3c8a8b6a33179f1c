// SPDX-License-Identifier: MIT
// Hashes, random bytes and base64 over OpenSSL and xxHash, without their types in our headers.
//
// Cryptographic: SHA-256, HMAC, PBKDF2, MD5 (APOP and CRAM-MD5 only). Integrity against accidents only: XXH3.
// A failure inside OpenSSL (no memory, no random source) is fatal for the process: abort(), because no caller could go on safely.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace qpop::digest {

using Digest16 = std::array<std::byte, 16>;
using Digest32 = std::array<std::byte, 32>;

/// What this process has done so far, for tests that compare the work of two ways through the code.
struct Work {
  std::uint64_t pbkdf2_rounds = 0;
  std::uint64_t hmacs = 0;     ///< outside PBKDF2
  std::uint64_t hashes = 0;    ///< SHA-256 and MD5
  std::uint64_t unsealed = 0;  ///< secrets opened with a private key
  bool operator==(const Work&) const = default;
};
[[nodiscard]] Work& work();

/// SHA-256 over the concatenation of `parts`.
[[nodiscard]] Digest32 sha256(std::span<const std::string_view> parts);
/// SHA-256 over bytes that come in pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  ~Sha256Stream();
  void add(std::string_view bytes);
  /// Ends the stream and begins a new one.
  [[nodiscard]] Digest32 take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};
/// Lower-case hexadecimal MD5 of stamp followed by secret, as APOP wants it (RFC 1939 section 7).
[[nodiscard]] std::string md5_hex(std::string_view stamp, std::string_view secret);
/// Lower-case hexadecimal HMAC-MD5, as CRAM-MD5 wants it (RFC 2195 section 2).
[[nodiscard]] std::string hmac_md5_hex(std::string_view key, std::string_view data);
[[nodiscard]] Digest32 hmac_sha256(std::string_view key, std::string_view data);
/// PBKDF2 with HMAC-SHA-256: Hi() of RFC 5802 section 2.2.
[[nodiscard]] Digest32 pbkdf2_sha256(std::string_view password, std::string_view salt, std::uint32_t iterations);
/// Of the kernel's generator, getrandom(2).
void random_bytes(std::span<std::byte> out);

/// XXH3, 64 and 128 bits: finds damage, does not stop a forger.
[[nodiscard]] std::uint64_t xxh3_64(std::string_view bytes, std::uint64_t seed = 0);
[[nodiscard]] Digest16 xxh3_128(std::string_view bytes, std::uint64_t seed = 0);

/// XXH3-128 over bytes that come in pieces; the same result for every cut.
class Xxh3Stream {
 public:
  explicit Xxh3Stream(std::uint64_t seed = 0);
  Xxh3Stream(Xxh3Stream&&) noexcept;
  Xxh3Stream& operator=(Xxh3Stream&&) noexcept;
  Xxh3Stream(const Xxh3Stream&) = delete;
  Xxh3Stream& operator=(const Xxh3Stream&) = delete;
  ~Xxh3Stream();
  void reset(std::uint64_t seed = 0);
  void add(std::string_view bytes);
  [[nodiscard]] Digest16 result() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// RFC 4648 section 4, with padding.
[[nodiscard]] std::string base64_encode(std::string_view bytes);
/// Empty for anything that is not canonical base64.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);
/// The same into room of the caller's, who wipes it: texts that hold passwords leave no copy on the heap. `out` has room for
/// text.size() / 4 * 3 octets. Returns octets written.
[[nodiscard]] std::optional<std::size_t> base64_decode_into(std::string_view text, std::span<char> out);

/// Bytes of a digest as a view for the functions above.
template <std::size_t N>
[[nodiscard]] std::string_view view_of(const std::array<std::byte, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), N};
}

}  // namespace qpop::digest
