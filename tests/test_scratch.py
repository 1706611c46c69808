import pytest

from building_segmenter import scratch
from building_segmenter.errors import OutputNotWritableError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_whole(tmp_path):
    with scratch.new_output(tmp_path / "a.txt") as path:
        path.write_text("half")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "half"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_leaves_the_earlier_result(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyError), scratch.new_output(tmp_path / "a.txt") as path:
        path.write_text("new")
        raise KeyError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_files_beside_the_main_one_move_with_it(tmp_path):
    with scratch.new_output(tmp_path / "a.shp") as path:
        for ending in (".shp", ".dbf", ".shx"):
            path.with_suffix(ending).write_text(ending)
    assert names(tmp_path) == ["a.dbf", "a.shp", "a.shx"]


def test_the_next_run_removes_what_a_killed_one_left(tmp_path):
    left = tmp_path / ".a.txt.0123abcd.tmp"
    left.mkdir()
    (left / "a.txt").write_text("half")
    with scratch.new_output(tmp_path / "a.txt") as path:
        assert not left.exists()
        path.write_text("whole")
    assert names(tmp_path) == ["a.txt"]


def test_names_with_brackets_do_not_confuse_the_clean_up(tmp_path):
    left = tmp_path / ".a[1].txt.0123abcd.tmp"
    left.mkdir()
    with scratch.new_output(tmp_path / "a[1].txt") as path:
        path.write_text("whole")
    assert names(tmp_path) == ["a[1].txt"]


def test_the_scratch_of_a_neighbour_with_a_longer_name_is_left_alone(tmp_path):
    running = tmp_path / ".tile.gpkg.0123abcd.tmp"
    running.mkdir()
    with scratch.new_folder(tmp_path / "tile", "made.json"):
        assert running.exists()


def test_the_side_folder_of_a_killed_run_goes_too(tmp_path):
    (tmp_path / ".a.gpkg.side.0123abcd.tmp").mkdir()
    with scratch.new_output(tmp_path / "a.gpkg") as path:
        path.write_text("whole")
    assert names(tmp_path) == ["a.gpkg"]


def test_everything_of_this_process_goes_when_it_is_cut_off(tmp_path):
    with scratch.new_output(tmp_path / "a.txt") as path:
        path.write_text("half")
        with scratch.side_folder(tmp_path / "a.txt") as side:
            (side / "b").write_text("b")
            scratch.remove_scratch()
            assert names(tmp_path) == []
            path.parent.mkdir()
            path.write_text("half")


@pytest.mark.parametrize("name", ["no/such/folder.txt", "folder"])
def test_places_that_cannot_be_written(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputNotWritableError) as caught, scratch.new_output(tmp_path / name):
        pass
    assert caught.value.hint
    assert names(tmp_path) == ["folder"]


def test_nothing_written_is_not_passed_off_as_a_result(tmp_path):
    with pytest.raises(OutputNotWritableError, match="was not written"), scratch.new_output(tmp_path / "a.txt"):
        pass
