// SPDX-License-Identifier: MIT
// The mailbox scan on hostile bytes: the same records for every cut and kernel, consistent with each other, and the
// same messages as a plain line-by-line reading finds.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "common/mbox/scanner.h"
#include "common/mbox/unique_id.h"
#include "tests/unit/mbox/reference_scan.h"

namespace {

using namespace qpop;

void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "scan_fuzz: %s\n", what);
  std::abort();
}

base::Result<mbox::ScanResult> scan(const std::string& spool, std::size_t largest, std::mt19937& random,
                                    mbox::Kernel kernel) {
  const auto peek = [&](std::uint64_t offset, std::span<char> out) -> base::Result<std::size_t> {
    return offset < spool.size() ? spool.copy(out.data(), out.size(), offset) : std::size_t{0};
  };
  mbox::Scanner scanner{{}, peek, kernel};
  for (std::size_t at = 0; at < spool.size();) {
    const std::string piece = spool.substr(at, 1 + random() % largest);
    if (auto fed = scanner.feed(piece); !fed) return fed.error();
    at += piece.size();
  }
  return scanner.finish();
}

void check_records(const mbox::ScanResult& result, std::size_t size) {
  require(result.end == size, "the scan ends at the end");
  for (std::size_t i = 0; i < result.records.size(); ++i) {
    const auto& record = result.records[i];
    const auto end = i + 1 < result.records.size() ? result.records[i + 1].offset : result.end;
    require(record.offset < end, "units follow each other");
    const auto unit = end - record.offset;
    require(std::uint64_t{record.content_start} + record.trailer <= unit, "postmark and trailer fit into the unit");
    const auto content = unit - record.content_start - record.trailer;
    require(record.header_length <= content, "the header fits into the content");
    require(record.octets >= content && record.octets <= 2 * content + 2,
            "octets as sent are between one and two each");
  }
}

bool same(const mbox::ScanResult& a, const mbox::ScanResult& b) {
  return a.records.size() == b.records.size() && a.format == b.format &&
         (a.records.empty() ||
          std::memcmp(a.records.data(), b.records.data(), a.records.size() * sizeof a.records[0]) == 0);
}

void check_reference(const std::string& spool, const base::Result<mbox::ScanResult>& got) {
  const auto want = test::ReferenceScan{spool}.run();
  require(want.has_value() == got.has_value(), "scan and reference agree on what a mailbox is");
  if (!got) return;
  require(want->size() == got->records.size(), "scan and reference find as many messages");
  for (std::size_t i = 0; i < want->size(); ++i) {
    const auto& record = got->records[i];
    const auto& message = (*want)[i];
    require(record.offset == message.offset && record.octets == message.octets, "same place, same octets");
    require(record.offset + record.content_start == message.content && record.header_length == message.header_length,
            "same header");
    require(message.end - record.trailer - message.content == message.content_length, "same content");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string spool{reinterpret_cast<const char*>(data), size};
  std::mt19937 random{static_cast<std::uint32_t>(size)};
  auto whole = scan(spool, size + 1, random, mbox::Kernel::best);
  check_reference(spool, whole);
  for (const auto& [largest, kernel] :
       {std::pair{std::size_t{1}, mbox::Kernel::best}, std::pair{std::size_t{90}, mbox::Kernel::sse2}, std::pair{std::size_t{300}, mbox::Kernel::avx2},
        std::pair{std::size_t{900}, mbox::Kernel::portable}}) {
    const auto pieces = scan(spool, largest, random, kernel);
    require(pieces.has_value() == whole.has_value(), "pieces and whole agree on what a mailbox is");
    if (whole) require(same(*pieces, *whole), "pieces and whole give the same records");
  }
  if (!whole) return 0;
  check_records(*whole, size);
  mbox::assign_unique_ids(whole->records, {});
  for (const auto& record : whole->records) require(record.unique_id().size() >= 22, "every message has a unique-id");
  return 0;
}
