// SPDX-License-Identifier: MIT
// Can somebody tell an unknown user from a wrong password by the time the verifier takes? Pairs of both, interleaved in random order.
//
// Usage: bench_login_timing [--pairs N] [--iterations N] [--mechanism password|apop|cram|scram|all]. Prints medians, Welch's t and the
// share of pairs in which the unknown user took longer with its deviation from one half in standard errors. Nothing is asserted: the
// counted work is, in tests/unit/authenticator.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "common/authdb/database.h"
#include "common/authdb/key_file.h"
#include "popper/authenticator/verifier.h"

namespace {

using namespace qpop;
using authenticator::Verifier;
using Check = std::function<void(Verifier&, const std::string& user)>;

struct Options {
  int pairs = 20'000;
  std::uint32_t iterations = authdb::kMinIterations;
  std::string mechanism = "all";
};

constexpr std::size_t kUsers = 100;
constexpr std::string_view kStamp = "<1896.697170952@dbc.mtview.ca.us>";

/// Those that exist and those that do not are neighbours: on the same pages of the database, which otherwise would be
/// what is measured.
std::string name_of(std::size_t i, bool exists) {
  return fmt::format("user{:04}", 2 * i + (exists ? 0 : 1));
}

/// Opened and closed before the verifier opens it: LMDB must not have a file open twice.
void make_database(const std::string& path, std::uint32_t iterations) {
  if (!authdb::initialise({.path = path, .owner = ::geteuid(), .group = ::getegid(), .iterations = iterations})) std::abort();
  auto database = authdb::Database::open(path, ::geteuid(), authdb::Access::read_write);
  if (!database) std::abort();
  for (std::size_t i = 0; i < kUsers; ++i) {
    const std::string name = name_of(i, true);
    authdb::Account account;
    // One verifier for all: what is measured does not depend on it.
    static const auto scram = authdb::make_scram(base::Secret{"right"}, iterations);
    account.scram = scram;
    account.sealed_apop = *authdb::seal_apop(database->meta(), name, base::Secret{"right"});
    if (!database->update(name, [&](const auto&) -> base::Result<authdb::Account> { return account; })) std::abort();
  }
}

double time_of(Verifier& verifier, const Check& check, const std::string& user) {
  const auto begin = std::chrono::steady_clock::now();
  check(verifier, user);
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

double variance(const std::vector<double>& values, double mean) {
  return std::accumulate(values.begin(), values.end(), 0.0, [&](double sum, double value) { return sum + (value - mean) * (value - mean); }) /
         static_cast<double>(values.size() - 1);
}

/// The slowest twentieth is the machine's, not ours: cut before means are compared.
std::vector<double> cut(std::vector<double> values) {
  std::ranges::sort(values);
  values.resize(values.size() - values.size() / 20);
  return values;
}

void report(const char* name, const std::vector<double>& known, const std::vector<double>& unknown) {
  const auto size = static_cast<double>(known.size());
  double longer = 0;
  for (std::size_t i = 0; i < known.size(); ++i) longer += unknown[i] > known[i] ? 1 : 0;
  const auto a = cut(known), b = cut(unknown);
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / static_cast<double>(a.size());
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / static_cast<double>(b.size());
  const double t = (mean_b - mean_a) / std::sqrt(variance(a, mean_a) / static_cast<double>(a.size()) + variance(b, mean_b) / static_cast<double>(b.size()));
  fmt::print("{:<9} {:>6} pairs  wrong password {:9.2f} us  unknown user {:9.2f} us  difference {:+.3f} us  t {:+.2f}  unknown longer {:.4f} ({:+.2f} s.e.)\n",
             name, known.size(), median(known), median(unknown), median(unknown) - median(known), t, longer / size,
             (longer / size - 0.5) / (0.5 / std::sqrt(size)));
  std::fflush(stdout);
}

void run(Verifier& verifier, const char* name, const Options& options, const Check& check) {
  std::mt19937 random{7};
  std::vector<double> known, unknown;
  for (int i = 0; i < options.pairs + 50; ++i) {
    const std::string here = name_of(random() % kUsers, true), nowhere = name_of(random() % kUsers, false);
    const bool known_first = random() % 2 == 0;
    double a = 0, b = 0;
    if (known_first) a = time_of(verifier, check, here);
    b = time_of(verifier, check, nowhere);
    if (!known_first) a = time_of(verifier, check, here);
    if (i < 50) continue;  // caches are cold
    known.push_back(a);
    unknown.push_back(b);
  }
  report(name, known, unknown);
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name{argv[i]};
    if (name == "--pairs") options.pairs = std::atoi(argv[i + 1]);
    if (name == "--iterations") options.iterations = static_cast<std::uint32_t>(std::atoi(argv[i + 1]));
    if (name == "--mechanism") options.mechanism = argv[i + 1];
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  std::string folder = "/tmp/qpop.timing.XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  const std::string path = folder + "/pop.auth";
  make_database(path, options.iterations);
  {
    base::SystemClock clock;
    Verifier verifier{path, ::geteuid(), clock};
    auto key = authdb::open_key_file(authdb::key_path_of(path));
    if (!key || !verifier.load_key(key->get())) return 1;
    const auto wanted = [&](const char* name) { return options.mechanism == "all" || options.mechanism == name; };
    const base::Secret wrong{"wrong"};
    if (wanted("password")) run(verifier, "password", options, [&](Verifier& v, const std::string& user) { (void)v.check_password(user, wrong, {}); });
    if (wanted("apop")) run(verifier, "apop", options, [](Verifier& v, const std::string& user) { (void)v.check_apop(user, kStamp, std::string(32, '0')); });
    if (wanted("cram")) run(verifier, "cram", options, [](Verifier& v, const std::string& user) { (void)v.check_cram_md5(user, kStamp, std::string(32, '0')); });
    if (wanted("scram"))
      run(verifier, "scram", options, [](Verifier& v, const std::string& user) {
        auto start = v.begin_scram(user);
        sasl::ScramServer server{std::move(start.secret), "n=x,r=y", "y"};
        (void)server.finish("c=biws,r=y", "y", {});
      });
  }
  std::filesystem::remove_all(folder);
  return 0;
}
