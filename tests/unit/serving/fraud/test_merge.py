"""Many partitions, one order."""

from serving.fraud.merge import SILENT_S, Entry, Merge

A, B = ("t", 0), ("t", 1)


def rows(place, *times):
    return [Entry(place, number, (at, 0), None) for number, at in enumerate(times)]


def merge(now=lambda: 0.0):
    made = Merge[None](now)
    made.assign([A, B])
    return made


def times(taken):
    return [entry.order[0] for entry in taken]


def test_nothing_passes_a_partition_that_has_more_to_give():
    """What is later than the last record of an unfinished partition waits for its next one."""
    made = merge()
    made.add(rows(A, 10, 20, 30) + rows(B, 15))
    assert times(made.take(10, lambda place, last: False)) == [10, 15]
    made.add([Entry(B, 1, (40, 0), None)])
    assert times(made.take(10, lambda place, last: False)) == [20, 30]


def test_an_unseen_partition_holds_everything():
    """Until a partition has shown its first record nothing is known of its times."""
    made = merge()
    made.add(rows(A, 10, 20))
    assert made.take(10, lambda place, last: False) == []
    assert made.waiting == 2


def test_at_the_end_of_all_partitions_nothing_waits():
    """A caught-up loop gives all it has, in order of writing."""
    made = merge()
    made.add(rows(A, 10, 30) + rows(B, 20))
    assert times(made.take(10, lambda place, last: True)) == [10, 20, 30]


def test_a_batch_has_a_limit_and_loses_nothing():
    """What a batch has no room for comes with the next."""
    made = merge()
    made.add(rows(A, 1, 3, 5) + rows(B, 2, 4, 6))
    taken = [times(made.take(4, lambda place, last: True)) for _ in range(2)]
    assert taken == [[1, 2, 3, 4], [5, 6]]


def test_a_silent_partition_does_not_hold_the_others_for_ever():
    """Control records move the end of a partition and are never shown."""
    clock = [0.0]
    made = merge(lambda: clock[0])
    made.add(rows(A, 10))
    assert made.take(10, lambda place, last: False) == []
    clock[0] = SILENT_S + 0.1
    assert times(made.take(10, lambda place, last: False)) == [10]
