// Where the time of a model goes: by kind of step, and the steps that take most. Not synchronised.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cortland::engine_cli {

class Profile {
 public:
  void add(std::string_view kind, std::string_view name, double seconds, bool fast);
  void clear();
  // On standard error. Times are means over `runs` runs.
  void print(int runs) const;

 private:
  struct Line {
    int count = 0, fast = 0;
    double seconds = 0;
  };
  std::map<std::string, Line> kinds_;
  std::map<std::pair<std::string, std::string>, Line> steps_;  // by name and kind
};

}  // namespace cortland::engine_cli
