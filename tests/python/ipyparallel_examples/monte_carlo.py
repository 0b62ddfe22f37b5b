"""Prices of options by simulation, on a grid of strikes and volatilities, one task for each point."""

from math import exp, sqrt

import numpy as np

from ipclusterz import ipyparallel as ipp

PATHS, DAYS = 2000, 30


def price_option(S=100.0, K=100.0, sigma=0.25, r=0.05, days=260, paths=10000):
    """A European call, whose paths are drawn in the engine's namespace."""
    rng = np.random.default_rng(1)
    h = 1.0 / days
    steps = rng.standard_normal((paths, days))
    prices = S * np.exp(np.cumsum((r - sigma**2 / 2) * h + sigma * sqrt(h) * steps, axis=1)[:, -1])
    return exp(-r * h * days) * float(np.maximum(prices - K, 0).mean())


cluster = ipp.Cluster(n=2)
rc = cluster.start_and_connect_sync()
rc.wait_for_engines(2)
with rc[:].sync_imports():
    from math import exp, sqrt

    import numpy as np

view = rc.load_balanced_view()
strikes, sigmas = np.linspace(90, 110, 3), np.linspace(0.1, 0.3, 2)
async_results = []
for strike in strikes:
    for sigma in sigmas:
        async_results.append(view.apply_async(price_option, 100.0, strike, sigma, 0.05, DAYS, PATHS))
print("Submitted tasks:", len(async_results))
assert rc.wait(async_results, timeout=30)
prices = np.array([ar.get() for ar in async_results]).reshape(3, 2)
# Worth less with a higher strike, and more with a higher volatility.
assert (np.diff(prices, axis=0) < 0).all(), prices
assert (np.diff(prices, axis=1) > 0).all(), prices
engines = {ar.engine_id for ar in async_results}
assert engines <= {0, 1}
cluster.stop_cluster_sync()
print("done")
