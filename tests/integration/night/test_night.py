"""The night against a sandbox over real HTTP: what becomes ready, what is taken back, and nothing twice."""

from __future__ import annotations

import zlib
from datetime import date, timedelta
from pathlib import Path

import pytest

from connectors.http.fields import BadRow
from connectors.kit.sandbox.world import Fault
from connectors.store.errors import StoreBusy, StoreError
from flows import night as night_module
from flows.steps.pull import PullOutcome
from models.ports import Source
from tests.fakes.company import Company, company, invoice

TODAY = date(2026, 11, 20)


@pytest.fixture
def firm(tmp_path: Path):
    with company(tmp_path) as it:
        yield it


def _done(firm: Company, title: str, day: date, by: str = "Li") -> None:
    firm.world.move(firm.world.find(title), "已完成", firm.at(day), by)


def test_a_done_milestone_becomes_a_ready_record_with_its_evidence(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 18), "李强")
    outcome = firm.night()
    assert outcome.exit_code == 0
    (line,) = firm.board().ready
    assert (line.contract, line.term, line.gross, line.net, line.tax) == ("C-1", "T1", 40000, 37736, 2264)
    assert line.ready_on == date(2026, 11, 18)
    (proof,) = line.evidence
    assert (proof.event, proof.by, proof.source, proof.provenance, proof.grade) == ("first", "李强", "rd", "native", 3)
    assert proof.url is not None


def test_a_second_run_changes_nothing_and_evaluates_nothing(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 18))
    firm.night()
    before = firm.records()
    again = firm.night()
    assert (again.posted.records, again.posted.withdrawn, again.posted.decisions, again.evaluated) == (0, 0, 0, 0)
    assert firm.records() == before


def test_reopened_before_the_invoice_is_withdrawn_and_done_again_is_a_new_occurrence(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 12))
    firm.world.move(firm.world.find("M1"), "进行中", firm.at(date(2026, 11, 14)), "Zhao")
    firm.night(day=date(2026, 11, 15))
    (gone,) = firm.board().withdrawn
    assert gone.withdrawn_on == date(2026, 11, 14)
    _done(firm, "M1", date(2026, 11, 17))
    firm.night(day=date(2026, 11, 18))
    assert firm.records() == [("C-1", "T1", 1, "withdrawn"), ("C-1", "T1", 2, "ready")]


def test_reopened_after_the_invoice_is_an_exception_and_never_a_second_record(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 12))
    invoice(firm.store, "C-1", "T1", date(2026, 11, 13), date(2026, 11, 13))
    firm.world.move(firm.world.find("M1"), "进行中", firm.at(date(2026, 11, 14)), "Zhao")
    outcome = firm.night(day=date(2026, 11, 15))
    assert [(e.term, e.code) for e in firm.board().exceptions] == [("T1", "MILESTONE_REOPENED_AFTER_INVOICE")]
    assert outcome.exit_code == 1
    _done(firm, "M1", date(2026, 11, 16))
    firm.night(day=date(2026, 11, 17))
    assert firm.board().exceptions == ()
    assert firm.records() == [("C-1", "T1", 1, "invoiced")]


def test_a_deleted_milestone_takes_its_record_back(firm: Company) -> None:
    firm.contract("C-1")
    firm.contract("C-2", connection="ops", project="OPS", first="M1 ops", second="M2 ops")
    _done(firm, "M1", date(2026, 11, 10))
    _done(firm, "M1 ops", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 12))
    for title in ("M1", "M1 ops"):
        gone = firm.world.find(title)
        gone.deleted, gone.updated_at = True, int(firm.at(date(2026, 11, 13)).timestamp())
    firm.night(day=date(2026, 11, 14))
    assert {r[3] for r in firm.records()} == {"withdrawn"}


def test_renamed_and_moved_milestones_stay_bound_by_their_identity(firm: Company) -> None:
    firm.contract("C-1")
    firm.night(day=date(2026, 11, 10))
    milestone = firm.world.find("M1")
    milestone.title = "Phase one"
    firm.world.move(milestone, "已完成", firm.at(date(2026, 11, 12)), "Li")
    firm.night(day=date(2026, 11, 13))
    assert firm.records() == [("C-1", "T1", 1, "ready")]


def test_a_source_that_fails_changes_nothing_of_its_contracts_and_the_other_is_posted(firm: Company) -> None:
    firm.contract("C-1")
    firm.contract("C-2", connection="ops", project="OPS", first="M1 ops", second="M2 ops")
    _done(firm, "M1", date(2026, 11, 18))
    _done(firm, "M1 ops", date(2026, 11, 18))
    firm.world.faults.append(Fault("/mission/", "status", times=10_000, status=403))
    outcome = firm.night()
    assert (outcome.state, outcome.exit_code) == ("in_part", 3)
    assert [r[0] for r in firm.records()] == ["C-1"]
    assert [f.code for f in outcome.report.findings if f.code == "SOURCE_FAILED"] == ["SOURCE_FAILED"]
    firm.world.faults.clear()
    firm.night()
    assert [r[0] for r in firm.records()] == ["C-1", "C-2"]


@pytest.mark.parametrize(
    "problem", [zlib.error("invalid block"), NotImplementedError(), OSError(5, "Input/output error"), BadRow("x")]
)
def test_whatever_a_connector_raises_the_others_go_on(
    firm: Company, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    firm.contract("C-1")
    firm.contract("C-2", connection="ops", project="OPS", first="M1 ops", second="M2 ops")
    _done(firm, "M1", date(2026, 11, 18))
    real = night_module.pull_connection

    async def pull(source: Source, *given: object, **more: object) -> PullOutcome:
        if source.name == "ops":
            raise problem
        return await real(source, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(night_module, "pull_connection", pull)
    outcome = firm.night()
    assert (outcome.state, outcome.exit_code) == ("in_part", 3)
    assert [r[0] for r in firm.records()] == ["C-1"]
    (failed,) = (f for f in outcome.report.findings if f.code == "SOURCE_FAILED")
    assert type(problem).__name__ in failed.text("en")


def test_a_bulk_change_without_history_waits_for_a_person(firm: Company) -> None:
    firm.contract("C-1")
    firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 18)), "", silent=True)
    outcome = firm.night()
    assert firm.records() == []
    assert "MILESTONE_UNPROVEN" in [f.code for f in outcome.report.findings]


def test_given_up_is_not_done(firm: Company) -> None:
    firm.contract("C-1")
    firm.world.move(firm.world.find("M1"), "已关闭", firm.at(date(2026, 11, 18)), "Li")
    firm.night()
    assert firm.records() == []


def test_an_unknown_and_an_ambiguous_name_are_findings_with_candidates(firm: Company) -> None:
    firm.contract("C-1", first="M-1")
    firm.world.add(firm.world.project("RD"), "M2", salt="twin")
    outcome = firm.night()
    found = {f.code: f for f in outcome.report.findings}
    assert "M1 (" in str(found["MILESTONE_UNKNOWN"].params["candidates"])
    assert str(found["MILESTONE_AMBIGUOUS"].params["candidates"]).count("M2 (") == 2
    assert firm.records() == []


def test_a_milestone_done_in_the_future_waits_in_quarantine_until_corrected(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", TODAY + timedelta(days=30))
    outcome = firm.night()
    assert "DATE_IN_FUTURE" in [f.code for f in outcome.report.findings]
    assert firm.records() == []
    milestone = firm.world.find("M1")
    milestone.completed_at = milestone.updated_at = int(firm.at(TODAY - timedelta(days=1)).timestamp())
    milestone.history[-1] = (milestone.updated_at, "未开始", "已完成", "Li")
    outcome = firm.night(day=TODAY + timedelta(days=1))
    assert "DATE_IN_FUTURE" not in [f.code for f in outcome.report.findings]
    assert firm.records() == [("C-1", "T1", 1, "ready")]


def test_rows_without_proof_fields_are_quarantined_and_the_good_ones_go_on(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 18))
    firm.world.find("M2").extra = {"state": "done", "surprise": 1}
    outcome = firm.night()
    assert "PROOF_FIELD_TYPE" in [f.code for f in outcome.report.findings]
    assert firm.records() == [("C-1", "T1", 1, "ready")]


def test_incremental_equals_full(tmp_path: Path) -> None:
    """Every night incrementally on one store, only the last night on another: the same lists."""
    with company(tmp_path / "a") as one, company(tmp_path / "b", world=one.world) as other:
        for firm in (one, other):
            firm.contract("C-1")
            firm.contract("C-2", connection="ops", project="OPS", first="M1 ops", second="M2 ops")
        day = date(2026, 11, 1)
        for title in ("M1", "M1 ops", "M2", "M2 ops"):
            one.night(day=day)
            day += timedelta(days=2)
            _done(one, title, day)
            day += timedelta(days=1)
        one.night(day=day)
        other.night(day=day)

        def lines(firm: Company):
            return [(r.record_id, r.gross, r.ready_on, r.evidence) for r in firm.board().ready]

        assert lines(one) == lines(other)
        assert len(lines(one)) == 4


def test_evaluating_all_gives_what_evaluating_the_touched_ones_gave(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 12))
    before = firm.board()
    again = firm.night(day=date(2026, 11, 12), full=True)
    assert again.evaluated == 1
    assert (again.posted.records, again.posted.withdrawn, again.posted.decisions) == (0, 0, 0)
    assert firm.board() == before


def test_a_dry_run_posts_nothing(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 18))
    outcome = firm.night(dry_run=True)
    assert firm.records() == []
    assert outcome.files == ()
    firm.night()
    assert len(firm.records()) == 1


def test_a_day_before_an_earlier_run_is_refused(firm: Company) -> None:
    firm.contract("C-1")
    firm.night()
    with pytest.raises(StoreError, match="earlier run"):
        firm.night(day=TODAY - timedelta(days=1))


def test_two_runs_cannot_post_at_once(firm: Company) -> None:
    firm.contract("C-1")
    with (
        firm.store.lease("night", "another run", 600, lambda: 2_000_000_000),
        pytest.raises(StoreBusy, match="another run"),
    ):
        firm.night()
    assert firm.night().state == "done"


def test_a_run_that_lost_its_lease_commits_nothing(firm: Company) -> None:
    import sqlalchemy as sa

    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 18))

    def steal(step: str) -> None:
        if step == "match":
            with firm.store.begin() as connection:
                connection.execute(sa.text("UPDATE leases SET token = 'somebody else'"))

    with pytest.raises(StoreBusy, match="lost"):
        firm.night(say=steal)
    assert firm.records() == []


def test_a_refused_contract_keeps_its_last_good_version(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 12))
    firm.contract("C-1", text="contract: C-1\nterms: [\n")
    outcome = firm.night(day=date(2026, 11, 13))
    assert "YAML_BROKEN" in [f.code for f in outcome.report.findings]
    assert firm.records() == [("C-1", "T1", 1, "ready")]


def test_an_amended_amount_withdraws_and_issues_anew(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 12))
    path = firm.folder / "contracts" / "C-1.yaml"
    path.write_text(path.read_text().replace("amount: 40%", "amount: 50%"))
    firm.night(day=date(2026, 11, 13))
    assert firm.records() == [("C-1", "T1", 1, "withdrawn"), ("C-1", "T1", 2, "ready")]
    assert [r.gross for r in firm.board().ready] == [50000]


def test_time_alone_makes_a_term_ready(firm: Company) -> None:
    text = firm.folder / "contracts" / "C-1.yaml"
    firm.contract("C-1")
    text.write_text(text.read_text().replace("when: first,", "when: {elapsed: {after: first, days: 10}},"))
    _done(firm, "M1", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 12))
    assert firm.records() == []
    assert firm.night(day=date(2026, 11, 19)).evaluated == 0
    assert firm.night(day=date(2026, 11, 20)).evaluated == 1
    assert firm.records() == [("C-1", "T1", 1, "ready")]


@pytest.mark.slow
def test_the_checks_look_at_both_doors(firm: Company) -> None:
    firm.contract("C-1")
    _done(firm, "M1", date(2026, 11, 18))
    outcome = firm.night(checks=True)
    assert firm.records() == [("C-1", "T1", 1, "ready")]
    docs = firm.folder / "out" / "data-docs"
    assert {p.name for p in docs.iterdir()} >= {"index.html", "in-rd.html", "out.html"}
    assert outcome.report.findings == ()


def test_the_evidence_of_an_acceptance_names_who_accepted(tmp_path: Path) -> None:
    with company(tmp_path, rd='accepted_states = ["已验收"]') as firm:
        text = firm.folder / "contracts" / "C-1.yaml"
        firm.contract("C-1")
        text.write_text(text.read_text("utf-8").replace("name: M1}", "name: M1, state: accepted}"), encoding="utf-8")
        milestone = firm.world.find("M1")
        firm.world.move(milestone, "已完成", firm.at(date(2026, 11, 16)), "Li")
        firm.world.move(milestone, "已验收", firm.at(date(2026, 11, 18)), "Wang")
        firm.night()
        (line,) = firm.board().ready
        assert [(e.event, e.on, e.by) for e in line.evidence] == [("first", date(2026, 11, 18), "Wang")]


def test_a_connection_that_is_not_configured_is_told_and_a_configured_one_that_is_not_pulled_is_not(
    firm: Company,
) -> None:
    firm.contract("C-1", connection="rdd")
    firm.contract("C-2", connection="ops", project="OPS", first="M1 ops", second="M2 ops")
    firm.night()
    outcome = firm.night(only="rd")
    found = [f for f in outcome.report.findings if f.code in ("CONNECTION_UNKNOWN", "MILESTONE_UNKNOWN")]
    assert [(f.code, f.place.contract, f.params["closest"]) for f in found] == [("CONNECTION_UNKNOWN", "C-1", "rd")] * 2
    assert outcome.exit_code == 1
