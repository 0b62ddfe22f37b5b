"""Progress of results and of clients."""

import random
import time

from tqdm import tqdm

from ipclusterz import ipyparallel as ipp


def task_takes(t):
    time.sleep(t)
    return t


with ipp.Cluster(n=4) as rc:
    rc[:].use_cloudpickle()
    rc[:].execute("import time").get()
    view = rc.load_balanced_view()
    times = [random.random() / 20 for _ in range(12)]
    ar = view.map_async(task_takes, times)
    ar.wait_interactive()
    assert ar.get() == times
    assert ar.progress == len(ar) == 12
    assert ar.serial_time >= sum(times)
    ars = [rc[:].apply_async(time.sleep, 0.01) for _ in range(3)]
    rc.wait_interactive(ars)
    assert all(ar.done() for ar in ars)
    amr = view.map_async(task_takes, times, ordered=False)
    assert sorted(tqdm(amr, total=len(times))) == sorted(times)
    assert list(tqdm(view.imap(task_takes, times), total=len(times))) == times
print("done")
