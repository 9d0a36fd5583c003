// The glue of docs/hooks/orb_slam3.md, on a small atlas; candidate ids come as arguments.

#include "cerfevpr_candidates.hpp"
#include "stand_ins.hpp"

#include <cstdio>

using namespace ORB_SLAM3;
using namespace std;

#include "glue.inc"

int main(int, char** argv) {
  Map here, other, dead;
  dead.bad = true;
  KeyFrame kf3(3, &here), kf7(7, &here), kf9(9, &here), kf12(12, &other), kf20(20, &here);
  KeyFrame kf30(30, &dead), big(18446744073709551615ul, &here);
  Atlas atlas;
  atlas.maps = {&here, &other, &dead};
  kf9.bad = true;
  kf20.mTimeStamp = 100.25;
  kf20.connected = {&kf3};
  vector<string> texts;
  for (char** text = argv + 1; *text; ++text) texts.push_back(*text);
  candidates.put(100'000'000'000, texts);

  Frame frame{100.5};
  std::printf("relocalization");
  for (KeyFrame* kf : RelocalizationCandidates(&frame, &here)) std::printf(" %lu", kf->mnId);
  Frame late{103};
  std::printf("\nlate %zu", RelocalizationCandidates(&late, &here).size());
  vector<KeyFrame*> loops, merges;
  NBestCandidates(&kf20, &atlas, loops, merges, 2);
  std::printf("\nloop");
  for (KeyFrame* kf : loops) std::printf(" %lu", kf->mnId);
  std::printf("\nmerge");
  for (KeyFrame* kf : merges) std::printf(" %lu", kf->mnId);
  std::printf("\n");
}
