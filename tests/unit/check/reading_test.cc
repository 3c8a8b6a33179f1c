// SPDX-License-Identifier: MIT
// Where findings say they are, and what must not be changed without asking.
#include "common/check/reading.h"

#include <boost/test/unit_test.hpp>

#include "common/check/plan.h"
#include "tests/check/corpus.h"
#include "tests/check/judge.h"

namespace {

using namespace qpop;
using namespace qpop::check;
using namespace qpop::test;

const std::string kFrom = "From ada@example.org Thu Nov 28 10:11:12 2024\n";

std::string mail(const std::string& id, const std::string& body = "body\n") {
  return kFrom + "Return-Path: <a@b>\nMessage-Id: <" + id + "@b>\nSubject: " + id + "\n\n" + body + "\n";
}

Report read(const std::string& text) {
  MemoryBytes bytes{text};
  auto report = read_spool(bytes, {});
  BOOST_REQUIRE(report);
  return std::move(*report);
}

const Finding& only(const Report& report, Id id) {
  const auto found = std::ranges::find(report.findings, id, &Finding::id);
  BOOST_REQUIRE_MESSAGE(found != report.findings.end(), text_of(report));
  return *found;
}

BOOST_AUTO_TEST_CASE(a_finding_names_offset_line_and_message) {
  const auto first = mail("1");
  const auto text = first.substr(0, first.size() - 1) + mail("2");
  const auto report = read(text);
  const auto& finding = only(report, Id::glued_message);
  BOOST_TEST(finding.offset == first.size() - 1);
  BOOST_TEST(finding.line == 7U);
  BOOST_TEST(finding.excerpt == kFrom.substr(0, kFrom.size() - 1));
  BOOST_TEST(report.messages == 2U);
  BOOST_TEST(report.served == 1U);
}

/// The window slides several times; places are those of the spool.
BOOST_AUTO_TEST_CASE(places_far_into_a_spool_are_right) {
  std::string text = mail("1", std::string(300, 'x') + "\n");
  while (text.size() < 3'000'000) text += mail(std::to_string(text.size()), "some text\nand more of it --\n-- \n10:20:30\n");
  text += "From bob Thu Nov 28 10:11:12\nReceived: x\nMessage-Id: <q@b>\nFrom: b\n\nbody\n\n";
  const auto at = text.rfind("From bob");
  const auto report = read(text);
  const auto& finding = only(report, Id::damaged_postmark);
  BOOST_TEST(finding.offset == at);
  BOOST_TEST(finding.line == 1U + static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n')));
  BOOST_TEST(finding.message == report.messages);
  BOOST_TEST(report.lines.lf == static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')));
}

/// A hole at the beginning does not make one foreign lump of an MMDF spool.
BOOST_AUTO_TEST_CASE(zeros_in_front_are_removed_in_both_formats) {
  const std::string separator = "\x01\x01\x01\x01\n";
  const auto unit = [&](const std::string& id) { return separator + mail(id).substr(kFrom.size()) + separator; };
  for (const auto& text : {unit("1") + unit("2"), mail("1") + mail("2")}) {
    for (const auto& front : {std::string(600, '\0'), std::string(3, '\0') + "\n" + std::string(4096, '\0') + "\n\n"}) BOOST_TEST(repair_in_memory(front + text).bytes == text);
  }
}

/// What stands in front of zeros is known also when there are more of them than are held in memory.
BOOST_AUTO_TEST_CASE(zeros_at_the_end_are_removed_and_nothing_else) {
  const std::string separator = "\x01\x01\x01\x01\n";
  const auto unit = separator + mail("1").substr(kFrom.size());
  for (const std::size_t zeros : {1U, 600U, 5000U, 2'000'000U}) {
    for (const auto& text : {mail("1") + mail("2"), unit + separator}) {
      BOOST_TEST(repair_in_memory(text + std::string(zeros, '\0')).bytes == text);
      BOOST_TEST(read(text + std::string(zeros, '\0')).findings.size() == 1U);
    }
    BOOST_TEST(repair_in_memory(unit + std::string(zeros, '\0')).bytes == unit + separator);
    // The zeros are the From_ line.
    const auto lost = repair_in_memory(mail("1") + std::string(zeros, '\0') + mail("2").substr(kFrom.size())).bytes;
    BOOST_TEST((zeros < 16 || lost.find('\0') == std::string::npos));
  }
}

/// A delivery that was cut anywhere: what a repair claims to mend is gone behind it.
BOOST_AUTO_TEST_CASE(no_finding_that_a_repair_mends_is_left_by_it) {
  const auto open = "From b@c Thu Nov 28 10:11:12 2024\nReturn-Path: <e@v>\nContent-Type: multipart/mixed; boundary=\"some-boundary\"\n\n--some-boundary\n\ntext\n--some-boundary--\n\n";
  auto lines = mail("1") + open;
  for (const bool crlf : {false, true}) {
    if (crlf) {
      for (auto at = lines.find('\n'); at != std::string::npos; at = lines.find('\n', at + 2)) lines.insert(at, 1, '\r');
    }
    std::size_t cut = 0;
    for (std::size_t size = 0; size <= lines.size(); ++size) {
      const auto damaged = lines.substr(0, size);
      const auto before = read(damaged);
      const bool truncated = std::ranges::find(before.findings, Id::truncated, &Finding::id) != before.findings.end();
      cut += truncated ? 1U : 0U;
      const auto repaired = repair_in_memory(damaged);
      BOOST_TEST(repaired.wrong == "");
      BOOST_TEST(!(truncated && repaired.bytes == damaged), "octet " << size << " says that a repair mends it: " << text_of(before));
      const auto after = read(repaired.bytes);
      for (const auto& finding : after.findings) BOOST_TEST((finding.doubtful || !finding.repairable), "cut at octet " << size << ": " << text_of(after));
      BOOST_TEST((std::ranges::find(after.findings, Id::truncated, &Finding::id) == after.findings.end()), "cut at octet " << size << ": " << text_of(after));
    }
    BOOST_TEST(cut > 100U);
  }
}

BOOST_AUTO_TEST_CASE(a_message_without_a_header_is_not_cut) {
  const auto report = read(mail("1") + kFrom + "text that is no header\nand more\n\n");
  BOOST_TEST((std::ranges::find(report.findings, Id::truncated, &Finding::id) == report.findings.end()), text_of(report));
}

BOOST_AUTO_TEST_CASE(excerpts_are_escaped) {
  const auto report = read("\x1b]0;x\x07\xff\n\n" + mail("1"));
  BOOST_TEST(only(report, Id::foreign_start).excerpt == "\\x1b]0;x\\x07\\xff");
}

/// Who leaves a MIME part open and writes its delimiter into a second mail must not glue what lies between.
BOOST_AUTO_TEST_CASE(a_delimiter_in_a_later_mail_glues_nothing_by_itself) {
  const auto open = kFrom + "Return-Path: <e@v>\nMessage-Id: <e@v>\nContent-Type: multipart/mixed; boundary=\"evil-boundary\"\n\n--evil-boundary\n\ntext\n\n";
  const auto text = open + mail("1") + mail("2") + mail("3", "--evil-boundary--\n");
  MemoryBytes bytes{text};
  const auto plan = plan_repair(bytes, {});
  BOOST_REQUIRE(plan);
  BOOST_TEST(plan->patch.empty());
  BOOST_TEST(plan->after.served == 4U);
  BOOST_TEST(only(plan->before, Id::split_message).doubtful);
}

/// Mail of the same octets twice may be meant so.
BOOST_AUTO_TEST_CASE(twins_are_removed_only_when_asked) {
  const auto text = mail("1") + mail("2") + mail("1");
  BOOST_TEST(repair_in_memory(text).bytes == text);
  BOOST_TEST(only(read(text), Id::duplicate).message == 3U);
  BOOST_TEST(repair_in_memory(text, true).bytes == mail("1") + mail("2"));
}

BOOST_AUTO_TEST_CASE(text_that_begins_with_from_is_no_finding) {
  for (const std::string body : {"text\n\nFrom now on it is different.\nSubject: to change\n", "From the desk of:\n\nFrom: nobody\nDate: never\n", ">From x Thu Nov 28 10:11:12 2024\n",
                                 "text\nFrom bob@example.org Thu Nov 28 10:11:12 2024\nand text\n"}) {
    const auto report = read(mail("1", body) + mail("2"));
    BOOST_TEST(report.clean(), text_of(report));
    BOOST_TEST(report.messages == 2U);
  }
}

BOOST_AUTO_TEST_CASE(dialects_are_told_apart) {
  std::mt19937 random{5};
  const auto of = [&](Kind kind) { return read(make_spool(kind, random, 40).bytes()).dialect; };
  BOOST_TEST((of(Kind::mboxo) == Dialect::mboxo));
  BOOST_TEST((of(Kind::mboxrd) == Dialect::mboxrd));
  BOOST_TEST((of(Kind::mboxcl) == Dialect::mboxcl));
  BOOST_TEST((of(Kind::mboxcl2) == Dialect::mboxcl2));
  BOOST_TEST((of(Kind::mmdf) == Dialect::mmdf));
}

BOOST_AUTO_TEST_CASE(findings_are_bounded_and_changes_are_not_lost) {
  std::string text = mail("0");
  for (int i = 1; i <= 10'500; ++i) {
    text.pop_back();
    text += mail(std::to_string(i));
  }
  const auto report = read(text);
  BOOST_TEST(report.findings.size() == kMostFindings);
  BOOST_TEST(report.findings_left_out == 500U);
  BOOST_TEST(report.edits.size() == 10'500U);
  BOOST_TEST((report.worst == Severity::error));
}

BOOST_AUTO_TEST_CASE(spools_of_nothing_are_clean) {
  for (const std::string text : {"", "\n", "\r\n\n"}) {
    const auto report = read(text);
    BOOST_TEST(report.clean());
    BOOST_TEST(report.messages == 0U);
    BOOST_TEST(report.edits.empty());
  }
}

}  // namespace
