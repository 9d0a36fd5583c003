"""ROS 2 nodes of CerfeVPR: convert in, call the core, convert out."""
