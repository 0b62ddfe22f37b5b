"""joblib on the engines of a view."""

import os

from joblib import Parallel, delayed, parallel_config

from ipclusterz import ipyparallel as ipp


def pid_and_square(x):
    return os.getpid(), x * x


with ipp.Cluster(n=2) as rc:
    rc[:].execute("import os", block=True)
    view = rc.load_balanced_view()
    view.register_joblib_backend()
    with parallel_config(backend="ipyparallel"):
        found = Parallel(n_jobs=2)(delayed(pid_and_square)(x) for x in range(10))
    assert [square for _, square in found] == [x * x for x in range(10)]
    assert {pid for pid, _ in found} <= set(rc[:].apply_sync(os.getpid))
    rc[:2].executor.shutdown()
print("done")
