"""Events of the OpenLineage JAR: what is taken, what is set aside, and runs that came on both routes."""
from __future__ import annotations

import gzip
import http.client
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any, Dict, List, Mapping, Optional

import pytest

from adb_lineage.databricks import intake
from adb_lineage.databricks.follow import Line, Position
from adb_lineage.databricks.intake import Intake, Listener, Twins
from adb_lineage.errors import GiveUp
from adb_lineage.outbox import Outbox
from adb_lineage.record import Record

ROOT = pathlib.Path(__file__).parents[2]


def event(run: str, kind: str, at: str = "2026-11-22T10:00:00.123Z", outputs: Any = (), **more: Any) -> Dict[str, Any]:
    return {"eventType": kind, "eventTime": at, "run": {"runId": run, "facets": {}},
            "job": {"namespace": "adb-1.2", "name": "j"}, "inputs": [],
            "outputs": [{"namespace": "dbfs", "name": name} for name in outputs], **more}


class Harness:
    """An intake with a list for an outbox, a dict for a record, and a clock of its own."""

    def __init__(self, own: Optional[List[Dict[str, Any]]] = None, refused: str = "") -> None:
        self.now = 0.0
        self.stored: List[Mapping[str, Any]] = []
        self.notes: Dict[str, Dict[str, Any]] = {}
        self.own = own if own is not None else []
        self.offset = 0
        self.intake = Intake(self.append, self, Twins(lambda last: self.own, lambda: self.now),
                             refused_path=refused, clock=lambda: self.now)

    def append(self, one: Mapping[str, Any]) -> None:
        if one.get("eventType") == "TOO BIG":
            raise GiveUp("too big")
        self.stored.append(one)

    def note(self, run_id: str, **facts: Any) -> None:
        self.notes.setdefault(run_id, {}).update(facts)

    def feed(self, *lines: Any) -> Optional[Position]:
        for line in lines:
            text = line if isinstance(line, bytes) else json.dumps(line).encode()
            self.offset += len(text) + 1
            self.intake.take(Line(text, Position(1, self.offset)))
        return self.intake.settle()

    def wait(self, seconds: float) -> Optional[Position]:
        self.now += seconds
        return self.intake.settle()

    @property
    def runs(self) -> List[str]:
        return [one["run"]["runId"] for one in self.stored]


def test_events_pass_at_once_where_python_captures_nothing() -> None:
    one = Harness()
    position = one.feed(event("r", "START"), event("r", "RUNNING"), event("r", "COMPLETE", outputs=["/a"]))
    assert one.runs == ["r", "r", "r"] and position == Position(1, one.offset)
    assert one.notes["r"]["route"] == "openlineage" and one.notes["r"]["capture"] == "captured"
    assert one.intake.counters["runs"] == 1


OWN = [{"run_id": "own", "capture": "captured", "when": "2026-11-22T10:00:00.123+00:00", "outputs": [["dbfs", "/a"]]}]


def test_a_run_of_both_routes_is_kept_once() -> None:
    one = Harness(OWN)
    position = one.feed(event("r", "START", "2026-11-22T09:59:59Z"), event("r", "COMPLETE", outputs=["a", "/b"]))
    assert one.stored == [] and position == Position(1, 0), "held, and not committed"
    assert one.wait(intake.HOLD_SECONDS) == Position(1, one.offset)
    assert one.stored == []
    assert one.notes["r"] == {"route": "openlineage", "capture": "skipped", "twin": "own",
                              "reason": "the same run was captured by adb_lineage itself"}
    one.feed(event("r", "RUNNING"))
    assert one.stored == [], "what comes after its decision goes the same way"


@pytest.mark.parametrize(("at", "outputs"), [
    ("2026-11-22T10:00:00.124Z", ["/a"]), ("2026-11-22T10:00:00.123Z", ["/other"]), ("2026-11-22T10:00:00.123Z", []),
    ("2026-11-22T11:00:00.123Z", ["/a"]), ("no time", ["/a"]),
])
def test_another_run_is_never_taken_for_it(at: str, outputs: List[str]) -> None:
    one = Harness(OWN)
    one.feed(event("r", "COMPLETE", at, outputs))
    one.wait(intake.HOLD_SECONDS)
    assert one.runs == ["r"]


@pytest.mark.parametrize("at", ["2026-11-22T10:00:00.123Z", "2026-11-22T10:00:00.123456789Z",
                                "2026-11-22T12:00:00.123+02:00", "2026-11-22T12:00:00.123+0200",
                                "2026-11-22 10:00:00,1230"])
def test_the_same_instant_in_any_spelling(at: str) -> None:
    assert intake.milliseconds(at) == 1795341600123


@pytest.mark.parametrize("bad", [None, 1, "", "yesterday", "2026-13-45T99:00:00Z"])
def test_no_instant(bad: Any) -> None:
    assert intake.milliseconds(bad) is None


def test_the_jar_s_own_runs_are_no_twins() -> None:
    one = Harness([{**OWN[0], "route": "openlineage"}, {**OWN[0], "run_id": "x", "capture": "skipped"}])
    one.feed(event("r", "COMPLETE", outputs=["/a"]))
    assert one.runs == ["r"]


def test_an_unfinished_run_goes_on_after_a_while() -> None:
    one = Harness(OWN)
    one.feed(event("r", "START"))
    assert one.wait(intake.UNFINISHED_SECONDS - 1) == Position(1, 0)
    one.wait(1)
    assert one.runs == ["r"]
    one.feed(event("r", "COMPLETE", outputs=["/a"]))
    assert one.runs == ["r", "r"], "decided is decided"


def test_the_position_waits_for_the_oldest_that_is_held() -> None:
    one = Harness(OWN)
    one.feed(event("first", "COMPLETE", "2026-11-22T09:00:00Z"))
    before = one.offset
    one.now += 1
    assert one.feed(event("second", "START")) == Position(1, 0)
    assert one.wait(intake.HOLD_SECONDS - 1) == Position(1, before)


def test_what_is_held_after_a_restart_does_not_take_the_position_back_to_the_beginning() -> None:
    one = Harness(OWN)
    one.offset = 1000
    assert one.feed(event("r", "START")) == Position(1, 1000)


def test_lines_that_are_no_events_are_set_aside(tmp_path: pathlib.Path) -> None:
    refused = tmp_path / "refused"
    one = Harness(refused=str(refused))
    one.feed(b"garbage", b"[1, 2]", b"null", b'{"a": 1}', b'\xff\xfe{"eventTime', event("r", "TOO BIG"),
             event("r", "START"), b"")
    assert one.runs == ["r"]
    assert [json.loads(line)["text"][:7] for line in refused.read_text().splitlines()][:2] == ["garbage", "[1, 2]"]
    assert one.intake.counters["refused"] == 8


def test_events_of_odd_shapes_pass_or_are_set_aside_and_never_stop_the_next(tmp_path: pathlib.Path) -> None:
    """With the real outbox and record: a line that raised would be read again and again, and hold up all others."""
    outbox, record = Outbox(str(tmp_path / "outbox.sqlite")), Record(str(tmp_path / "record.sqlite"))
    one = Intake(outbox.append, record, Twins(record.rows), refused_path=str(tmp_path / "refused"))
    plain = event("r", "COMPLETE")
    odd = [{**plain, "run": run} for run in ({"runId": "\ud800"}, {"runId": None}, {"runId": 7}, "x", None, [1])]
    odd += [{**plain, "run": {"runId": f"k{number}"}, **more} for number, more in enumerate((
        {"eventType": None}, {"eventType": 7}, {"eventTime": 1}, {"outputs": {"a": 1}}, {"job": "x", "inputs": None},
        {"outputs": [1, {"namespace": 3, "name": ["x"]}]}, {"producer": "\udfff", "x": float("nan")}))]
    odd += [{"eventTime": plain["eventTime"], "job": plain["job"]},
            {"eventTime": plain["eventTime"], "dataset": {"namespace": "n", "name": "d"}}]
    try:
        for number, each in enumerate([*odd, event("last", "COMPLETE")]):
            one.take(Line(json.dumps(each).encode(), Position(1, number + 1)))
        assert one.settle(everything=True) == Position(1, len(odd) + 1)
        assert {"last", "7", *(f"k{number}" for number in range(7))} <= {run.run_id for run in outbox.runs()}
        assert one.counters["refused"] == 1
    finally:
        outbox.close()
        record.close()


def test_half_a_line_before_a_whole_one(tmp_path: pathlib.Path) -> None:
    refused = tmp_path / "refused"
    one = Harness(refused=str(refused))
    whole = json.dumps(event("r", "START", outputs=["/a"])).encode()
    one.feed(whole[: len(whole) // 2] + whole)
    assert one.runs == ["r"] and one.intake.counters["mended"] == 1
    assert json.loads(refused.read_text())["why"] == "the rest of a torn line"


def test_a_list_of_events_in_a_line() -> None:
    one = Harness()
    one.feed([event("a", "START"), event("b", "START")])
    assert one.runs == ["a", "b"]


def post(port: int, body: bytes, path: str = "/api/v1/lineage", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", path, body, {"Content-Type": "application/json",
                                            **{name.replace("_", "-"): value for name, value in headers.items()}})
    status = connection.getresponse().status
    connection.close()
    return status


def test_http_stores_before_it_answers(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "spool.jsonl"
    listener = Listener(0, str(path))
    listener.start()
    try:
        one = json.dumps(event("r", "START")).encode()
        assert post(listener.port, one) == 201
        assert post(listener.port, gzip.compress(one), Content_Encoding="gzip") == 201
        assert post(listener.port, b"[" + one + b"," + one + b"]", "/api/v1/lineage/batch") == 201
        assert post(listener.port, json.dumps(event("r", "START"), indent=2).encode()) == 201
        assert post(listener.port, b"garbage") == 400
        assert post(listener.port, b"[1]") == 400
        assert post(listener.port, one, Content_Encoding="gzip") == 400
        lines = path.read_text().splitlines()
        assert len(lines) == 5 and all(json.loads(line)["run"]["runId"] == "r" for line in lines)
        path.unlink()
        path.mkdir()
        assert post(listener.port, one) == 503, "the JAR may send it again"
    finally:
        listener.close()


def test_http_in_chunks(tmp_path: pathlib.Path) -> None:
    """As the JAR sends with `compression: gzip`: Apache's GzipCompressingEntity does not know its length."""
    path = tmp_path / "spool.jsonl"
    listener = Listener(0, str(path))
    listener.start()
    one = json.dumps(event("r", "START", outputs=["/a" * 500])).encode()
    packed = gzip.compress(one)

    def answer(raw: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
            connection.sendall(b"POST /api/v1/lineage HTTP/1.1\r\nHost: x\r\n" + raw)
            return connection.recv(1000).split()[1]

    try:
        connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=10)
        for _ in range(2):  # the connection is kept
            connection.request("POST", "/api/v1/lineage", iter([packed[:7], packed[7:]]), encode_chunked=True,
                               headers={"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"})
            reply = connection.getresponse()
            assert (reply.status, reply.read()) == (201, b'{"message": "stored"}')
        connection.close()
        chunked = b"Transfer-Encoding: chunked\r\n\r\n"
        assert answer(chunked + b"%x;a=b\r\n" % len(one) + one + b"\r\n0\r\nTrailer: x\r\n\r\n") == b"201"
        assert answer(chunked + b"no number\r\n") == b"400"
        assert answer(chunked + b"ffffffff\r\n") == b"413"
        assert answer(chunked + b"0\r\n\r\n") == b"413"
        assert answer(b"\r\n") == b"411"
        assert answer(b"Content-Length: -1\r\n\r\n") == b"411"
        assert answer(b"Content-Length: 999999999999\r\n\r\n") == b"413"
        assert answer(b"Content-Length: 0\r\n\r\n") == b"413"
        assert [json.loads(line) for line in path.read_text().splitlines()] == [json.loads(one)] * 3
    finally:
        listener.close()


def test_what_unpacks_to_more_than_an_event_may_have(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_BODY_BYTES", 1000)
    listener = Listener(0, str(tmp_path / "spool.jsonl"))
    listener.start()
    try:
        assert post(listener.port, gzip.compress(b" " * 2000 + b"{}"), Content_Encoding="gzip") == 413
    finally:
        listener.close()


def command(data: pathlib.Path, *words: str) -> List[str]:
    return [sys.executable, "-m", "adb_lineage", "intake", *words]


def environment(data: pathlib.Path) -> Dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "ADB_LINEAGE_DATA_DIR": str(data), "ADB_LINEAGE_AUTH": "none",
            "ADB_LINEAGE_ENDPOINT": "http://127.0.0.1:9", "ADB_LINEAGE_EXIT_SECONDS": "0"}


def stored(data: pathlib.Path) -> int:
    outbox = Outbox(str(data / "outbox.sqlite"))
    try:
        return sum(outbox.counts().values())
    finally:
        outbox.close()


def wait_for(what: Any, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.2)


def test_the_command_survives_kill_and_rotation(tmp_path: pathlib.Path) -> None:
    """Every run arrives in the outbox, whatever is killed meanwhile; a second intake of the same file leaves."""
    data, path = tmp_path / "data", tmp_path / "events.jsonl"
    process = subprocess.Popen([*command(data, "--follow", str(path), "--keep-alive")], env=environment(data),
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        for number in range(30):
            with open(path, "a") as stream:
                stream.write(json.dumps(event(f"run-{number}", "COMPLETE", outputs=["/a"])) + "\n")
            if number == 10:
                os.rename(path, f"{path}.1")
            if number == 20:
                wait_for(lambda: stored(data) >= 1)
                children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                os.kill(int(children[0]), signal.SIGKILL)
        wait_for(lambda: stored(data) == 30)
        second = subprocess.run(command(data, "--follow", str(path)), env=environment(data), capture_output=True,
                                text=True, timeout=60)
        assert second.returncode == 3 and "another intake" in second.stderr
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stderr:
            process.stderr.close()


def test_the_command_over_http(tmp_path: pathlib.Path) -> None:
    data = tmp_path / "data"
    process = subprocess.Popen(command(data, "--listen", "0"), env=environment(data), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        port = int(process.stderr.readline().strip().rpartition(":")[2])
        assert post(port, json.dumps(event("r", "COMPLETE", outputs=["/a"])).encode()) == 201
        wait_for(lambda: stored(data) == 1)
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


@pytest.mark.parametrize(("words", "status", "said"), [
    (["--listen", "{port}"], 1, "port {port} of 127.0.0.1"), (["--listen", "99999"], 2, "invalid"),
    (["--follow", "."], 2, ". is a folder")])
def test_a_source_that_cannot_be(words: List[str], status: int, said: str, tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(command(tmp_path, *(word.format(port=port) for word in words)), text=True, timeout=60,
                              env=environment(tmp_path), capture_output=True)
    assert done.returncode == status and said.format(port=port) in done.stderr and "Traceback" not in done.stderr


def test_a_client_that_went_away_leaves_no_trace(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    listener = Listener(0, str(tmp_path / "spool.jsonl"))
    listener.start()
    before = threading.active_count()
    try:
        with socket.create_connection(("127.0.0.1", listener.port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            connection.sendall(b"POST /api/v1/lineage HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
            wait_for(lambda: threading.active_count() > before)
        wait_for(lambda: threading.active_count() == before)
    finally:
        listener.close()
    assert capfd.readouterr().err == ""


def test_without_a_catalog_it_says_what_to_set(tmp_path: pathlib.Path) -> None:
    env = {name: value for name, value in environment(tmp_path).items() if name != "ADB_LINEAGE_ENDPOINT"}
    done = subprocess.run(command(tmp_path, "--follow", "x", "--keep-alive"), env=env, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2 and "set account" in done.stderr
