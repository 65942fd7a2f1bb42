"""The payments generator at the book's full size gives the book's own numbers."""

import numpy as np

from producers.simulate.handbook import Recipe, generate


def test_the_books_check_sums() -> None:
    """1,754,155 payments, 14,681 frauds, counted per scenario as in the book, and the same first row."""
    payments = generate(Recipe())
    assert len(payments) == 1_754_155
    assert payments.is_fraud.sum() == 14_681
    assert payments.counted == (978, 9_099, 4_604)
    assert np.bincount(payments.scenario)[1:].tolist() == [973, 9_077, 4_631]
    assert len(np.unique(payments.customer)) == 4_990
    assert np.count_nonzero(payments.amount_cents == 0) == 42
    first = (payments.customer[0], payments.terminal[0], payments.amount_cents[0], payments.second[0])
    assert first == (596, 3_156, 5_716, 31)
