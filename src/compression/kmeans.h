// Clustering numbers on a line, so that the squared distances to the nearest centre are the least possible. Free functions;
// any thread.
#pragma once

#include <vector>

namespace cortland::compression {

// Distinct numbers, ascending, and how often each occurs.
struct Distribution {
  std::vector<float> values;
  std::vector<double> counts;
};

// The centres of the best `clusters` clusters, ascending; fewer when there are fewer values. Exact, not a local optimum.
std::vector<float> kmeans(const Distribution& distribution, int clusters);

}  // namespace cortland::compression
