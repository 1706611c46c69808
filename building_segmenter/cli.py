"""The command line: one command a task, its arguments and options made from the task's declaration."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from building_segmenter import __version__, engine, scratch, tasks
from building_segmenter.errors import BuildingSegmenterError, CancelledError, ImagesFailedError, InvalidParameterError
from building_segmenter.interrupts import Interrupts
from building_segmenter.plugin.environment.check import check_environment, write_report
from building_segmenter.plugin.environment.setup import setup_environment
from building_segmenter.plugin.process.launch import worker_environment
from building_segmenter.progress import Progress
from building_segmenter.terminal import TerminalListener, TerminalSink

_BY_PLACE = tuple(kind for kind in tasks.INPUT_KINDS if kind != "model")
_TYPES: dict[str, Any] = {"integer": int, "number": float, "distance": float, "area": float, "fraction": float}


class _Commands(click.Group):
    """Tells mistakes in what was typed like all other errors: with a code, and with what to do next."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line and end the process."""
        try:
            status = super().main(*args, **kwargs | {"standalone_mode": False})
        except NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(error.exit_code)
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "building-segmenter"
            hint = f"Try '{path} --help'."
            sys.exit(_report(InvalidParameterError(error.format_message(), hint)))
        except click.Abort:
            sys.exit(CancelledError.exit_status)
        sys.exit(status if isinstance(status, int) else 0)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="building-segmenter")
def main() -> None:
    """From an aerial image to clean building footprints."""


def run_task(task: tasks.Task, as_json: bool) -> None:
    """Run a task in this terminal and end the process with its exit status.

    Ctrl-C stops the task within a moment and leaves nothing half-made; a second one ends the process at once.
    """
    interrupts = Interrupts()
    with TerminalSink() as sink:
        result, status = _outcome(task, Progress(sink, interrupts.cancelled), sink)
    interrupts.status = status
    if result is not None:
        click.echo(json.dumps(result) if as_json else _as_lines(result))
    sys.exit(status)


def _outcome(task: tasks.Task, progress: Progress, sink: TerminalSink) -> tuple[dict[str, Any] | None, int]:
    try:
        return engine.run(task, progress), 0
    except ImagesFailedError as error:
        return error.result, _report(error)
    except BuildingSegmenterError as error:
        return None, _report(error)
    except MemoryError:
        click.echo("Error [out-of-memory]: the machine has too little memory for this task.", err=True)
        return None, 1
    except Exception:
        sink.log(traceback.format_exc())
        click.echo("Error [internal]: this is a mistake of ours. Please report it with the lines above.", err=True)
        return None, 1
    finally:
        scratch.remove_scratch()


def _report(error: BuildingSegmenterError) -> int:
    click.echo(f"Error [{error.code}]: {error.message}", err=True)
    if error.hint:
        click.echo(error.hint, err=True)
    return error.exit_status


def _as_lines(result: dict[str, Any]) -> str:
    # Each of many images was told of at its turn; all that is known of them is in the record, and in --json.
    of_images = ("done", "skipped", "failed") if "images" in result else ()
    return "\n".join(f"{key}: {len(value) if key in of_images else value}" for key, value in result.items())


@main.group()
def environment() -> None:
    """Set up and check the Python environment that the QGIS plugin uses."""


@environment.command("setup")
@click.option("--python", help="A Python 3.11 to 3.13 to build it with; by default the first that is found.")
@click.option("--profile", type=click.Choice(["predict", "train"]), default="predict", show_default=True)
@click.option("--bundle", help="Folder of wheels to install from instead of the network.")
def environment_setup(python: str | None, profile: str, bundle: str | None) -> None:
    """Build the managed environment beside an earlier one, check it, and switch to it."""

    def work(listener: TerminalListener) -> int:
        made = setup_environment(worker_environment(os.environ, sys.platform), listener, profile, python, bundle)
        click.echo(f"python: {made}")
        return 0

    _with_listener(work)


@environment.command("check")
@click.option("--report", help="HTML page to write.")
def environment_check(report: str | None) -> None:
    """Report versions, paths, and what is wrong with the environment that this command runs in."""

    def work(listener: TerminalListener) -> int:
        environ = worker_environment(os.environ, sys.platform)
        found = check_environment(environ, listener, sys.executable, environ)
        click.echo(found.as_text())
        if report:
            write_report(found, report)
        return 0 if found.works else 1

    _with_listener(work)


def _with_listener(work: Callable[[TerminalListener], int]) -> None:
    interrupts = Interrupts()
    with TerminalSink() as sink:
        try:
            status = work(TerminalListener(sink, interrupts.cancelled))
        except BuildingSegmenterError as error:
            status = _report(error)
    sys.exit(status)


def _command(name: str, task: type[tasks.Task]) -> click.Command:
    parameters: list[click.Parameter] = []
    positionals = _positionals(task)
    for field, option in tasks.options_of(task).items():
        make = _argument if field in positionals else _option
        parameters.append(make(field, option, tasks.default_of(task, field)))
    parameters.append(click.Option(["--json", "as_json"], is_flag=True, help="Print the result as one line of JSON."))

    def run(as_json: bool, **values: Any) -> None:
        try:
            given = {key: value for key, value in values.items() if value not in (None, ())}
            built = tasks.build_task(name, _with_images(given))
        except BuildingSegmenterError as error:
            sys.exit(_report(error))
        run_task(built, as_json)

    arguments = [f"{field.upper()}: {option.help}" for field, option in positionals.items()]
    text = f"{task.__doc__}\n\n" + "\n\n".join(arguments)
    return click.Command(name.split()[-1], callback=run, params=parameters, help=text, short_help=task.__doc__)


def _with_images(given: dict[str, Any]) -> dict[str, Any]:
    """Return options in which more than one word in the place of the input are images, as a shell's pattern gives."""
    words = given.get("input")
    if not isinstance(words, tuple):
        return given
    if len(words) == 1:
        return given | {"input": words[0]}
    rest = {key: value for key, value in given.items() if key != "input"}
    return rest | {"images": (*words, *given.get("images", ()))}


def _positionals(task: type[tasks.Task]) -> dict[str, tasks.Option]:
    """Return what is given by place: required inputs but models, the input that a task begins with, and its output."""
    options = tasks.options_of(task)
    return {
        field: option
        for field, option in options.items()
        if (option.required and (option.kind in _BY_PLACE or field == "output"))
        or (option.kind in tasks.INPUT_KINDS and field == next(iter(options)))
    }


def _argument(field: str, option: tasks.Option, default: Any) -> click.Parameter:
    if option.kind == "raster" and not option.required:
        return click.Argument([field], required=False, nargs=-1, metavar=f"[{field.upper()}]...")
    if not option.required:
        # Only so does click give a single word to what comes after it.
        return click.Argument([field], required=False, nargs=-1, metavar=f"[{field.upper()}]", callback=_one_or_none)
    return click.Argument([field], required=True, nargs=-1 if option.kind == "folders" else 1)


def _one_or_none(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> str | None:
    if len(words) > 1:
        raise click.UsageError(f"Too many arguments: {', '.join(words[1:])}", context)
    return words[0] if words else None


def _option(field: str, option: tasks.Option, default: Any) -> click.Parameter:
    flag = "--" + field.replace("_", "-")
    unit = f" [{option.unit}]" if option.unit else ""
    if option.kind == "flag":
        return click.Option([f"{flag}/--no-{flag[2:]}", field], default=default, show_default=True, help=option.help)
    facts: dict[str, Any] = {"help": option.help + unit, "default": default, "show_default": default is not None}
    if option.kind == "choice":
        facts["type"] = click.Choice(option.choices)
    elif option.kind == "extent":
        facts |= {"nargs": 4, "type": float, "metavar": "XMIN YMIN XMAX YMAX"}
    elif option.kind == "rasters":
        facts |= {"multiple": True, "metavar": "IMAGE"}
    elif option.kind == "bands":
        facts |= {"metavar": "B,B,..."}
    else:
        facts["type"] = _TYPES.get(option.kind, str)
    return click.Option([flag, field], **facts)


@main.group("model")
def _model() -> None:
    """Tell what a model is, and export it for other programs."""


for _name, _task in tasks.TASKS.items():
    (_model if _name.startswith("model ") else main).add_command(_command(_name, _task))
