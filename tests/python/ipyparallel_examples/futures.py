"""Results are futures: of concurrent.futures, of executors, and of asyncio."""

import asyncio
import os
import time
from concurrent.futures import as_completed, wait

from ipclusterz import ipyparallel as ipp

cluster = ipp.Cluster(n=4)
rc = cluster.start_and_connect_sync()


def task(t):
    import time

    time.sleep(t)
    return t


ar = rc[-1].apply_async(task, 0.05)
assert not ar.done()
assert ar.result() == 0.05
assert isinstance(rc[:].apply(os.getpid).result(), list)

seen = []
ar = rc[0].apply_async(task, 0.01)
ar.add_done_callback(lambda future: seen.append(future.result()))
wait([ar])
while not seen:
    time.sleep(0.01)
assert seen == [0.01]

results = [rc[:].apply_async(task, 0.01 * n) for n in range(3)]
assert len(list(as_completed(results))) == 3

executor = rc.executor()
assert list(executor.map(lambda x: x * x, range(5))) == [0, 1, 4, 9, 16]
future = executor.submit(os.getpid)
assert future.result() in rc[:].apply_sync(os.getpid)
executor.shutdown()
with rc.load_balanced_view(targets=[0, 1]).executor as executor:
    assert executor.submit(pow, 2, 3).result() == 8


async def main():
    view = rc.load_balanced_view()
    values = await asyncio.gather(*(asyncio.wrap_future(view.apply_async(task, 0.01 * n)) for n in range(4)))
    return values, await rc[0].apply_async(abs, -1)


assert asyncio.run(main()) == ([0, 0.01, 0.02, 0.03], 1)
cluster.stop_cluster_sync()
print("done")
