"""As much of tf2_ros's published interface as the nodes call, for tests without a tf tree.

What is broadcast goes to the topic `tf_stand_in`; the camera is where Buffer says.
"""

from geometry_msgs.msg import TransformStamped


class TransformException(Exception):
    """tf2's own."""


class TransformBroadcaster:
    def __init__(self, node):
        self.publisher = node.create_publisher(TransformStamped, 'tf_stand_in', 10)

    def sendTransform(self, transform):
        self.publisher.publish(transform)


class Buffer:
    def __init__(self):
        self.num_asked = 0

    def lookup_transform(self, target_frame, source_frame, time):
        self.num_asked += 1
        if source_frame != 'front_camera' or self.num_asked < 3:
            raise TransformException(f'"{source_frame}" is not known')
        found = TransformStamped()
        at, turn = found.transform.translation, found.transform.rotation
        at.x, at.y, at.z = 0.3, 0.1, 1.0
        turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
        return found


class TransformListener:
    def __init__(self, buffer, node):
        self.buffer = buffer

    def unregister(self):
        pass
