"""One training step for any layout: meshes, rules, ZeRO, logical axes, several processes.

Which layout when, on 8 devices. Bytes are for each parameter of a model, on each device, in a step: of parameters,
gradients and AdamW's state in float32. Activations come on top.

==========================  =====  ==============================================================================
layout                      bytes  take it when
==========================  =====  ==============================================================================
``data=8``                  16     everything fits each device
``data=8``, ``zero=1``      9      parameters and gradients fit each device: the first choice, it sends no more
``data=8``, ``zero=2``      5.5    as stage 1, where the sum of micro-batches does not fit, too
``fsdp=8``                  2      parameters and gradients do not fit, single layers do: sends 1.5 times as much
``data=2,fsdp=4``           2.5    as ``fsdp``, where links between hosts are slow: parameters stay inside a host
``tensor=8``                2      single layers do not fit, or there are fewer examples than devices
``sequence=8``              16     one sequence's activations do not fit
``data=2,fsdp=2,tensor=2``  2.5    very large models: tensor along the fastest links, data along the slowest
==========================  =====  ==============================================================================

What ``data`` and ``fsdp`` send grows with the parameters, what ``tensor`` and ``sequence`` send with the batch.
``python -m experiments.parallel`` measures all of them on the devices that there are.
"""

from jaxlab.sharding.constrain import LOGICAL, constrain
from jaxlab.sharding.distributed import Processes, feed, rows, start
from jaxlab.sharding.layout import Layout
from jaxlab.sharding.mesh import make_mesh
from jaxlab.sharding.rules import Rules

__all__ = ["LOGICAL", "Layout", "Processes", "Rules", "constrain", "feed", "make_mesh", "rows", "start"]
