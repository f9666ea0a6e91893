"""A process of test_storage: claims points of a shared study in small batches and tells them.

Command: ``python -m tests.sweep.claimer URL BATCH HANG_AFTER``. It prints "ready", waits for a line, then prints every
point that it told. When it told HANG_AFTER points, it claims more, prints "holding" and sleeps until it is killed.
"""

import os
import sys
import time

from jaxlab.core.space import LogUniform
from jaxlab.sweep.storage import Storage

SPACE = {"learning_rate": LogUniform(0.001, 0.1)}
POINTS = {i: {"learning_rate": 0.001 * 1.1**i} for i in range(40)}


def main(url: str, batch: int, hang_after: int) -> None:
    stage = Storage(url).stage("race", {"task": "none"}, SPACE)
    print("ready", flush=True)
    sys.stdin.readline()
    told = 0
    while left := POINTS.keys() - stage.finished().keys():
        free = sorted(left - stage.running().keys())
        claimed = stage.claim({point: POINTS[point] for point in free[:batch]})
        if not claimed:
            time.sleep(0.05)
        for point in claimed:
            if told == hang_after:
                print("holding", flush=True)
                time.sleep(600)
            time.sleep(0.05)  # A point takes a while, in which others get their turn.
            stage.tell(point, {"by": os.getpid()}, float(point))
            print(point, flush=True)
            told += 1


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
