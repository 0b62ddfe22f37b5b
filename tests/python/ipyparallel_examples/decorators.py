"""Functions that run on engines when they are called."""

import numpy as np

from ipclusterz import ipyparallel as ipp

with ipp.Cluster(n=4) as rc:
    dview = rc[:]
    dview.block = True

    @dview.remote(block=True)
    def getpid():
        import os

        return os.getpid()

    assert len(set(getpid())) == 4

    A = np.random.random((8, 6))

    @dview.parallel(block=True)
    def pmul(A, B):
        return A * B

    assert (pmul(A, A) == A * A).all()

    @ipp.parallel(dview, block=True)
    def echo(x):
        return str(x)

    assert echo.map(range(5)) == ["0", "1", "2", "3", "4"]
    # Called, it has parts of the sequence.
    assert len(echo(range(8))) == 4

    @rc.load_balanced_view().parallel(block=True, chunksize=3)
    def total(part):
        return [sum(part)]

    assert total(range(9)) == [3, 12, 21]

    @dview.remote(block=False)
    @ipp.require("re")
    def find(pattern, text):
        return re.findall(pattern, text)  # noqa: F821

    ar = find("[ab]", "abc")
    assert ar.get() == [["a", "b"]] * 4
print("done")
