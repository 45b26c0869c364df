"""What the outbox reads of an event."""
import pytest

from adb_lineage.errors import GiveUp
from adb_lineage.outbox.envelope import event_time, seal, unseal
from tests.outbox.events import event

TIMES = [
    ("2026-03-01T10:00:00Z", 1772359200.0),
    ("2026-03-01T10:00:00z", 1772359200.0),
    ("2026-03-01 10:00:00", 1772359200.0),
    ("2026-03-01T10:00:00.5Z", 1772359200.5),
    ("2026-03-01T10:00:00.123456789Z", 1772359200.123456789),
    ("2026-03-01T11:00:00+01:00", 1772359200.0),
    ("2026-03-01T04:30:00-0530", 1772359200.0),
    ("2026-03-01T11:00:00+01:00[Europe/Berlin]", 1772359200.0),
    ("1969-12-31T23:59:59Z", -1.0),
    ("2026-13-01T10:00:00Z", None),
    ("yesterday", None),
    ("", None),
    (None, None),
    (1772359200, None),
]


@pytest.mark.parametrize("text, seconds", TIMES)
def test_event_times(text, seconds):
    assert event_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize("kind, terminal", [
    ("COMPLETE", True), ("FAIL", True), ("ABORT", True), ("complete", True),
    ("START", False), ("RUNNING", False), ("OTHER", False), ("", False), (None, False), (7, False),
])
def test_terminal_types(kind, terminal):
    assert seal(event("r", kind)).terminal is terminal


@pytest.mark.parametrize("bad", [None, "text", 7, [event("r")], {"x": object()}, {"x": {1, 2}}, {("a", "b"): 1}])
def test_what_is_no_json_object_is_given_up(bad):
    with pytest.raises(GiveUp):
        seal(bad)


def test_a_list_that_holds_itself_is_given_up():
    loop = {"run": {"runId": "r"}, "x": []}
    loop["x"].append(loop)
    with pytest.raises(GiveUp):
        seal(loop)


@pytest.mark.parametrize("run", [None, {}, {"runId": None}, {"runId": ""}, [], "r"])
def test_an_event_without_a_run_is_a_run_of_its_own(run):
    one, two = seal({**event("r"), "run": run}), seal({**event("r"), "run": run, "x": 1})
    assert one.terminal and two.terminal
    assert one.run_id.startswith("event-") and one.run_id != two.run_id


@pytest.mark.parametrize("text", ["Таблица$", "日本", "\ud800 lone", "a\x00b", "'; drop table run; --", "x" * 100_000])
def test_every_text_comes_back(text):
    original = event("r", inputs=[text])
    assert unseal(seal(original).body) == original


def test_a_long_event_is_shortened_part_by_part_and_the_caller_s_is_not_touched():
    plan = {"plan": [f"node {index * 7919}" for index in range(20_000)]}
    original = event("r", **{"spark.logicalPlan": plan, "kept": {"x": 1}})
    sealed = seal(original, 4096)
    assert len(sealed.body) <= 4096
    assert list(unseal(sealed.body)["run"]["facets"]) == ["kept"]
    assert original["run"]["facets"]["spark.logicalPlan"] is plan
    assert seal(original).digest == sealed.digest


def test_datasets_are_never_shortened_away():
    with pytest.raises(GiveUp, match="too long"):
        seal(event("r", inputs=[f"{index * 7919:x}" for index in range(5000)]), 4096)
