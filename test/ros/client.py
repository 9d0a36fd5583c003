"""A client that talks to nodes over DDS, and the camera in front of a localizer."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
from messages import image_msg, number_of
from processes import PATIENCE_S, Process, TimedOut, wait_until


class Heard(list):
    """The messages of a topic, as they come."""

    def wait_for(self, accept, what: str):
        """The first message that is accepted."""
        return wait_until(lambda: next((m for m in list(self) if accept(m)), None), what)


class Client:
    """A node in this process, in a context of its own, that spins in the background."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('test_client', context=self.context)
        self.clients: dict = {}
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Leave the domain."""
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        self.context.try_shutdown()

    def hears(self, kind: type, topic: str) -> Heard:
        """Listen to a topic, reliably, from now on."""
        heard = Heard()
        self.node.create_subscription(kind, topic, heard.append, 50)
        wait_until(lambda: self.node.count_publishers(topic), f'somebody publishes {topic}')
        return heard

    def publisher(self, kind: type, topic: str):
        """A reliable publisher that somebody listens to."""
        publisher = self.node.create_publisher(kind, topic, 10)
        wait_until(publisher.get_subscription_count, f'somebody listens to {topic}')
        return publisher

    def call(self, kind: type, service: str, repeat: bool = True, **fields):
        """The response of a service; the request is repeated if none comes.

        A server that has not found the other end of a new client yet drops its response.
        """
        client = self.client_of(kind, service)
        futures = []
        for _ in range(20 if repeat else 1):
            futures.append(client.call_async(kind.Request(**fields)))
            with contextlib.suppress(TimedOut):
                patience_s = PATIENCE_S / 20 if repeat else PATIENCE_S
                wait_until(lambda: any(f.done() for f in futures), '', patience_s)
                return next(f.result() for f in futures if f.done())
        raise TimedOut(f'{service} does not respond')

    def client_of(self, kind: type, service: str):
        """A client of a service that is there."""
        if service not in self.clients:
            self.clients[service] = self.node.create_client(kind, service)
        assert self.clients[service].wait_for_service(PATIENCE_S), f'no service {service}'
        return self.clients[service]

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        with contextlib.suppress(ExternalShutdownException):
            self.executor.spin()


class Camera:
    """What stands in front of a localizer, and hears its answers."""

    def __init__(self, client: Client, namespace: str, process: Process) -> None:
        from sensor_msgs.msg import CompressedImage, Image

        from cerfevpr_msgs.msg import KeyframeCandidates, PlaceMatchArray

        self.client = client
        self.process = process
        self.namespace = f'/{namespace}'
        self.name = f'/{namespace}/localizer'
        self.matches = client.hears(PlaceMatchArray, f'{self.name}/place_matches')
        self.candidates = client.hears(KeyframeCandidates, f'{self.name}/candidates')
        self.raw = client.publisher(Image, f'/{namespace}/image')
        self.compressed = client.publisher(CompressedImage, f'/{namespace}/image/compressed')
        self.number = 0

    def send(self, image: np.ndarray) -> int:
        """Publish an image; returns its number."""
        self.number += 1
        self.raw.publish(image_msg(image, self.number))
        return self.number

    def answer(self, number: int):
        """The answer to the image of this number."""
        return self.matches.wait_for(lambda m: number_of(m) == number, f'answer {number}')

    def answered_last(self, number: int, image: np.ndarray) -> int:
        """The number of the answered image that ends a burst: this one, or one sent after it.

        Best effort may lose the end of a burst, so after some seconds another image is sent.
        """
        for _ in range(10):
            with contextlib.suppress(TimedOut):
                wait_until(lambda: any(number_of(m) == number for m in self.matches), '', 10)  # noqa: B023
                return number
            number = self.send(image)
        raise AssertionError(f'{self.name} does not answer:\n{self.process.output}')

    def warm_up(self, image: np.ndarray) -> None:
        """Until an image is answered: best effort loses what comes before both ends matched."""
        for _ in range(20):
            number = self.send(image)
            with contextlib.suppress(TimedOut):
                wait_until(lambda: any(number_of(m) == number for m in self.matches), '', 5)  # noqa: B023
                return
        raise AssertionError(f'{self.name} does not answer:\n{self.process.output}')
