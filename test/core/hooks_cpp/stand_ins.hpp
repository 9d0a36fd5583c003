// As much of ORB-SLAM3's and stella_vslam's published interfaces as the pages of docs/hooks call.

#ifndef STAND_INS_HPP_
#define STAND_INS_HPP_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace ORB_SLAM3 {

class KeyFrame;

struct Map {
  std::vector<KeyFrame*> keyframes;
  bool bad = false;
  std::vector<KeyFrame*> GetAllKeyFrames() { return keyframes; }
  bool IsBad() { return bad; }
};

struct Atlas {
  std::vector<Map*> maps;
  std::vector<Map*> GetAllMaps() { return maps; }
};

class KeyFrame {
 public:
  KeyFrame(unsigned long id, Map* map) : mnId(id), map_(map) { map->keyframes.push_back(this); }
  bool isBad() { return bad; }
  Map* GetMap() { return map_; }
  std::set<KeyFrame*> GetConnectedKeyFrames() { return connected; }
  long unsigned int mnId;
  double mTimeStamp = 0;
  bool bad = false;
  std::set<KeyFrame*> connected;

 private:
  Map* map_;
};

struct Frame {
  double mTimeStamp;
};

}  // namespace ORB_SLAM3

namespace stella_vslam {
namespace data {

struct keyframe {
  unsigned int id_;
  bool erased = false;
  bool will_be_erased() { return erased; }
};

struct frame {
  double timestamp_;
};

struct map_database {
  std::map<unsigned int, std::shared_ptr<keyframe>> keyframes;
  std::shared_ptr<keyframe> get_keyframe(unsigned int id) const {
    const auto found = keyframes.find(id);
    return found == keyframes.end() ? nullptr : found->second;
  }
};

}  // namespace data

namespace module {

struct relocalizer {
  std::vector<unsigned int> asked;
  bool reloc_by_candidates(data::frame&, const std::vector<std::shared_ptr<data::keyframe>>& candidates, bool = false) {
    for (const auto& keyframe : candidates) asked.push_back(keyframe->id_);
    return !candidates.empty();
  }
};

}  // namespace module

struct system {
  std::vector<int> requested;
  bool request_loop_closure(int keyfrm1_id, int keyfrm2_id) {
    requested.insert(requested.end(), {keyfrm1_id, keyfrm2_id});
    return true;
  }
};

}  // namespace stella_vslam

#endif  // STAND_INS_HPP_
