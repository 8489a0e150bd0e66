// Text from a file made safe for a message: control characters and bytes that are not UTF-8 become \xNN, long text is cut.
#pragma once

#include <string>
#include <string_view>

namespace cortland::archive {

std::string printable(std::string_view text, size_t max_bytes = 160);

}  // namespace cortland::archive
