"""Digits of pi counted on engines, and their counts summed up here; names move to and from the engines."""

from ipclusterz import ipyparallel as ipp


def one_digit_counts(digits):
    counts = [0] * 10
    for digit in digits:
        counts[int(digit)] += 1
    return counts


def digits_of_pi(start, n):
    """By Gibbons' spigot."""
    q, r, t, k, m, x = 1, 0, 1, 1, 3, 3
    found = ""
    while len(found) < start + n:
        if 4 * q + r - t < m * t:
            found += str(m)
            q, r, m = 10 * q, 10 * (r - m * t), (10 * (3 * q + r)) // t - 10 * m
        else:
            q, r, t, k, m, x = q * k, (2 * q + r) * x, t * x, k + 1, (q * (7 * k + 2) + r * x) // (t * x), x + 2
    return found[start:]


with ipp.Cluster(n=3) as rc:
    view = rc[:]
    view.block = True
    view.push({"one_digit_counts": one_digit_counts, "digits_of_pi": digits_of_pi})
    assert view.apply(lambda: digits_of_pi(0, 4)) == ["3141"] * 3
    view.scatter("start", range(0, 300, 100), flatten=True)
    view.execute("counts = one_digit_counts(digits_of_pi(start, 100))")
    counts = [sum(column) for column in zip(*view["counts"])]
    assert counts == one_digit_counts(digits_of_pi(0, 300))
    view["a"], view["b"] = "foo", [1]
    assert view.gather("a", block=True) == ["foo"] * 3
    assert view.pull(("a", "b")) == [["foo", [1]]] * 3
    try:
        view.execute("1 / (start - 100)")
    except ipp.CompositeError as e:
        (error,) = e.elist
        assert error[0] == "ZeroDivisionError"
        assert error[3]["engine_id"] == 1
    else:
        raise AssertionError("nothing was raised")
print("done")
