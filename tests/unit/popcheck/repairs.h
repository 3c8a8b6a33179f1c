// SPDX-License-Identifier: MIT
// A spool in a temporary folder, and popcheck's work on it with the rights of the caller.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>

#include "common/files/dotlock.h"
#include "popcheck/work.h"
#include "tests/fault/maildrop_fixture.h"

namespace qpop::test {

class Repairs {
 public:
  /// `name`: of the folder that holds spool and state.
  explicit Repairs(const std::string& name = "site") {
    const auto top = folder_.path() + "/" + name;
    target_.folder = top + "/spool";
    target_.state = top + "/state";
    target_.name = "ada";
    target_.label = target_.path();
    target_.uid = ::getuid();
    target_.gid = ::getgid();
    for (const auto& path : {top, target_.folder, target_.state}) ::mkdir(path.c_str(), 0700);
  }

  void write(const std::string& bytes) const { MaildropFixture::write_file(target_.path(), bytes); }
  void append(const std::string& bytes) const { MaildropFixture::append_file(target_.path(), bytes); }
  [[nodiscard]] std::string spool() const { return MaildropFixture::read_file(target_.path()); }
  [[nodiscard]] const popcheck::Target& target() const { return target_; }
  [[nodiscard]] std::vector<std::string> state_names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{target_.state}) names.push_back(entry.path().filename());
    return names;
  }

  popcheck::Outcome repair() { return with(popcheck::Verb::repair, [](popcheck::Place& place) { return popcheck::repair_spool(place); }); }
  popcheck::Outcome undo() { return with(popcheck::Verb::undo, [](popcheck::Place& place) { return popcheck::undo_repair(place, nullptr); }); }

  template <class Work>
  popcheck::Outcome with(popcheck::Verb verb, Work&& work) {
    command_.verb = verb;
    popcheck::Place place{command_, settings_, target_, open(target_.folder), open(target_.state), nullptr, nullptr, {}, {}};
    if (dotlock) place.dotlock = dotlock();
    if (place.dotlock == nullptr) place.dotlock = std::make_unique<files::DirectDotlock>(place.fs, place.clock, place.folder.get(), target_.name);
    return work(place);
  }

  std::function<std::unique_ptr<files::Dotlock>()> dotlock;  ///< in place of the usual one

 private:
  static base::UniqueFd open(const std::string& path) { return base::UniqueFd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)}; }

  TemporaryFolder folder_;
  popcheck::Command command_;
  config::Settings settings_;
  popcheck::Target target_;
};

}  // namespace qpop::test
