"""One training step for any layout: meshes, rules, ZeRO, logical axes, several processes."""

from jaxlab.sharding.constrain import LOGICAL, constrain
from jaxlab.sharding.distributed import Processes, feed, start
from jaxlab.sharding.layout import Layout
from jaxlab.sharding.mesh import make_mesh
from jaxlab.sharding.rules import Rules

__all__ = ["LOGICAL", "Layout", "Processes", "Rules", "constrain", "feed", "make_mesh", "start"]
