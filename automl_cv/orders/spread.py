"""Extraction spread over the machines of a cluster: each puts shares of the images into the cache.

Which share an image is in follows from its content, so that an order is a number, and no image
passes a backbone twice. A share whose worker is lost is another's; what the lost one had written
of it stays.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING

from automl_cv.orders.crew import DEATHS_AT_WORK, OnProgress
from automl_cv.orders.messages import (
    Extract,
    Extracted,
    Extracting,
    Failed,
    Lacking,
    Look,
    PrepareFeatures,
    SpaceNeeded,
)

if TYPE_CHECKING:
    from automl_cv.orders.cluster import ClusterCrew
    from automl_cv.orders.remote import RemoteWorker

SHARES_OF_A_WORKER = 16
"""So many make what the last ones wait for each other a few hundredths of the whole."""
LEAST_IMAGES = 256
"""In a share, unless some workers would have none: between shares the decoders wait."""
MOST_IMAGES = 4096
"""In a share: what a lost machine costs at most, and what the cache writes at once."""


def spread(crew: ClusterCrew, order: PrepareFeatures, on_progress: OnProgress) -> int:
    """Have all workers extract what the cache lacks, where that is worth it.

    Args:
        crew: its workers that are ready, or will be meanwhile.
        order: which features; whoever prepares it next finds them cached, but for a few.
        on_progress: is told of all workers' images together.

    Returns:
        How many images, or views of them, passed the backbone.

    Raises:
        UserError: the backbone or its weights can't be had, or the disk has no room.
        AutomlError: a file is another one on some machine, or the cluster has no worker any more.
    """
    found = crew.answered(Look(order), on_progress)
    assert isinstance(found, Lacking), "the only other answer to a look"
    shares = n_shares(found.count, crew.n_hired)
    if shares < 2:
        return 0
    waiting = deque(Extract(order, share, shares) for share in range(shares))
    at_work: dict[RemoteWorker, Extract] = {}
    done: Counter[RemoteWorker] = Counter()
    extracted, began, deaths = 0, time.monotonic(), Counter[int]()
    while waiting or at_work:
        for idle in crew.workers:
            if waiting and idle not in at_work:
                at_work[idle] = waiting.popleft()
                idle.send(at_work[idle])
        for worker, answer in crew.answers(timeout=1.0):
            match answer:
                case Extracting():
                    done[worker] = answer.done
                    total = extracted + done.total()
                    speed = total / (time.monotonic() - began)
                    on_progress(Extracting(total, found.count, speed))
                case SpaceNeeded():
                    on_progress(answer)
                case Extracted():
                    extracted += answer.count
                    del at_work[worker], done[worker]
                case Failed():
                    share = at_work.pop(worker)
                    deaths[share.share] += not answer.is_lost
                    if not worker.has_died or deaths[share.share] >= DEATHS_AT_WORK:
                        crew.give_up(answer, worker)
                    waiting.appendleft(replace(share, is_begun=True))
                    del done[worker]
    return extracted


def n_shares(images: int, workers: int) -> int:
    """Return into how many shares images are divided.

    Args:
        images: that no features are cached of.
        workers: that are there.
    """
    at_least = max(math.ceil(images / MOST_IMAGES), min(workers, images // (LEAST_IMAGES // 8)))
    return max(at_least, min(SHARES_OF_A_WORKER * workers, images // LEAST_IMAGES))
