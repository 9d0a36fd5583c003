"""Visual place recognition and relocalization, without ROS; see docs/architecture.md."""
