"""The ground that tests stand on: real servers, built once, started in seconds on loopback."""

from tests.cluster.cache import BuildError
from tests.cluster.ground import Cluster, Ground, Reply
from tests.cluster.process import GroundError

__all__ = ["BuildError", "Cluster", "Ground", "GroundError", "Reply"]
