"""A site in Flask: what sites of WSGI do, each in a page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, request, session, stream_with_context, url_for

app = Flask(__name__)
app.secret_key = "only for tests"
ended: list[str] = []


@app.teardown_request
def at_end(error: BaseException | None) -> None:
    ended.append(f"{request.path} {type(error).__name__}")


@app.get("/json")
def as_json() -> Any:
    return jsonify(
        query=request.args.to_dict(), url=request.url, root=request.root_path, ip=request.remote_addr
    )


@app.post("/json")
def echo_json() -> Any:
    return jsonify(echo=request.get_json())


@app.post("/form")
def form() -> Any:
    file = request.files["file"]
    data = file.read()
    return jsonify(
        note=request.form["note"], name=file.filename, size=len(data), sum=hashlib.sha256(data).hexdigest()
    )


@app.post("/stream")
def stream_in() -> Any:
    size, digest = 0, hashlib.sha256()
    while data := request.stream.read(65536):
        size += len(data)
        digest.update(data)
    return jsonify(size=size, sum=digest.hexdigest())


@app.get("/stream")
def stream_out() -> Response:
    def parts() -> Iterator[str]:
        for number in range(int(request.args["count"])):
            yield f"{number}\n"

    return Response(stream_with_context(parts()), mimetype="text/plain")


@app.get("/login/<name>")
def login(name: str) -> Any:
    session["name"] = name
    return redirect(url_for("who"))


@app.get("/who")
def who() -> Any:
    return session.get("name", "nobody")


@app.get("/forbidden")
def forbidden() -> Any:
    abort(403)


@app.get("/fail")
def fail() -> Any:
    raise ValueError("on purpose")


@app.get("/ended")
def tell_ended() -> Any:
    return jsonify(ended)
