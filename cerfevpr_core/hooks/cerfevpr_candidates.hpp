// Candidate keyframes of cerfevpr_msgs/msg/KeyframeCandidates for a SLAM system: its own ids, in
// order, and the keyframes that they still name. C++17, without any dependency.

#ifndef CERFEVPR_CANDIDATES_HPP_
#define CERFEVPR_CANDIDATES_HPP_

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cerfevpr {

// The id that a text of digits is, as `std::to_string` wrote it; none for anything else, and for
// a number that Id cannot hold.
template <class Id>
std::optional<Id> parse_id(const std::string& external_id) {
  static_assert(std::is_unsigned_v<Id>, "keyframe ids are unsigned");
  Id id = 0;
  const char* const end = external_id.data() + external_id.size();
  const auto [last, error] = std::from_chars(external_id.data(), end, id);
  if (error != std::errc() || last != end || std::to_string(id) != external_id) return std::nullopt;
  return id;
}

// Ids, best first, each once. Texts that are no ids are left out: they belong to keyframes that
// somebody else added.
template <class Id>
std::vector<Id> candidate_ids(const std::vector<std::string>& external_ids) {
  std::vector<Id> ids;
  for (const auto& text : external_ids) {
    const auto id = parse_id<Id>(text);
    if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
  }
  return ids;
}

// The keyframes of ids, in their order. `find(id)` gives a pointer, null for an unknown id;
// `usable(keyframe)` is false for one that the system is about to remove.
template <class Id, class Find, class Usable>
auto known_keyframes(const std::vector<Id>& ids, Find find, Usable usable) {
  std::vector<std::decay_t<decltype(find(Id{}))>> keyframes;
  for (const Id id : ids) {
    auto keyframe = find(id);
    if (keyframe && usable(keyframe)) keyframes.push_back(std::move(keyframe));
  }
  return keyframes;
}

// A `find` for systems that list their keyframes but do not look them up: `id_of(keyframe)`.
template <class Id, class Keyframe, class IdOf>
auto finder(const std::vector<Keyframe>& keyframes, IdOf id_of) {
  std::unordered_map<Id, Keyframe> by_id;
  for (const auto& keyframe : keyframes) {
    if (keyframe) by_id.emplace(static_cast<Id>(id_of(keyframe)), keyframe);
  }
  return [by_id = std::move(by_id)](Id id) {
    const auto found = by_id.find(id);
    return found == by_id.end() ? Keyframe{} : found->second;
  };
}

// The newest answer, from the thread that hears ROS to the thread that tracks.
class NewestCandidates {
 public:
  // From the callback of `~/candidates`: the stamp of the image that is answered.
  void put(std::int64_t stamp_ns, std::vector<std::string> external_ids) {
    const std::lock_guard<std::mutex> lock(mutex_);
    stamp_ns_ = stamp_ns;
    external_ids_ = std::move(external_ids);
  }

  // The ids for an image of this stamp. None if the newest answer is of an image further away
  // than that: the localizer is slow, stopped, or looks at something else.
  template <class Id>
  std::vector<Id> ids(std::int64_t stamp_ns, std::int64_t max_gap_ns) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stamp_ns_) return {};
    const std::int64_t gap_ns = stamp_ns > *stamp_ns_ ? stamp_ns - *stamp_ns_ : *stamp_ns_ - stamp_ns;
    return gap_ns > max_gap_ns ? std::vector<Id>{} : candidate_ids<Id>(external_ids_);
  }

 private:
  mutable std::mutex mutex_;
  std::optional<std::int64_t> stamp_ns_;
  std::vector<std::string> external_ids_;
};

// Seconds, as SLAM systems stamp their frames, in the stamps of messages.
inline std::int64_t to_ns(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

}  // namespace cerfevpr

#endif  // CERFEVPR_CANDIDATES_HPP_
