// SPDX-License-Identifier: MIT
// Updates in a folder whose file system is filled to the last octet after the session opened the maildrop.
// Usage: full_disk_run FOLDER; the folder must lie on a file system that may be filled. Run by full_disk_test.py.
#include <cstdio>
#include <functional>
#include <numeric>

#include "tests/fault/verdict.h"

namespace {

using namespace qpop;
using namespace qpop::test;

/// Takes all the room that is left, down to the last octet.
class Filler {
 public:
  explicit Filler(std::string path) : path_(std::move(path)) {
    const base::UniqueFd fd{::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    for (std::size_t size = 1 << 20; size > 0; size /= 2) {
      const std::string block(size, 'f');
      while (::write(fd.get(), block.data(), block.size()) > 0) continue;
    }
  }
  Filler(const Filler&) = delete;
  Filler& operator=(const Filler&) = delete;
  ~Filler() { ::unlink(path_.c_str()); }

 private:
  std::string path_;
};

struct Case {
  const char* name;
  std::size_t messages;
  std::size_t octets;  ///< of each
  std::function<bool(std::size_t)> deleted;
  bool must_work;
};

Scenario make(const Case& c) {
  Scenario s{.name = c.name, .delivery = mbox_message(1)};
  for (std::size_t i = 0; i < c.messages; ++i) {
    s.units.push_back(sized_message(static_cast<unsigned>(i + 1), c.octets));
    s.spool += s.units.back();
    if (c.deleted(i)) {
      s.deleted.push_back(static_cast<unsigned>(i));
    } else {
      s.after += s.units.back();
    }
  }
  s.before = s.spool;
  return s;
}

/// What is wrong, or nothing.
std::string run(const std::string& folder, const MaildropFixture& drop, const Case& c) {
  drop.clear();
  const auto s = make(c);
  Session session{drop, s};
  bool refused = false;
  {
    const Filler filler{folder + "/filler"};
    Process process{drop};
    const auto updated = process.update(session.request());
    if (auto wrong = judge_answer(drop, updated, false, {.scenario = s, .delivered = {}}); !wrong.empty()) return wrong;
    refused = !updated;
    if (refused && updated.error().kind() != base::ErrorKind::no_space) return updated.error().message();
    session.end();
    std::printf("%s: %s\n", c.name, updated ? "works" : updated.error().message().c_str());
    if (refused && c.must_work) return "refused, though it could be done";
    if (auto strange = strange_name(drop); !strange.empty()) return strange + " is left";
    // The next session works on the full disk, too.
    if (auto wrong =
            judge_next_session(drop, {.scenario = s, .delivered = {}, .may_be_old = refused, .may_be_new = !refused});
        !wrong.empty())
      return wrong;
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  const MaildropFixture drop{folder, folder};
  constexpr std::size_t kLarge = 9 * 1024 * 1024;
  const std::array cases{
      Case{"all", 6, kLarge, [](std::size_t) { return true; }, true},
      Case{"a tail", 6, kLarge, [](std::size_t i) { return i >= 4; }, true},
      Case{"the first half", 6, kLarge, [](std::size_t i) { return i < 3; }, true},
      Case{"every second", 6, kLarge, [](std::size_t i) { return i % 2 == 0; }, true},
      Case{"the first of few large ones", 6, kLarge, [](std::size_t i) { return i == 0; }, true},
      Case{"the third of few large ones", 6, kLarge, [](std::size_t i) { return i == 2; }, true},
      Case{"every second of many", 3600, 8192, [](std::size_t i) { return i % 2 == 0; }, true},
      Case{"the first half of many", 4000, 8192, [](std::size_t i) { return i < 2000; }, true},
      Case{"one in the middle of many", 4000, 8192, [](std::size_t i) { return i == 2500; }, true},
      Case{"every second of more than the reserve can name", 4000, 8192, [](std::size_t i) { return i % 2 == 0; },
           false},
      Case{"the first of many: more strides than are allowed", 4000, 8192, [](std::size_t i) { return i == 0; }, false},
  };
  int wrong = 0;
  for (const auto& c : cases) {
    const auto text = run(folder, drop, c);
    if (text.empty()) continue;
    std::printf("%s: %s\n", c.name, text.c_str());
    ++wrong;
  }
  drop.clear();
  return wrong == 0 ? 0 : 1;
}
