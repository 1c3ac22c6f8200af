"""A small web application: it tells who answers, and from which release."""

import os
import socket

from flask import Flask, jsonify, render_template

VERSION = "1"

app = Flask(__name__)


def facts():
    return {
        "version": VERSION,
        "greeting": os.environ.get("GREETING", "Hello"),
        "app": os.environ.get("DEIS_APP", "local"),
        "release": os.environ.get("WORKFLOW_RELEASE", "none"),
        "host": socket.gethostname(),
    }


@app.get("/")
def page():
    return render_template("page.html", **facts())


@app.get("/api")
def api():
    return jsonify(facts())


@app.get("/healthz")
def healthz():
    return "ok"
