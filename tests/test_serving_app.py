"""What a client of the server gets: the answers of the predictor, problems, metrics, the page."""

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from serve_hostile import image_bytes
from tapetum.errors import InputError
from tapetum.images import encode_frames, read_image
from tapetum.noise import Gaussian
from tapetum.runtime import BrightnessRange, Package, write_package
from tapetum.scores import ScoreRow, Scores
from tapetum.serving import Limits, ModelOptions, Service, Tokens, open_models
from tiny_package import tiny_package
from tiny_server import (
    PREDICT,
    client_of,
    packages,
    predictor_of,
    service_of,
)

PNG = {"Content-Type": "image/png"}
JSON_PROBLEM = "application/problem+json"
TOKEN = "a-token-of-the-tests-0123456789"  # noqa: S105 - guards nothing
IMAGES = {
    "grey of 8 bits": image_bytes(),
    "grey of 16 bits": image_bytes(mode="I;16"),
    "colour": image_bytes("JPEG", "RGB"),
    "colour with alpha": image_bytes(mode="RGBA"),
    "floats": image_bytes("TIFF", "F"),
}


@pytest.fixture(scope="module")
def opened() -> dict[str, Package]:
    """The packages of the server."""
    return packages()


@pytest.fixture(scope="module")
def service(opened: dict[str, Package]) -> Service:
    """A server without tokens, whose images have at most 10,000 pixels and 0.1 MiB."""
    return service_of(opened, Limits(max_mib=0.1, max_megapixels=0.01))


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[TestClient]:
    """Its client."""
    with client_of(service) as client:
        yield client


def problem_of(response: Any, status: int) -> str:
    """The detail of a problem, whose status is as expected."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == JSON_PROBLEM
    problem = response.json()
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    return str(problem["detail"])


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize(
    ("model", "mode"),
    [(model, mode) for model in ("grey", "colour") for mode in ("label", "image", "both")]
    + [("denoiser", "image"), ("classifier", "label")],
)
def test_an_answer_is_that_of_the_predictor(
    client: TestClient, opened: dict[str, Package], model: str, mode: str, kind: str
) -> None:
    """Labels, probabilities, pixels and warnings are equal, to the bit."""
    expected = predictor_of(opened[model], mode)(IMAGES[kind])
    response = client.post(
        f"{PREDICT}?model={model}&mode={mode}", content=IMAGES[kind], headers=PNG
    )
    assert response.status_code == 200, response.text
    answer = response.json()
    for name in ("labels", "confidences", "by_class", "warnings"):
        assert answer[name] == list(getattr(expected, name))
    assert (answer["passes"], answer["tiled"]) == (expected.passes, expected.tiled)
    assert (answer["image"] is None) == (expected.denoised is None)
    if expected.denoised is not None:
        is_float = expected.denoised.bit_depth == 32
        assert answer["image"]["media_type"] == ("image/tiff" if is_float else "image/png")
        content = base64.b64decode(answer["image"]["base64"])
        suffix = ".tif" if is_float else ".png"
        assert content == b"".join(encode_frames([expected.denoised], suffix, 1))


def test_a_form_and_a_raw_body_give_one_answer(client: TestClient) -> None:
    """The name of the file and the type that the client states change nothing."""
    content = image_bytes()
    form = client.post(f"{PREDICT}?model=grey", files={"image": ("../../etc/passwd", content)})
    raw = client.post(f"{PREDICT}?model=grey", content=content)
    stated = client.post(
        f"{PREDICT}?model=grey", content=content, headers={"Content-Type": "image/jpeg"}
    )
    timings = {"latency_ms", "prepare_ms"}
    answers = [
        {name: value for name, value in each.json().items() if name not in timings}
        for each in (form, raw, stated)
    ]
    assert answers[0]["labels"]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("way", ["query", "header"])
def test_an_image_is_sent_where_it_is_asked_for(
    client: TestClient, opened: dict[str, Package], way: str
) -> None:
    """By the query or the Accept header; its label is in a header."""
    headers = {"Accept": "text/html;q=0.9, image/*;q=0.8"} if way == "header" else {}
    query = f"{PREDICT}?model=grey" + ("&answer=png" if way == "query" else "")
    response = client.post(query, content=image_bytes(), headers={**PNG, **headers})
    expected = predictor_of(opened["grey"], "both")(image_bytes())
    assert response.headers["content-type"] == "image/png"
    assert expected.denoised is not None
    assert response.content == b"".join(encode_frames([expected.denoised], ".png", 1))
    assert response.headers["tapetum-labels"] == expected.label
    assert float(response.headers["tapetum-confidences"]) == expected.confidence


def test_floats_are_sent_as_tiff(client: TestClient) -> None:
    """PNG cannot keep them and is refused; TIFF is as exact as the prediction."""
    content = image_bytes("TIFF", "F")
    refused = client.post(f"{PREDICT}?model=grey&answer=png", content=content, headers=PNG)
    assert "image/tiff" in problem_of(refused, 406)
    sent = client.post(f"{PREDICT}?model=grey&answer=tiff", content=content, headers=PNG)
    assert read_image(sent.content).bit_depth == 32


def test_boxes_are_classified(client: TestClient, opened: dict[str, Package]) -> None:
    """Each box has a label, as from the predictor."""
    boxes = [[0, 0, 9, 9], [3.5, 2, 20, 19]]
    response = client.post(
        PREDICT, params={"model": "boxes", "boxes": str(boxes)}, content=image_bytes(), headers=PNG
    )
    expected = predictor_of(opened["boxes"], "label")(image_bytes(), boxes=boxes)
    assert response.json()["labels"] == list(expected.labels)
    assert response.json()["by_class"] == list(expected.by_class)


def test_the_most_probable_classes_alone(client: TestClient) -> None:
    """``top_k`` shortens the list of classes and nothing else."""
    one, all_ = (
        client.post(f"{PREDICT}?model=grey{more}", content=image_bytes(), headers=PNG).json()
        for more in ("&top_k=2", "")
    )
    first = list(all_["by_class"][0].items())[:2]
    assert list(one["by_class"][0].items()) == first
    assert one["labels"] == all_["labels"]


def test_the_models_are_listed(client: TestClient, opened: dict[str, Package]) -> None:
    """By name, with classes and modes, and the limits of the server."""
    answer = client.get("/v1/models").json()
    assert [each["name"] for each in answer["models"]] == list(opened)
    modes = {each["name"]: each["modes"] for each in answer["models"]}
    assert modes["grey"] == ["label", "image", "both"]
    assert (modes["denoiser"], modes["classifier"]) == (["image"], ["label"])
    assert answer["models"][0]["class_names"] == list(opened["grey"].manifest.class_names)
    assert answer["limits"]["max_mib"] == 0.1


def too_many_pixels() -> bytes:
    """A small file of 101 x 100 pixels."""
    stream = io.BytesIO()
    Image.new("L", (101, 100)).save(stream, "PNG")
    return stream.getvalue()


def animation() -> bytes:
    """A file of two frames."""
    frames = [Image.fromarray(np.full((9, 9), value, np.uint8)) for value in (0, 99)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


@pytest.mark.parametrize(
    ("query", "content", "kind", "status", "words"),
    [
        ("", image_bytes(), "image/png", 422, "several models"),
        ("?model=gray", image_bytes(), "image/png", 404, "did you mean 'grey'"),
        ("?model=../grey", image_bytes(), "image/png", 404, "no model '../grey'"),
        ("?model=grey&mode=all", image_bytes(), "image/png", 422, "mode: "),
        ("?model=grey&size=9", image_bytes(), "image/png", 422, "no key 'size' (known: answer"),
        ("?model=grey&answers=png", image_bytes(), "image/png", 422, "did you mean 'answer'?"),
        ("?model=grey&top_k=0", image_bytes(), "image/png", 422, "top_k: "),
        ("?model=denoiser&mode=label", image_bytes(), "image/png", 422, "use mode=image"),
        ("?model=classifier&answer=png", image_bytes(), "image/png", 406, "gives no image"),
        ("?model=grey&mode=image&top_k=3", image_bytes(), "image/png", 422, "top_k has no effect"),
        ("?model=grey&answer=png&top_k=3", image_bytes(), "image/png", 422, "top_k has no effect"),
        ("?model=denoiser&top_k=3", image_bytes(), "image/png", 422, "top_k has no effect"),
        ("?model=grey&mode=label&answer=png", image_bytes(), "image/png", 406, "labels alone"),
        ("?model=boxes", image_bytes(), "image/png", 422, "classifies boxes"),
        ("?model=boxes&boxes=[[0,0,99,9]]", image_bytes(), "image/png", 422, "not inside"),
        ("?model=boxes&boxes=[[0,0,9", image_bytes(), "image/png", 422, "JSON"),
        ("?model=boxes&boxes=" + "[" * 9999, image_bytes(), "image/png", 422, "boxes"),
        ("?model=boxes&boxes=7", image_bytes(), "image/png", 422, "not a list"),
        ("?model=boxes&boxes=[]", image_bytes(), "image/png", 422, "not a list"),
        ("?model=grey", image_bytes(), "text/html", 415, "type text/html"),
        ("?model=grey", b"<svg></svg>", "image/png", 415, "not a known image format"),
        ("?model=grey", b"%!PS-Adobe-3.0 EPSF-3.0\n", "image/png", 415, "not a known"),
        ("?model=grey", image_bytes()[:90], "image/png", 422, "cannot be read"),
        ("?model=grey", animation(), "image/gif", 422, "2 frames"),
        ("?model=grey", b"", "image/png", 422, "empty"),
        ("?model=grey", bytes(200_000), "image/png", 413, "larger than 0.1 MiB"),
        ("?model=grey", too_many_pixels(), "image/png", 413, "101 x 100 pixels"),
        ("?model=grey", b"x", "multipart/form-data", 422, "boundary"),
        ("?model=grey", b"x", "multipart/form-data; boundary=y", 422, "form"),
    ],
)
def test_what_is_impossible_is_refused(
    client: TestClient, query: str, content: bytes, kind: str, status: int, words: str
) -> None:
    """Each with its status, and a problem that says what to do."""
    response = client.post(PREDICT + query, content=content, headers={"Content-Type": kind})
    assert words in problem_of(response, status)


def test_a_body_of_unknown_length_is_limited_too(client: TestClient) -> None:
    """It is refused when the limit is reached, not when it ends."""
    chunks = iter([b"\0" * 60_000] * 4)
    response = client.post(f"{PREDICT}?model=grey", content=chunks, headers=PNG)
    assert "larger than 0.1 MiB" in problem_of(response, 413)
    assert len(list(chunks)) == 0  # the client of the tests sends all of it at once


@pytest.mark.parametrize(
    "files",
    [
        {"picture": ("a.png", image_bytes())},
        [("image", ("a.png", image_bytes())), ("image", ("b.png", image_bytes()))],
    ],
    ids=["another field", "two files"],
)
def test_a_form_holds_one_image(client: TestClient, files: Any) -> None:
    """In the field ``image``."""
    assert "image" in problem_of(client.post(f"{PREDICT}?model=grey", files=files), 422)


def test_only_known_types_are_sent(client: TestClient) -> None:
    """A client that takes neither JSON nor images is told what there is."""
    headers = {**PNG, "Accept": "text/html, application/json;q=0"}
    response = client.post(f"{PREDICT}?model=grey", content=image_bytes(), headers=headers)
    assert "application/json, image/png, image/tiff" in problem_of(response, 406)


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), ("/v1/predict", 405)])
def test_unknown_paths_and_methods_are_problems_too(
    client: TestClient, path: str, status: int
) -> None:
    """With what there is instead."""
    assert "/openapi.json" in problem_of(client.get(path), status)


def test_a_fault_of_ours_says_nothing_but_that(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response is a problem without a traceback, and the place is free again."""
    monkeypatch.setattr("tapetum.serving.models.read_image", lambda *_, **__: 1 / 0)
    accepted = service.num_accepted
    response = client.post(f"{PREDICT}?model=grey", content=image_bytes(), headers=PNG)
    assert "division" not in problem_of(response, 500)
    assert service.queue.in_flight == 0
    assert service.num_accepted == accepted + 1 == service.num_answered


def test_requests_are_counted(service: Service, client: TestClient) -> None:
    """By route and status; a path that does not exist makes no series of its own."""

    def count(series: str) -> float:
        found = re.search(rf"^{re.escape(series)} ([\d.]+)$", client.get("/metrics").text, re.M)
        return float(found[1]) if found else 0.0

    names = [
        'tapetum_requests_total{route="/v1/predict",status="200"}',
        'tapetum_requests_total{route="other",status="404"}',
        'tapetum_network_seconds_count{model="grey"}',
        "tapetum_accepted_total",
        "tapetum_answered_total",
    ]
    before = [count(name) for name in names]
    client.post(f"{PREDICT}?model=grey", content=image_bytes(), headers=PNG)
    client.get("/secret/1")
    client.get("/secret/2")
    assert [count(name) - old for name, old in zip(names, before, strict=True)] == [1, 2, 1, 1, 1]
    assert "secret" not in client.get("/metrics").text
    assert count("tapetum_capacity") == service.queue.capacity
    assert count("tapetum_in_flight") == 0


def test_health_and_readiness_differ(opened: dict[str, Package]) -> None:
    """A server that is stopping lives, but takes no new images."""
    service = service_of({"grey": opened["grey"]})
    with client_of(service) as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        assert client.get("/readyz").json() == {"status": "ready"}
        service.is_stopping = True
        assert client.get("/healthz").status_code == 200
        assert "stopping" in problem_of(client.get("/readyz"), 503)


def test_one_model_needs_no_name(opened: dict[str, Package]) -> None:
    """Where a server has only one."""
    with client_of(service_of({"grey": opened["grey"]})) as client:
        answer = client.post(PREDICT, content=image_bytes(), headers=PNG).json()
    assert answer["model"] == "grey"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        ("Bearer \xff\xfe", 401),
    ],
)
def test_a_token_is_wanted(opened: dict[str, Package], given: str | None, status: int) -> None:
    """For predictions, models and metrics; who looks after the server needs none."""
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    service = service_of({"grey": opened["grey"]}, tokens=Tokens(["x" * 20, TOKEN]))
    with client_of(service) as client:
        for path in ("/v1/models", "/metrics"):
            assert client.get(path, headers=headers).status_code == status
        sent = client.post(PREDICT, content=image_bytes(), headers={**PNG, **headers})
        assert sent.status_code == status
        if status == 401:
            assert sent.headers["www-authenticate"] == "Bearer"
            assert TOKEN not in problem_of(sent, 401)
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert client.get(path).status_code == 200


def test_without_a_token_nothing_is_read_or_looked_up(opened: dict[str, Package]) -> None:
    """So a stranger learns no name of a model and fills no memory."""
    service = service_of({"grey": opened["grey"]}, tokens=Tokens([TOKEN]))
    with client_of(service) as client:
        for query in ("?model=other", "?mode=wrong"):
            problem_of(client.post(PREDICT + query, content=bytes(10), headers=PNG), 401)
    assert service.num_accepted == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no token"), ("# none\n\n", "no token"), ("short\n", "at least 16"), ("ü" * 20, "ASCII")],
)
def test_an_unsafe_token_file_is_refused(tmp_path: Any, text: str, words: str) -> None:
    """Rather than to start a server that is open, or nearly."""
    path = tmp_path / "tokens.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        Tokens.read(path)


def test_each_line_of_a_token_file_counts(tmp_path: Any) -> None:
    """Blanks around a token and comments do not."""
    path = tmp_path / "tokens.txt"
    path.write_text(f"  # of the camera\n {TOKEN} \n\n{'y' * 16}\n")
    tokens = Tokens.read(path)
    assert [tokens.allow(each) for each in (TOKEN, "y" * 16, "# of the camera", "")] == [
        *(True, True),
        *(False, False),
    ]


def test_the_page_asks_its_own_server_alone(client: TestClient) -> None:
    """It loads nothing from elsewhere, no other site may frame it, and it names no class."""
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'; " in response.text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", response.text)
    names = [
        name for model in client.get("/v1/models").json()["models"] for name in model["class_names"]
    ]
    assert not any(f">{name}<" in response.text for name in names)


def test_an_image_of_another_light_has_a_warning(opened: dict[str, Package]) -> None:
    """In JSON, in a header beside an image, and as a range in the list of models."""
    light = BrightnessRange.of([0.9])
    package = opened["grey"]
    package = replace(package, manifest=package.manifest.model_copy(update={"brightness": light}))
    with client_of(service_of({"a": package})) as client:
        answer = client.post(PREDICT, content=image_bytes(), headers=PNG)
        image = client.post(PREDICT, content=image_bytes(), headers={**PNG, "Accept": "image/png"})
        (model,) = client.get("/v1/models").json()["models"]
    assert answer.json()["warnings"] == [light.doubt("darker")]
    assert len(answer.json()["brightness"]) == 1
    assert unquote(image.headers["Tapetum-Warnings"]) == light.doubt("darker")
    assert model["brightness"] == light.model_dump(mode="json")


def test_a_model_says_what_a_page_needs(opened: dict[str, Package]) -> None:
    """The background under transparent pixels, and the noise that may be added to an image."""
    row = ScoreRow(title="gaussian 0.5", noise=Gaussian(sigma=0.5), num_images=4)
    scores = Scores(protocol="benchmark", seed=0, source="four", rows=(row,), mean=row)
    package = opened["grey"]
    manifest = package.manifest.model_copy(update={"scores": scores})
    with client_of(service_of({"a": replace(package, manifest=manifest), "b": package})) as client:
        first, second = client.get("/v1/models").json()["models"]
    assert first["background"] == package.manifest.preparation.background
    noise = {"kind": "gaussian", "highest": 0.5, "symbol": "sigma", "gain": None}
    assert first["noise"] == {**noise, "protocol": "benchmark"}
    assert second["noise"] is None


def test_openapi_describes_every_status(client: TestClient) -> None:
    """Of a prediction; with the problem, both ways to send an image, and all types of answers."""
    document = client.get("/openapi.json").json()
    operation = document["paths"][PREDICT]["post"]
    statuses = {"200", "400", "404", "406", "408", "413", "415", "422", "503"}
    assert set(operation["responses"]) == statuses
    assert set(operation["responses"]["503"]["content"]) == {JSON_PROBLEM}
    sent = {"multipart/form-data", "application/octet-stream", "image/*"}
    assert set(operation["requestBody"]["content"]) == sent
    answers = {"application/json", "image/png", "image/tiff"}
    assert set(operation["responses"]["200"]["content"]) == answers


def test_packages_have_names(tmp_path: Any) -> None:
    """That of the file, or one that is given; two of one name are refused."""
    path = str(tiny_package(tmp_path / "model.tapetum"))
    options = ModelOptions(threads=1)
    assert list(open_models([path, f"night={path}"], options)) == ["model", "night"]
    with pytest.raises(InputError, match=r"two packages are called model; name one: model-2="):
        open_models([path, path], options)
    odd = tiny_package(tmp_path / "a b.tapetum")
    with pytest.raises(InputError, match="'a b' is no name"):
        open_models([str(odd)], options)


def test_an_option_of_labels_needs_a_model_that_gives_some(tmp_path: Any) -> None:
    """One of several is enough; without any, the option is refused as by ``tapetum predict``."""
    paths = []
    for name in ("denoiser", "classifier"):
        package = packages()[name]
        paths.append(str(tmp_path / f"{name}.tapetum"))
        write_package(Path(paths[-1]), package.graph_bytes, package.manifest, "")
    options = ModelOptions(threads=1, reject_below=0.6)
    with pytest.raises(InputError, match="--reject-below has no effect: no label is computed"):
        open_models(paths[:1], options)
    assert len(open_models(paths, options)) == 2


def test_a_network_of_other_channels_is_refused() -> None:
    """No image file has them."""
    from packages import JOINT, real

    package = real(JOINT, boxes=False, channels=4, size_px=24)
    with pytest.raises(InputError, match="4 channels"):
        service_of({"odd": package})
