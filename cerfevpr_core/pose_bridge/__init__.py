"""Verified poses of a camera -> one initial pose of a robot, and the map's place in odometry."""

from cerfevpr_core.pose_bridge.bridge import PoseBridge
from cerfevpr_core.pose_bridge.lost import Localization
from cerfevpr_core.pose_bridge.map_to_odom import MapToOdom
from cerfevpr_core.pose_bridge.options import BridgeOptions
from cerfevpr_core.pose_bridge.sightings import Sighting, Sightings

__all__ = ['BridgeOptions', 'Localization', 'MapToOdom', 'PoseBridge', 'Sighting', 'Sightings']
