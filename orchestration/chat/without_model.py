"""One turn answered without a model: the question is understood in the light of the last ones, then answered from the runs or the knowledge."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spark_copilot.orchestration.ask import AskAnswer, KnowledgePlace, about_run, ask, of_run
from spark_copilot.orchestration.chat.focus import Focus, Meant, meaning
from spark_copilot.orchestration.chat.said import compared, detailed, how_sure, pick_runs, run_lines, saves, to_fix
from spark_copilot.orchestration.runs import AnalysedRun, KnownRun, RunSource
from spark_copilot.rag.answer import WORDS, WORDS_LONG
from spark_copilot.rag.run_said import RunAnswer
from spark_copilot.rag.safe_text import shown
from spark_copilot.rules_engine.findings import Finding

NO_RUN = "No run is part of this conversation, so there is nothing to look that up in. Name a log to ask about it."


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn's answer and what is spoken of after it."""

    answer: AskAnswer
    focus: Focus
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Talk:
    """What a turn may draw on."""

    runs: RunSource
    place: KnowledgePlace
    long: bool = False

    @property
    def words(self) -> int:
        """The most words of an answer."""
        return WORDS_LONG if self.long else WORDS


def reply(question: str, focus: Focus, talk: Talk, *, pick: bool = True) -> Turn:
    """The answer to one question of a conversation. `pick` False: the run in focus holds, whatever runs the question names.

    Raises:
        CopilotError: a run's log cannot be read, or nothing is asked.
    """
    known = talk.runs.known()
    ids = [run.run_id for run in known]
    named = pick_runs(question, known) if pick else []
    if focus.run_id is not None and focus.run_id not in ids:
        focus = replace(focus, run_id=None, stage=None, sql=None, finding=None, listed=(), intent="", question="")
    if named:
        focus = replace(focus, run_id=named[0], other_run_id=named[1] if len(named) > 1 else focus.other_run_id)
    run_id = focus.run_id or (ids[0] if ids else None)
    meant = meaning(question, focus)
    if meant.action == "runs":
        return Turn(_plain(run_lines(known)), replace(focus, run_id=run_id, intent="runs", question=question), tuple(ids[:20]))
    if meant.action in ("why", "more") and focus.intent == "compare" and not named:
        return _compare(
            focus.question, known, [i for i in (focus.other_run_id, run_id) if i is not None and i in ids], focus, replace(talk, long=True)
        )
    if meant.action == "compare":
        return _compare(question, known, named, replace(focus, run_id=run_id), talk)
    if run_id is None:
        if meant.action != "answer":
            return _general(focus.question or question, focus, replace(talk, long=talk.long or meant.action == "more"))
        return _general(meant.question, focus, talk)
    if meant.action == "other-run":
        other = next((i for i in (focus.other_run_id, *ids) if i is not None and i != run_id and i in ids), None)
        if other is None:
            return Turn(_plain(["There is only one run in this conversation."]), focus, (run_id,))
        return reply(focus.question, replace(focus, run_id=other, other_run_id=run_id, question=""), talk, pick=False)
    analysed = talk.runs.get(run_id)
    return _of_one(meant, replace(focus, run_id=run_id), analysed, talk)


def _of_one(meant: Meant, focus: Focus, analysed: AnalysedRun, talk: Talk) -> Turn:
    """A question about one run."""
    report = analysed.report
    finding = next((f for f in report.findings if f.key == focus.finding), None)
    made: RunAnswer | None = None
    if meant.action == "more":
        talk = replace(talk, long=True)
        meant = Meant("answer", focus.question)
    elif meant.action == "finding":
        finding = next((f for f in report.findings if f.key in meant.question), None)
        made = detailed(finding, analysed) if finding is not None else RunAnswer("finding", "There is no finding of that key in this run.")
    elif meant.action in ("next", "previous"):
        return _step(meant, focus, analysed, talk)
    elif meant.action == "sure":
        made = how_sure(finding, analysed)
    elif meant.action == "why" and finding is not None:
        made = detailed(finding, analysed)
    elif meant.action == "why" and focus.stage is not None:
        meant = Meant("answer", f"why is stage {focus.stage.split('.')[0]} slow")
    elif meant.action == "why":
        meant = Meant("answer", "why is this run slow")
    elif meant.action == "fix":
        made = to_fix(finding) if finding is not None else None
        meant = Meant("answer", "what should I change")
    elif meant.action == "saving":
        made = saves(finding, analysed) if finding is not None else None
        meant = Meant("answer", "how much can be saved")
    if made is None:
        made = about_run(meant.question, report, analysed.run)
    if made is None:
        return _general(meant.question, focus, talk)
    answer = of_run(made, report, talk.place, talk.words)
    return Turn(answer, _moved(focus, made, meant.question, report.findings), (analysed.run_id,))


def _moved(focus: Focus, made: RunAnswer, question: str, findings: Sequence[Finding]) -> Focus:
    """What is in focus after an answer: what it listed, and the finding it rests on."""
    listed = made.stages or tuple(f"sql:{i}" for i in made.sql) or made.findings
    if made.intent in ("finding", "changes", "saving", "sure") and made.findings:
        listed = made.findings
    stage = made.stages[0] if made.stages else None
    if stage is None and made.findings:
        first = next((f for f in findings if f.key == made.findings[0]), None)
        if first is not None and first.where.stage_id is not None:
            stage = f"{first.where.stage_id}.{first.where.stage_attempt or 0}"
    keep = made.intent in (
        "about",
        "duration",
        "counts",
        "volumes",
        "setting",
        "settings",
        "not-in-log",
        "sure",
        "whatif",
        "executors",
        "memory",
        "load",
    )
    return replace(
        focus,
        intent=made.intent,
        question=question,
        stage=stage or (focus.stage if keep else None),
        sql=made.sql[0] if made.sql else None,
        finding=made.findings[0] if made.findings else (focus.finding if keep else None),
        listed=listed or (focus.listed if keep else ()),
        at=0 if listed else focus.at,
    )


def _step(meant: Meant, focus: Focus, analysed: AnalysedRun, talk: Talk) -> Turn:
    """The next, previous or n-th of what was listed; after a single stage, the stage that ran after it."""
    run, report = analysed.run, analysed.report
    listed = focus.listed
    if len(listed) == 1 and focus.intent in ("stage", "finding", "stages") and focus.stage is not None and "@" not in listed[0]:
        listed = tuple(run.stages.ref(row) for row in range(len(run.stages)) if not run.stages.skipped[row])
        focus = replace(focus, listed=listed, at=listed.index(focus.stage) if focus.stage in listed else 0)
    elif len(listed) <= 1 and report.findings:
        keys = tuple(f.key for f in report.findings)
        focus = replace(focus, listed=keys, at=keys.index(focus.finding) if focus.finding in keys else -1)
    to = int(meant.question[1:]) if meant.question.startswith("#") else None
    moved = (
        replace(focus, at=to)
        if to is not None and to < len(focus.listed)
        else None
        if to is not None
        else focus.step(1 if meant.action == "next" else -1)
    )
    if moved is None:
        there = len(focus.listed)
        text = f"There is no {'further' if meant.action == 'next' else 'earlier'} one: {there} {'was' if there == 1 else 'were'} listed."
        return Turn(_plain([text]), focus, (analysed.run_id,))
    at = moved.listed[moved.at]
    if "@" in at:
        finding = next((f for f in report.findings if f.key == at), None)
        made = detailed(finding, analysed) if finding is not None else None
    elif at.startswith("sql:"):
        made = about_run(f"tell me about SQL {at[4:]}", report, run)
    else:
        made = about_run(f"tell me about stage {at}", report, run)
    if made is None:
        return Turn(_plain(["That is not in the log."]), focus, (analysed.run_id,))
    after = _moved(moved, made, f"tell me about {at}", report.findings)
    return Turn(of_run(made, report, talk.place, talk.words), replace(after, listed=moved.listed, at=moved.at), (analysed.run_id,))


def _compare(question: str, known: Sequence[KnownRun], named: Sequence[str], focus: Focus, talk: Talk) -> Turn:
    pair = compared.pair(question, known, named, focus.run_id)
    if pair is None:
        if focus.run_id is None:
            return _general(question, focus, talk)
        analysed = talk.runs.get(focus.run_id)
        made = about_run(f"compare with the other run: {question}", analysed.report, analysed.run)
        answer = of_run(made, analysed.report, talk.place, talk.words) if made is not None else _plain([NO_RUN])
        return Turn(answer, replace(focus, intent="compare", question=question), (focus.run_id,))
    baseline, candidate = talk.runs.get(pair[0]), talk.runs.get(pair[1])
    made = compared.answer(baseline, candidate, long=talk.long)
    answer = of_run(made, candidate.report, talk.place, talk.words)
    after = replace(
        focus, run_id=pair[1], other_run_id=pair[0], intent="compare", question=question, listed=made.stages, at=0, stage=None, finding=None
    )
    return Turn(answer, after, pair)


def _general(question: str, focus: Focus, talk: Talk) -> Turn:
    answer = ask(question, talk.place, long=talk.long)
    return Turn(answer, replace(focus, intent="general", question=question, listed=(), finding=None, stage=None, sql=None, at=0))


def _plain(lines: Sequence[str]) -> AskAnswer:
    return AskAnswer(answer=shown("\n".join(lines)), citations=())
