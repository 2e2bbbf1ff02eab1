#include "standin/counters.h"

#include <ATen/record_function.h>

#include <iomanip>
#include <sstream>
#include <vector>

#include "standin/memory.h"

namespace sam3::standin {
namespace {

std::map<std::string, Counts>& all() {
  static std::map<std::string, Counts> counts;
  return counts;
}

bool& loaded_flag() {
  static bool flag = false;
  return flag;
}

// Methods call other methods of the program's modules: the outermost one counts.
std::vector<std::string>& methods() {
  static thread_local std::vector<std::string> names;
  return names;
}

void add(std::map<std::string, int64_t>& to, const std::map<std::string, int64_t>& from) {
  for (const auto& [key, times] : from) to[key] += times;
}

void print(std::ostream& out, const std::string& name, const Counts& c) {
  out << std::left << std::setw(20) << name << std::right << std::setw(7) << c.operators << std::setw(7) << c.constant
      << std::setw(7) << c.empty << std::setw(5) << c.uploads << std::setw(10) << c.uploaded_bytes << std::setw(5)
      << c.downloads << std::setw(10) << c.downloaded_bytes << std::setw(5) << c.waits << '\n';
}

}  // namespace

std::recursive_mutex& mutex() {
  static std::recursive_mutex one;
  return one;
}

Counts& here() {
  return all()[methods().empty() ? "" : methods().front()];
}

void count_wait(const std::string& why) {
  here().waits++;
  here().by_wait[why]++;
}

void follow_methods() {
  using Context = std::unique_ptr<at::ObserverContext>;
  at::addGlobalCallback(at::RecordFunctionCallback(
                            [](const at::RecordFunction& record) -> Context {
                              methods().emplace_back(record.name());
                              return nullptr;
                            },
                            [](const at::RecordFunction&, at::ObserverContext*) { methods().pop_back(); })
                            .scopes({at::RecordScope::TORCHSCRIPT_FUNCTION}));
}

bool is_loaded() {
  return loaded_flag();
}

Counts& Counts::operator+=(const Counts& other) {
  operators += other.operators;
  constant += other.constant;
  empty += other.empty;
  uploads += other.uploads;
  uploaded_bytes += other.uploaded_bytes;
  downloads += other.downloads;
  downloaded_bytes += other.downloaded_bytes;
  waits += other.waits;
  add(by_operator, other.by_operator);
  add(by_constant, other.by_constant);
  add(by_wait, other.by_wait);
  return *this;
}

std::map<std::string, Counts> counts() {
  const std::lock_guard guard(mutex());
  return all();
}

Counts total() {
  Counts sum;
  for (const auto& [method, c] : counts()) sum += c;
  return sum;
}

std::string describe(bool details) {
  std::ostringstream out;
  out << std::left << std::setw(20) << "method" << std::right << std::setw(7) << "ops" << std::setw(7) << "const"
      << std::setw(7) << "empty" << std::setw(5) << "up" << std::setw(10) << "bytes" << std::setw(5) << "down"
      << std::setw(10) << "bytes" << std::setw(5) << "wait" << '\n';
  for (const auto& [method, c] : counts()) {
    print(out, method.empty() ? "(engine)" : method, c);
    for (const auto& [why, times] : c.by_wait) out << "    waits " << times << " x " << why << '\n';
    if (!details) continue;
    for (const auto& [name, times] : c.by_operator) {
      const auto constant = c.by_constant.find(name);
      out << "    " << std::left << std::setw(50) << name << std::right << std::setw(5) << times;
      if (constant != c.by_constant.end()) out << "  constant " << constant->second;
      out << '\n';
    }
  }
  print(out, "total", total());
  return out.str();
}

void reset() {
  const std::lock_guard guard(mutex());
  all().clear();
  Memory::get().reset_peak();
}

void loaded() {
  const std::lock_guard guard(mutex());
  loaded_flag() = true;
}

}  // namespace sam3::standin
