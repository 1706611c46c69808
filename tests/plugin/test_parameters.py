"""The algorithms' parameters say what `tasks` says."""

import functools

import pytest
from qgis.core import (
    QgsProcessingDestinationParameter,
    QgsProcessingParameterBand,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterDistance,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
)

from building_segmenter import tasks
from building_segmenter.plugin.algorithms import ALGORITHMS
from building_segmenter.plugin.algorithms.base import TaskAlgorithm

TASK_ALGORITHMS = {algorithm.TASK: algorithm for algorithm in ALGORITHMS if issubclass(algorithm, TaskAlgorithm)}
OPTIONS = [(task, name) for task, kind in tasks.TASKS.items() for name in tasks.options_of(kind)]


@functools.cache
def made(algorithm):
    """An instance that is kept, since its parameters live no longer than it does."""
    return algorithm().create()


def definition_and_option(task, name):
    definition = made(TASK_ALGORITHMS[task]).parameterDefinition(name.upper())
    return definition, tasks.options_of(tasks.TASKS[task])[name], tasks.default_of(tasks.TASKS[task], name)


def test_every_task_has_an_algorithm():
    assert set(TASK_ALGORITHMS) == set(tasks.TASKS)


@pytest.mark.parametrize("task", tasks.TASKS)
def test_an_algorithm_has_the_parameters_of_its_task_and_no_others(task):
    names = {definition.name() for definition in made(TASK_ALGORITHMS[task]).parameterDefinitions()}
    assert names == {name.upper() for name in tasks.options_of(tasks.TASKS[task])}


@pytest.mark.parametrize(("task", "name"), OPTIONS)
def test_a_parameter_has_the_default_limits_and_help_of_its_option(task, name):
    definition, option, default = definition_and_option(task, name)
    if isinstance(definition, QgsProcessingDestinationParameter):
        assert definition.createByDefault() == option.required
    else:
        assert definition.defaultValue() == default
    assert definition.help() == option.help
    assert definition.description().startswith(option.label)
    flags = QgsProcessingParameterDefinition.Flag
    assert bool(definition.flags() & flags.FlagAdvanced) == option.advanced
    assert bool(definition.flags() & flags.FlagOptional) == (
        (not option.required and default is None) or isinstance(definition, QgsProcessingParameterBand)
    )
    if isinstance(definition, QgsProcessingParameterNumber):
        assert option.minimum is None or definition.minimum() == option.minimum
        assert option.maximum is None or definition.maximum() == option.maximum
    if isinstance(definition, QgsProcessingParameterEnum):
        assert definition.usesStaticStrings()
        assert tuple(definition.options()) == option.choices


@pytest.mark.parametrize(("task", "name"), OPTIONS)
def test_distances_are_metres_and_bands_belong_to_the_raster(task, name):
    definition, option, _ = definition_and_option(task, name)
    if option.kind == "distance":
        assert isinstance(definition, QgsProcessingParameterDistance)
        assert definition.parentParameterName() == ""
        assert int(definition.defaultUnit()) == 0
    elif option.kind == "bands":
        assert definition.parentLayerParameterName() == "INPUT"
        assert definition.allowMultiple()
    elif option.kind == "folders":
        assert definition.behavior() == QgsProcessingParameterFile.Behavior.Folder
    else:
        assert not isinstance(definition, QgsProcessingParameterDistance)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_explains_itself(algorithm):
    instance = made(algorithm)
    assert instance.name() == algorithm.ID
    assert instance.displayName() and instance.group() and len(instance.tags()) > 3
    assert not instance.icon().isNull()
    described = instance.shortHelpString()
    assert len(described) > 300
    for definition in instance.parameterDefinitions():
        assert definition.help() and definition.help() in described
