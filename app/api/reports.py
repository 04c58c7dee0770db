"""What is known of a finished run: its report in three forms, its findings, its plan and its figures."""

import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from spark_copilot.app.api.caller import CallerDep
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.run_resource import PREFIX, chosen, finished, report_text, reports_of, stored_report
from spark_copilot.app.service import Service
from spark_copilot.app.watch.metrics import looked_up
from spark_copilot.rules_engine.errors import CopilotError
from spark_copilot.rules_engine.findings import ApplicationInfo, CostReport, Finding, Recommendation, Report
from spark_copilot.storage.models import Run, StoredReport

APPLICATION = Query(description="Which application of a log that holds several: its number from 0, its id, or id/attempt.", max_length=500)
CACHE = "private, max-age=3600, immutable"
"""A finished report does not change. Private: it is the tenant's."""


class ListedFinding(Finding):
    """A finding with what people said of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    application: int = Field(description="Number of the application in the log, from 0.")
    muted: bool
    feedback: Literal["useful", "wrong", "done"] | None


class Findings(BaseModel):
    """Findings of a run, most valuable first."""

    run_id: str
    items: list[ListedFinding]
    next: str | None = None


class Recommendations(BaseModel):
    """The plan of a run, in the order to apply it."""

    run_id: str
    items: list[Recommendation]
    next: str | None = None


class Metrics(BaseModel):
    """The figures of a run."""

    run_id: str
    application: ApplicationInfo
    facts: dict[str, Any]
    cost: CostReport | None


def router(service: Service) -> APIRouter:
    """The nouns that hang on a finished run."""
    api = APIRouter(prefix=PREFIX, tags=["reports"])

    def one(tenant: str, run_id: str, application: str | None) -> Report:
        run = finished(service, tenant, run_id)
        return Report.model_validate_json(report_text(service, run, stored_report(service, tenant, run_id, application)))

    @api.get(
        "/runs/{run_id}/report",
        response_model=Report,
        responses={
            200: {
                "description": "The report. A log of several applications: one JSON report a line (application/x-ndjson).",
                "content": {kind: {"schema": {"type": "string"}} for kind in ("text/markdown", "text/html", "application/x-ndjson")},
                "headers": {"ETag": {"description": "Of this form of the report.", "schema": {"type": "string"}}},
            },
            304: {"description": "The report is the one that If-None-Match names."},
            **problems(404, 409, 413, 422, 503),
        },
    )
    def report(
        request: Request,
        who: CallerDep,
        run_id: str,
        form: Annotated[Literal["json", "md", "html"], Query(alias="format")] = "json",
        application: Annotated[str | None, APPLICATION] = None,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """The report as `spark-copilot analyze --format` prints it."""
        del request
        run = finished(service, who.tenant, run_id)
        reports = reports_of(service, who.tenant, run_id)
        wanted = reports if application is None else [chosen(reports, run_id, application)]
        digest = hashlib.sha256(f"{form} {run.analyser} {' '.join(r.etag for r in wanted)}".encode()).hexdigest()[:32]
        headers = {"ETag": f'"{digest}"', "Cache-Control": CACHE, "X-Content-Type-Options": "nosniff"}
        known = if_none_match is not None and (if_none_match.strip() == "*" or digest in if_none_match)
        looked_up("client", hit=known)
        if known:
            return Response(status_code=304, headers=headers)
        if form == "json":
            texts = [report_text(service, run, stored) for stored in wanted]
            kind = "application/json" if len(texts) == 1 else "application/x-ndjson"
            return Response(texts[0] if len(texts) == 1 else b"".join(t + b"\n" for t in texts), media_type=kind, headers=headers)
        pages = [_rendered(service, run, stored, form) for stored in wanted]
        if form == "md":
            return Response(b"\n".join(pages), media_type="text/markdown; charset=utf-8", headers=headers)
        # The page holds text of the log: whatever got through the escaping may not run or load anything.
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"}
        return Response(b"\n".join(pages), media_type="text/html; charset=utf-8", headers=headers | policy)

    @api.get("/runs/{run_id}/findings", responses=problems(404, 409, 413, 422, 503))
    def findings(
        who: CallerDep,
        run_id: str,
        muted: Annotated[Literal["exclude", "include", "only"], Query(description="What to do with muted findings.")] = "exclude",
        application: Annotated[str | None, APPLICATION] = None,
    ) -> Findings:
        """The findings of all applications of the log, without those that are muted."""
        run = finished(service, who.tenant, run_id)
        reports = reports_of(service, who.tenant, run_id)
        wanted = reports if application is None else [chosen(reports, run_id, application)]
        silenced = {mute.fingerprint for mute in service.repository.mutes(who.tenant)}
        said = service.repository.feedback(who.tenant, run_id)
        items = []
        for stored in wanted:
            for finding in Report.model_validate_json(report_text(service, run, stored)).findings:
                hidden = finding.fingerprint in silenced
                if muted == "include" or hidden == (muted == "only"):
                    verdict = said[finding.key].verdict if finding.key in said else None
                    items.append(
                        ListedFinding(
                            **{name: getattr(finding, name) for name in Finding.model_fields},
                            application=stored.number, muted=hidden, feedback=verdict,
                        )
                    )  # fmt: skip
        return Findings(run_id=run_id, items=items)

    @api.get("/recommendations/{run_id}", responses=problems(404, 409, 413, 422, 503))
    def recommendations(who: CallerDep, run_id: str, application: Annotated[str | None, APPLICATION] = None) -> Recommendations:
        """The plan, without what only muted findings call for."""
        found = one(who.tenant, run_id, application)
        silenced = {mute.fingerprint for mute in service.repository.mutes(who.tenant)}
        quiet = {finding.key for finding in found.findings if finding.fingerprint in silenced}
        items = [advice for advice in found.plan if not advice.because or not quiet.issuperset(advice.because)]
        return Recommendations(run_id=run_id, items=items)

    @api.get("/metrics/{run_id}", responses=problems(404, 409, 413, 422, 503))
    def metrics(who: CallerDep, run_id: str, application: Annotated[str | None, APPLICATION] = None) -> Metrics:
        """Which application it was, and the figures that the agents state."""
        found = one(who.tenant, run_id, application)
        return Metrics(run_id=run_id, application=found.application, facts=found.facts, cost=found.cost)

    return api


def _rendered(service: Service, run: Run, stored: StoredReport, form: Literal["md", "html"]) -> bytes:
    def make() -> tuple[bytes, bool]:
        report = Report.model_validate_json(report_text(service, run, stored))
        if form == "md":
            from spark_copilot.app.report import markdown

            return markdown.render(report).encode(), True
        return _page(service, run, stored, report)

    return service.bodies.rendered(stored.etag, form, make)


def _page(service: Service, run: Run, stored: StoredReport, report: Report) -> tuple[bytes, bool]:
    from spark_copilot.app.report import html
    from spark_copilot.connectors.run_tables import read_tables

    assert run.results is not None
    try:
        parsed = read_tables(service.files.path(run.results) / str(stored.number))
    except CopilotError:
        parsed = None  # the page has no timeline then
    return html.render(report, parsed).encode(), parsed is not None
