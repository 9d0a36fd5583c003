// The glue of docs/hooks/stella_vslam.md, on a small map; candidate ids come as arguments.

#include "cerfevpr_candidates.hpp"
#include "stand_ins.hpp"

#include <cstdio>

using namespace stella_vslam;

#include "glue.inc"

int main(int, char** argv) {
  data::map_database map;
  for (unsigned int id : {0u, 3u, 7u, 9u, 4294967295u}) {
    map.keyframes[id] = std::make_shared<data::keyframe>(data::keyframe{id});
  }
  map.keyframes[9]->erased = true;
  std::vector<std::string> texts;
  for (char** text = argv + 1; *text; ++text) texts.push_back(*text);
  candidates.put(100'000'000'000, texts);

  module::relocalizer relocalizer;
  data::frame frame{100.5}, late{103};
  const bool found = relocalize(relocalizer, map, frame);
  std::printf("%s", found ? "found" : "not found");
  for (unsigned int id : relocalizer.asked) std::printf(" %u", id);
  std::printf("\nlate %d", int(relocalize(relocalizer, map, late)));
  stella_vslam::system slam;
  const bool first = close_loop(slam, "9", "3");
  const bool foreign = close_loop(slam, "9", "somebody's");
  const bool large = close_loop(slam, "4294967295", "3");  // the call takes int
  std::printf("\nloops %d %d %d:", int(first), int(foreign), int(large));
  for (int id : slam.requested) std::printf(" %d", id);
  std::printf("\n");
}
