"""Events over HTTP, to a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from batch.lineage.send import HttpReceiver, send
from batch.lineage.settings import LineageSettings
from caudal.errors import TransientError


@contextmanager
def server(answers: list[int]) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A receiver that gives these answers, the last one for ever; yields its address and what it was sent."""
    got: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.headers.get("Authorization", ""), body))
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/api/v1/lineage", got
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def test_events_arrive_in_order_with_the_key() -> None:
    """Each event is one request; a refusal for good is counted and the next one goes on."""
    with server([201, 422, 201]) as (url, got):
        receiver = HttpReceiver(LineageSettings.model_validate({"url": url, "token": "key-1"}))
        done = send(receiver, [{"n": 1}, {"n": 2}, {"n": 3}])
        receiver.close()
    assert (done.taken, done.refused) == (2, 1)
    assert [body["n"] for _, body in got] == [1, 2, 3]
    assert {key for key, _ in got} == {"Bearer key-1"}


def test_a_receiver_in_trouble_is_asked_again_later() -> None:
    """One bad answer is tried again at once; one that stays bad, or nobody there, is for the next look."""
    with server([503, 200]) as (url, got):
        receiver = HttpReceiver(LineageSettings(url=url))
        assert send(receiver, [{"n": 1}]).taken == 1
        assert len(got) == 2
        receiver.close()
    with server([503]) as (url, _):
        receiver = HttpReceiver(LineageSettings(url=url))
        with pytest.raises(TransientError, match="takes no events"):
            send(receiver, [{"n": 1}])
        receiver.close()
    receiver = HttpReceiver(LineageSettings(url=url))
    with pytest.raises(TransientError):
        send(receiver, [{"n": 1}])
    receiver.close()
