"""The algorithms run against a fake worker: what crosses the border, and what comes back."""

import json
import os
import time

import pytest
from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)


class Feedback(QgsProcessingFeedback):
    """Keeps what is pushed."""

    def __init__(self):
        super().__init__(False)
        self.texts, self.infos, self.warnings, self.errors = [], [], [], []

    def setProgressText(self, text):
        self.texts.append(text)

    def pushInfo(self, info):
        self.infos.append(info)

    def pushWarning(self, warning):
        self.warnings.append(warning)

    def reportError(self, error, fatalError=False):  # noqa: N803
        self.errors.append(error)


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "Größe 3 in"
    folder.mkdir()
    return folder


@pytest.fixture
def image(place):
    return write_image(place / "ïmage 1.tif", "EPSG:32633", QgsRectangle(500000, 4500000, 500040, 4500030))


def write_image(path, crs, extent):
    writer = QgsRasterFileWriter(str(path))
    provider = writer.createOneBandRaster(Qgis.DataType.Byte, 40, 30, extent, QgsCoordinateReferenceSystem(crs))
    assert provider.isValid()
    provider.setEditable(False)
    return str(path)


def memory_polygons(count=3, crs="EPSG:32633"):
    layer = QgsVectorLayer(f"Polygon?crs={crs}&field=n:integer", "häuser", "memory")
    features = []
    for number in range(count):
        feature = QgsFeature(layer.fields())
        feature["n"] = number
        x = 500000 + 10 * number
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(x, 4500000, x + 8, 4500008)))
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    return layer


def run(provider, algorithm, parameters, feedback=None, context=None):
    instance = provider.algorithm(algorithm).create()
    context = context or QgsProcessingContext()
    context.setProject(QgsProject.instance())
    feedback = feedback or Feedback()
    results, succeeded = instance.run(parameters, context, feedback, {}, False)
    if not succeeded:  # what fails in prepareAlgorithm is only reported
        raise QgsProcessingException("\n".join(feedback.errors))
    return results


def refusal(provider, algorithm, parameters):
    accepted, message = provider.algorithm(algorithm).create().checkParameterValues(parameters, QgsProcessingContext())
    assert not accepted
    return message


def request(kept):
    return json.loads(kept.read_text(encoding="utf-8"))


def test_the_provider_offers_files_only_and_all_algorithms(provider):
    assert provider.id() == "building_segmenter"
    assert not provider.supportsNonFileBasedOutput()
    assert provider.defaultVectorFileExtension() == "gpkg"
    assert provider.defaultRasterFileExtension() == "tif"
    assert {algorithm.name() for algorithm in provider.algorithms()} == {
        "exporttrainingchips",
        "trainmodel",
        "segmentraster",
        "detectbuildings",
        "polygonizemask",
        "regularizefootprints",
        "extractbuildings",
        "describemodel",
        "exportmodel",
        "setupenvironment",
        "checkenvironment",
    }


def test_values_cross_the_border_and_the_results_come_back(provider, fake_worker, image, place):
    kept, feedback = fake_worker(), Feedback()
    output = str(place / "öut.gpkg")
    values = {"THRESHOLD": 0.4, "BANDS": [1], "TOLERANCE": 1.5, "INFERENCE_PRECISION": "f32", "THREADS": 2}
    results = run(provider, "extractbuildings", {"INPUT": image, "OUTPUT": output, **values}, feedback)
    assert results["OUTPUT"] == output
    sent = request(kept)
    assert sent["task"] == "extract"
    expected = {"threshold": 0.4, "bands": [1], "tolerance": 1.5, "inference_precision": "f32", "threads": 2}
    expected = {"input": image, "output": output, "min_area": 4.0, "method": "right-angles", **expected}
    assert {name: sent["options"][name] for name in expected} == expected
    assert sent["options"]["model"] is None and sent["options"]["probability"] is None
    assert feedback.texts == ["Reading", "Predicting (1 min left)"]
    assert feedback.infos == ["a fact", "count: 7"]
    assert feedback.warnings == ["a doubt"]


def test_an_extent_is_transformed_to_the_crs_of_the_raster(provider, fake_worker, image, place):
    kept = fake_worker()
    extent = "15.0,15.0002,40.65086,40.6510 [EPSG:4326]"
    run(provider, "segmentraster", {"INPUT": image, "OUTPUT": str(place / "p.tif"), "EXTENT": extent})
    xmin, ymin, xmax, ymax = request(kept)["options"]["extent"]
    assert (xmin, xmax) == pytest.approx((500000, 500017), abs=1)
    assert 4499990 < ymin < ymax < 4500040


def test_an_extent_beside_the_raster_is_refused(provider, fake_worker, image, place):
    fake_worker()
    with pytest.raises(QgsProcessingException, match=r"\[no-overlap\] EXTENT"):
        run(provider, "segmentraster", {"INPUT": image, "OUTPUT": str(place / "p.tif"), "EXTENT": "0,1,0,1"})


def test_a_layer_in_memory_is_exported(provider, fake_worker, place):
    kept = fake_worker()
    layer = memory_polygons()
    run(provider, "regularizefootprints", {"INPUT": layer, "OUTPUT": str(place / "r.gpkg")})
    assert features_of(request(kept)["options"]["input"]) == [0, 1, 2]


def test_only_selected_features_cross_the_border(provider, fake_worker, place):
    kept = fake_worker()
    layer = memory_polygons()
    layer.selectByIds([2, 3])
    QgsProject.instance().addMapLayer(layer)
    source = QgsProcessingFeatureSourceDefinition(layer.id(), True)
    run(provider, "regularizefootprints", {"INPUT": source, "OUTPUT": str(place / "r.gpkg")})
    QgsProject.instance().removeMapLayer(layer)
    assert features_of(request(kept)["options"]["input"]) == [1, 2]


def test_a_filter_on_a_file_is_kept(provider, fake_worker, place):
    kept = fake_worker()
    path = saved(memory_polygons(), place / "footprints ä.gpkg")
    layer = QgsVectorLayer(path, "filtered", "ogr")
    assert layer.setSubsetString('"n" > 0')
    run(provider, "regularizefootprints", {"INPUT": layer, "OUTPUT": str(place / "r.gpkg")})
    assert features_of(request(kept)["options"]["input"]) == [1, 2]


def memory_lines():
    layer = QgsVectorLayer("LineString?crs=EPSG:4326&field=n:integer", "straßen", "memory")
    features = []
    for number in range(3):
        feature = QgsFeature(layer.fields())
        feature["n"] = number
        feature.setGeometry(QgsGeometry.fromWkt(f"LINESTRING(15 {40 + number}, 15.1 {40 + number})"))
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    return layer


def test_lines_to_align_with_cross_the_border_like_polygons(provider, fake_worker, place):
    kept = fake_worker()
    lines = memory_lines()
    lines.selectByIds([1, 3])
    QgsProject.instance().addMapLayer(lines)
    values = {"ALIGNMENT": QgsProcessingFeatureSourceDefinition(lines.id(), True), "ALIGNMENT_TOLERANCE": 8.0}
    values |= {"DIRECTIONS": "12.5, 57.5", "NEIGHBOR_DISTANCE": 30}
    run(provider, "regularizefootprints", {"INPUT": memory_polygons(), "OUTPUT": str(place / "r.gpkg"), **values})
    QgsProject.instance().removeMapLayer(lines)
    sent = request(kept)["options"]
    assert features_of(sent["alignment"]) == [0, 2] and features_of(sent["input"]) == [0, 1, 2]
    assert (sent["alignment_tolerance"], sent["neighbor_distance"], sent["directions"]) == (8.0, 30.0, [12.5, 57.5])


def test_a_file_of_lines_is_named_and_points_are_refused(provider, fake_worker, place):
    kept = fake_worker()
    polygons, lines = saved(memory_polygons(), place / "p.gpkg"), saved(memory_lines(), place / "l.gpkg")
    run(provider, "regularizefootprints", {"INPUT": polygons, "ALIGNMENT": lines, "OUTPUT": str(place / "r.gpkg")})
    assert request(kept)["options"]["alignment"].startswith(lines)
    wrong = {"INPUT": polygons, "ALIGNMENT": str(place / "missing.gpkg"), "OUTPUT": str(place / "r.gpkg")}
    assert "ALIGNMENT" in refusal(provider, "regularizefootprints", wrong)
    text = {"INPUT": polygons, "DIRECTIONS": "north", "OUTPUT": str(place / "r.gpkg")}
    assert "DIRECTIONS" in refusal(provider, "regularizefootprints", text)


def test_a_layer_of_a_database_is_exported(provider, fake_worker, place):
    kept = fake_worker()
    path = saved(memory_polygons(), place / "base.sqlite", "SQLite", ["SPATIALITE=YES"])
    layer = QgsVectorLayer(f"dbname='{path}' table=\"base\" (geometry)", "base", "spatialite")
    if not layer.isValid():
        pytest.skip("this QGIS opens no SpatiaLite")
    run(provider, "regularizefootprints", {"INPUT": layer, "OUTPUT": str(place / "r.gpkg")})
    assert features_of(request(kept)["options"]["input"]) == [0, 1, 2]


def test_a_layer_of_a_file_is_named_and_not_copied(provider, fake_worker, place):
    kept = fake_worker()
    path = saved(memory_polygons(), place / "footprints ä.gpkg")
    source = f"{path}|layername=footprints ä"
    run(provider, "regularizefootprints", {"INPUT": source, "OUTPUT": str(place / "r.gpkg")})
    assert request(kept)["options"]["input"] == source


def test_several_folders_of_chips(provider, fake_worker, place):
    kept = fake_worker()
    run(provider, "trainmodel", {"DATASET": "a b; ç/d", "OUTPUT": str(place / "m.keras")})
    assert request(kept)["options"]["dataset"] == ["a b", "ç/d"]
    folder = place / "a;b"
    folder.mkdir()
    run(provider, "trainmodel", {"DATASET": str(folder), "OUTPUT": str(place / "m.keras")})
    assert request(kept)["options"]["dataset"] == [str(folder)]


def test_a_temporary_output_becomes_a_file(provider, fake_worker, image):
    kept = fake_worker()
    results = run(provider, "extractbuildings", {"INPUT": image, "OUTPUT": "TEMPORARY_OUTPUT"})
    assert results["OUTPUT"].endswith(".gpkg")
    assert os.path.isdir(os.path.dirname(results["OUTPUT"]))
    assert request(kept)["options"]["output"] == results["OUTPUT"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"THRESHOLD": 3}, "[invalid-parameter] THRESHOLD is 3.0: it must be at most 1."),
        ({"THRESHOLD": "much"}, "[invalid-parameter] THRESHOLD is 'much'"),
        ({"METHOD": "round"}, "[invalid-parameter] METHOD is 'round': it must be one of right-angles"),
        ({"BANDS": "1,x"}, "[invalid-parameter] BANDS"),
        ({"THREADS": 1.5}, "[invalid-parameter] THREADS"),
        ({"INPUT": "nowhere.tif"}, "[input-not-found] INPUT, nowhere.tif, does not exist."),
        ({"INPUT": __file__}, "[input-unreadable] INPUT"),
        ({"AREA": "nowhere.gpkg"}, "[input-not-found] AREA, nowhere.gpkg, does not exist."),
        ({"OUTPUT": "/no/such/folder/o.gpkg"}, "[output-not-writable] The folder /no/such/folder for OUTPUT"),
        ({"OUTPUT": "o.docx"}, "[output-not-writable] OUTPUT, o.docx, has the ending .docx"),
        ({"OUTPUT": "o"}, "[output-not-writable] OUTPUT, o, has the ending (none)"),
        ({"OUTPUT": "postgres:dbname=x table=y"}, "is not a file"),
        ({"PROBABILITY": "p.png"}, "[output-not-writable] PROBABILITY, p.png"),
        ({"MODEL": "nowhere.keras"}, "[input-not-found] MODEL, nowhere.keras, does not exist."),
    ],
)
def test_wrong_values_are_refused_before_the_run(provider, image, place, parameters, said):
    message = refusal(provider, "extractbuildings", {"INPUT": image, "OUTPUT": str(place / "o.gpkg"), **parameters})
    assert said in message
    assert len(message.splitlines()) >= 2, "no hint"


def test_a_missing_input_is_named(provider, place):
    assert "INPUT is missing" in refusal(provider, "extractbuildings", {"OUTPUT": str(place / "o.gpkg")})


def test_settings_that_contradict_each_other_are_refused(provider, place):
    parameters = {"DATASET": str(place), "OUTPUT": str(place / "m.keras"), "HEAD_EPOCHS": 9, "EPOCHS": 3}
    assert "[invalid-parameter] HEAD_EPOCHS is 9" in refusal(provider, "trainmodel", parameters)


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(provider, image, place):
    place.chmod(0o500)
    message = refusal(provider, "extractbuildings", {"INPUT": image, "OUTPUT": str(place / "o.gpkg")})
    place.chmod(0o700)
    assert "may not be written to" in message


def test_a_raster_that_is_no_file_is_refused(provider, fake_worker, place):
    fake_worker()
    layer = QgsRasterLayer("type=xyz&url=http://127.0.0.1:9/{z}/{x}/{y}.png", "tiles", "wms")
    with pytest.raises(QgsProcessingException, match="layer of the kind wms"):
        run(provider, "extractbuildings", {"INPUT": layer, "OUTPUT": str(place / "o.gpkg")})


def test_a_crs_that_only_the_project_knows_is_warned_of(provider, fake_worker, image, place):
    fake_worker()
    layer, feedback = QgsRasterLayer(image, "image"), Feedback()
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32634"))
    run(provider, "extractbuildings", {"INPUT": layer, "OUTPUT": str(place / "o.gpkg")}, feedback)
    assert "EPSG:32634" in feedback.warnings[0]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("error", r"\[crs-missing\] The image has no CRS.\nGive GSD."),
        (
            "internal",
            r"(?s)\[internal\] ValueError: odd\nPlease report it.\nThe engine's last lines:\nline 100.*line 299",
        ),
        ("killed", r"\[worker-failed\] The engine was killed by the signal SIGKILL"),
        ("old", r"\[worker-failed\] The engine is version 0.0.1"),
        ("crash", r"(?s)\[worker-failed\] The engine ended with status 3.*Fatal: no such library"),
    ],
)
def test_a_failure_ends_the_algorithm_with_code_cause_and_hint(provider, fake_worker, image, place, mode, said):
    fake_worker(mode)
    with pytest.raises(QgsProcessingException, match=said):
        run(provider, "extractbuildings", {"INPUT": image, "OUTPUT": str(place / "o.gpkg")})
    assert sorted(path.suffix for path in place.iterdir() if path.name != "ïmage 1.tif.aux.xml") == [".tif"]


def test_cancel_ends_the_algorithm_and_the_worker(provider, fake_worker, image, place, tmp_path):
    fake_worker("obedient")

    class Cancelling(Feedback):
        def setProgressText(self, text):
            self.cancel()

    began = time.monotonic()
    with pytest.raises(QgsProcessingException, match=r"\[cancelled\]"):
        run(provider, "extractbuildings", {"INPUT": image, "OUTPUT": str(place / "o.gpkg")}, Cancelling())
    assert time.monotonic() - began < 3.0
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not list(place.glob(".*.tmp"))


def test_without_an_engine_the_next_step_is_told(provider, image, place, monkeypatch, tmp_path):
    monkeypatch.delenv("BUILDING_SEGMENTER_PYTHON", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.raises(QgsProcessingException, match=r"(?s)\[engine-not-found\].*Run Set up environment"):
        run(provider, "extractbuildings", {"INPUT": image, "OUTPUT": str(place / "o.gpkg")})


def test_footprints_are_loaded_with_a_style(provider, fake_worker, image, place):
    fake_worker()
    layer = QgsVectorLayer("Polygon?crs=EPSG:32633&field=status:integer", "f", "memory")
    output = saved(layer, place / "styled.gpkg")
    context = QgsProcessingContext()
    wanted = QgsProcessingOutputLayerDefinition(output, QgsProject.instance())
    run(provider, "extractbuildings", {"INPUT": image, "OUTPUT": wanted}, context=context)
    processor = context.layerToLoadOnCompletionDetails(output).postProcessor()
    loaded = QgsVectorLayer(output, "f", "ogr")
    processor.postProcessLayer(loaded, context, Feedback())
    assert [category.value() for category in loaded.renderer().categories()] == [0, 1]
    assert loaded.renderer().classAttribute() == "status"


def test_an_output_that_qgis_cannot_open_is_not_loaded_but_said(provider, fake_worker, image, place):
    fake_worker()
    output, feedback, context = place / "f.parquet", Feedback(), QgsProcessingContext()
    output.write_bytes(b"PAR1 of a driver that is not there")
    wanted = QgsProcessingOutputLayerDefinition(str(output), QgsProject.instance())
    results = run(provider, "extractbuildings", {"INPUT": image, "OUTPUT": wanted}, feedback, context)
    assert results["OUTPUT"] == str(output)
    assert not context.willLoadLayerOnCompletion(str(output))
    assert "is written, but this QGIS cannot open" in feedback.warnings[-1]


def test_unsaved_edits_are_warned_of(provider, fake_worker, place):
    feedback = Feedback()
    fake_worker()
    layer = QgsVectorLayer(saved(memory_polygons(), place / "edited.gpkg"), "edited", "ogr")
    assert layer.startEditing() and layer.deleteFeature(1)
    run(provider, "regularizefootprints", {"INPUT": layer, "OUTPUT": str(place / "r.gpkg")}, feedback)
    layer.rollBack()
    assert "edited has unsaved edits" in feedback.warnings[0]


def test_probabilities_are_loaded_with_a_ramp(provider, fake_worker, image, place):
    fake_worker()
    output = write_image(place / "p.tif", "EPSG:32633", QgsRectangle(0, 0, 40, 30))
    context = QgsProcessingContext()
    wanted = QgsProcessingOutputLayerDefinition(output, QgsProject.instance())
    run(provider, "segmentraster", {"INPUT": image, "OUTPUT": wanted}, context=context)
    loaded = QgsRasterLayer(output, "p")
    context.layerToLoadOnCompletionDetails(output).postProcessor().postProcessLayer(loaded, context, Feedback())
    assert loaded.renderer().type() == "singlebandpseudocolor"
    assert (loaded.renderer().classificationMin(), loaded.renderer().classificationMax()) == (0.0, 1.0)


def saved(layer, path, driver="GPKG", database_options=()):
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = path.stem
    options.driverName, options.datasourceOptions = driver, list(database_options)
    written = QgsVectorFileWriter.writeAsVectorFormatV2(
        layer, str(path), QgsProject.instance().transformContext(), options
    )
    assert written[0] == 0, written
    return str(path)


def features_of(source):
    layer = QgsVectorLayer(source, "read back", "ogr")
    assert layer.isValid(), source
    return sorted(feature["n"] for feature in layer.getFeatures())
