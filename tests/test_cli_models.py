"""The commands of models: the model may be left out, and what is printed is what the task tells."""

import json

import pytest

from building_segmenter import cli, engine, tasks


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line on an engine that does nothing; returns its status, output, and the tasks it was given."""

    def run(*words):
        given = []
        monkeypatch.setattr(engine, "run", lambda task, progress: given.append(task) or {"output": task.output})
        with pytest.raises(SystemExit) as ended:
            cli.main(list(words))
        return ended.value.code, capsys.readouterr(), given

    return run


@pytest.mark.parametrize(("name", "kind"), [("describe", tasks.DescribeModel), ("export", tasks.ExportModel)])
def test_the_model_comes_first_and_may_be_left_out(command, name, kind):
    ending = {"describe": "out.html", "export": "out.onnx"}[name]
    status, said, given = command("model", name, "mine.keras", ending, "--json")
    assert (status, given) == (0, [kind(model="mine.keras", output=ending)])
    assert json.loads(said.out) == {"output": ending}
    assert command("model", name, ending)[2] == [kind(output=ending)]


@pytest.mark.parametrize("words", [(), ("a.keras", "b.keras", "out.html")])
def test_other_numbers_of_words_are_refused(command, words):
    status, said, given = command("model", "describe", *words)
    assert (status, given) == (2, [])
    assert "Error [invalid-parameter]" in said.err and "model describe --help" in said.err


def test_the_model_stays_an_option_where_the_image_comes_first(command):
    _, _, given = command("segment", "in.tif", "out.tif", "--model", "mine.keras")
    assert given == [tasks.SegmentRaster(input="in.tif", output="out.tif", model="mine.keras")]
