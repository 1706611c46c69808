"""Which chips an epoch sees."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.training.sampling import draw_epoch, kinds_of


def drawn(built, draws, seed=0):
    kinds = kinds_of([np.array(chips, bool).reshape(-1, 1) for chips in built])
    return draw_epoch(kinds, draws, np.random.default_rng(seed))


@given(
    built=st.lists(st.lists(st.booleans(), max_size=30), min_size=1, max_size=4).filter(lambda b: any(map(len, b))),
    draws=st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_draws_exactly_as_many_chips_as_asked_and_all_exist(built, draws, seed):
    picks = drawn(built, draws, seed)
    assert len(picks) == draws
    assert all(0 <= chip < len(built[dataset]) for dataset, chip in picks)


def test_same_seed_same_draws():
    built = [[True] * 9 + [False] * 9, [True] * 3]
    assert drawn(built, 21, 5) == drawn(built, 21, 5)
    assert drawn(built, 21, 5) != drawn(built, 21, 6)


def test_empty_chips_are_at_most_a_fifth_however_many_there_are():
    picks = drawn([[True] * 10 + [False] * 990], 100)
    assert sum(chip >= 10 for _, chip in picks) == 20


def test_few_empty_chips_keep_their_natural_share():
    picks = drawn([[True] * 90 + [False] * 10], 100)
    assert sum(chip >= 90 for _, chip in picks) == 10


def test_chips_are_drawn_once_before_any_is_drawn_again():
    counts = Counter(chip for _, chip in drawn([[True] * 40], 100))
    assert set(counts.values()) == {2, 3}
    assert len(counts) == 40


def test_small_dataset_counts_by_the_root_of_its_size():
    counts = Counter(dataset for dataset, _ in drawn([[True] * 100, [True] * 400], 300))
    assert counts == {0: 100, 1: 200}


def test_datasets_of_empty_chips_only_still_train():
    assert len(drawn([[False] * 7], 20)) == 20


def test_the_kind_of_a_chip_is_the_rarest_thing_it_shows():
    common, rare = [True, False, False], [True, False, True]
    shown = [np.array([common, common, [False] * 3]), np.array([rare, [False, True, False], [True, True, True]])]
    assert [list(kinds) for kinds in kinds_of(shown)] == [[1, 1, 0], [3, 2, 2]]


def test_rare_kinds_are_drawn_by_the_root_of_their_numbers():
    kinds = [np.array([1] * 64 + [2] * 4 + [3] * 16 + [0] * 16)]
    counts = Counter(int(kinds[0][chip]) for _, chip in draw_epoch(kinds, 1000, np.random.default_rng(0)))
    # 16 of 100 are empty; the others share the rest as 8 to 2 to 4.
    assert counts == {1: 480, 2: 120, 3: 240, 0: 160}


@given(kinds=st.lists(st.lists(st.integers(0, 4), max_size=20), min_size=1, max_size=3).filter(lambda k: any(k)))
def test_kinds_of_any_number_give_as_many_draws_as_asked(kinds):
    picks = draw_epoch([np.array(chips, np.int64) for chips in kinds], 37, np.random.default_rng(1))
    assert len(picks) == 37
    assert all(0 <= chip < len(kinds[dataset]) for dataset, chip in picks)
