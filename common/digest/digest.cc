// SPDX-License-Identifier: MIT
// Hashes, random bytes and base64 over OpenSSL and xxHash.
#include "common/digest/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "common/digest/xxh3_avx2.h"

namespace qpop::digest {

namespace {

struct CtxFree {
  void operator()(EVP_MD_CTX* ctx) const { EVP_MD_CTX_free(ctx); }
};
using Ctx = std::unique_ptr<EVP_MD_CTX, CtxFree>;

void require(bool ok) {
  if (!ok) std::abort();
}

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

/// One context and one fetched algorithm for all SHA-256 calls: fetching costs more than hashing a short message.
EVP_MD_CTX* sha256_context() {
  static const Ctx ctx = [] {
    Ctx fresh{EVP_MD_CTX_new()};
    require(fresh != nullptr && EVP_DigestInit_ex(fresh.get(), EVP_sha256(), nullptr) == 1);
    return fresh;
  }();
  return ctx.get();
}

Digest16 to_array(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  Digest16 out{};
  std::memcpy(out.data(), canonical.digest, out.size());
  return out;
}

std::string hex_of(const std::array<unsigned char, 16>& octets) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const unsigned char value : octets) {
    text += kHex[value >> 4U];
    text += kHex[value & 0xFU];
  }
  return text;
}

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

Work& work() {
  static Work done;
  return done;
}

Digest32 sha256(std::span<const std::string_view> parts) {
  ++work().hashes;
  EVP_MD_CTX* ctx = sha256_context();
  require(EVP_DigestInit_ex(ctx, nullptr, nullptr) == 1);
  for (const auto part : parts) require(EVP_DigestUpdate(ctx, part.data(), part.size()) == 1);
  Digest32 out{};
  require(EVP_DigestFinal_ex(ctx, reinterpret_cast<unsigned char*>(out.data()), nullptr) == 1);
  return out;
}

struct Sha256Stream::State {
  Ctx ctx{EVP_MD_CTX_new()};
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  require(state_->ctx != nullptr && EVP_DigestInit_ex(state_->ctx.get(), EVP_sha256(), nullptr) == 1);
}
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;
Sha256Stream& Sha256Stream::operator=(Sha256Stream&&) noexcept = default;
Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::add(std::string_view bytes) { require(EVP_DigestUpdate(state_->ctx.get(), bytes.data(), bytes.size()) == 1); }

Digest32 Sha256Stream::take() {
  ++work().hashes;
  Digest32 out{};
  require(EVP_DigestFinal_ex(state_->ctx.get(), reinterpret_cast<unsigned char*>(out.data()), nullptr) == 1);
  require(EVP_DigestInit_ex(state_->ctx.get(), nullptr, nullptr) == 1);
  return out;
}

std::string md5_hex(std::string_view stamp, std::string_view secret) {
  ++work().hashes;
  const Ctx ctx{EVP_MD_CTX_new()};
  std::array<unsigned char, 16> out{};
  require(ctx != nullptr && EVP_DigestInit_ex(ctx.get(), EVP_md5(), nullptr) == 1);
  require(EVP_DigestUpdate(ctx.get(), stamp.data(), stamp.size()) == 1);
  require(EVP_DigestUpdate(ctx.get(), secret.data(), secret.size()) == 1);
  require(EVP_DigestFinal_ex(ctx.get(), out.data(), nullptr) == 1);
  return hex_of(out);
}

std::string hmac_md5_hex(std::string_view key, std::string_view data) {
  ++work().hmacs;
  std::array<unsigned char, 16> out{};
  require(HMAC(EVP_md5(), key.data(), static_cast<int>(key.size()), bytes_of(data), data.size(), out.data(), nullptr) != nullptr);
  return hex_of(out);
}

Digest32 hmac_sha256(std::string_view key, std::string_view data) {
  ++work().hmacs;
  Digest32 out{};
  require(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(data), data.size(),
               reinterpret_cast<unsigned char*>(out.data()), nullptr) != nullptr);
  return out;
}

Digest32 pbkdf2_sha256(std::string_view password, std::string_view salt, std::uint32_t iterations) {
  work().pbkdf2_rounds += iterations;
  Digest32 out{};
  require(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes_of(salt),
                            static_cast<int>(salt.size()), static_cast<int>(iterations), EVP_sha256(),
                            static_cast<int>(out.size()), reinterpret_cast<unsigned char*>(out.data())) == 1);
  return out;
}

void random_bytes(std::span<std::byte> out) {
  // The kernel's, without a generator between: a new process would have to fill that first.
  while (!out.empty()) {
    const auto got = ::getrandom(out.data(), out.size(), 0);
    require(got > 0 || errno == EINTR);
    if (got > 0) out = out.subspan(static_cast<std::size_t>(got));
  }
}

std::uint64_t xxh3_64(std::string_view bytes, std::uint64_t seed) {
  // Up to 240 octets are hashed without wide registers.
  if (bytes.size() > 240 && avx2::has_avx2()) return avx2::xxh3_64(bytes.data(), bytes.size(), seed);
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Digest16 xxh3_128(std::string_view bytes, std::uint64_t seed) {
  return to_array(XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed));
}

struct Xxh3Stream::State {
  struct Free {
    void operator()(XXH3_state_t* owned) const { XXH3_freeState(owned); }
  };
  std::unique_ptr<XXH3_state_t, Free> state{XXH3_createState()};
};

Xxh3Stream::Xxh3Stream(std::uint64_t seed) : state_(std::make_unique<State>()) {
  require(state_->state != nullptr);
  reset(seed);
}
Xxh3Stream::Xxh3Stream(Xxh3Stream&&) noexcept = default;
Xxh3Stream& Xxh3Stream::operator=(Xxh3Stream&&) noexcept = default;
Xxh3Stream::~Xxh3Stream() = default;
void Xxh3Stream::reset(std::uint64_t seed) { require(XXH3_128bits_reset_withSeed(state_->state.get(), seed) == XXH_OK); }
void Xxh3Stream::add(std::string_view bytes) {
  if (avx2::has_avx2()) return require(avx2::xxh3_128_update(state_->state.get(), bytes.data(), bytes.size()));
  require(XXH3_128bits_update(state_->state.get(), bytes.data(), bytes.size()) == XXH_OK);
}
Digest16 Xxh3Stream::result() const { return to_array(XXH3_128bits_digest(state_->state.get())); }

std::string base64_encode(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes_of(bytes), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::optional<std::size_t> base64_decode_into(std::string_view text, std::span<char> out) {
  if (text.size() % 4 != 0 || out.size() < text.size() / 4 * 3) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2U : text.ends_with('=') ? 1U : 0U;
  const auto digits = text.substr(0, text.size() - padding);
  if (digits.find_first_not_of(kAlphabet) != std::string_view::npos) return std::nullopt;
  // The bits of the last digit that belong to no octet must be zero, or two texts would mean the same octets.
  if (padding > 0 && (digits.empty() || kAlphabet.find(digits.back()) % (padding == 2 ? 16 : 4) != 0)) return std::nullopt;
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes_of(text), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  return static_cast<std::size_t>(size) - padding;
}

std::optional<std::string> base64_decode(std::string_view text) {
  std::string out(text.size() / 4 * 3, '\0');
  const auto size = base64_decode_into(text, out);
  if (!size) return std::nullopt;
  out.resize(*size);
  return out;
}

}  // namespace qpop::digest
