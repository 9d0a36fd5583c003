"""Visual place recognition and relocalization, without ROS. `docs/architecture.md` is the way in."""
