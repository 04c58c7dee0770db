"""What a conversation is about, and what a question that leans on it means: "why?", "and the one after it?", "and with 8 executors?"."""

import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

Action = Literal["answer", "why", "sure", "next", "previous", "fix", "saving", "compare", "more", "finding", "runs", "other-run"]


@dataclass(frozen=True, slots=True)
class Focus:
    """What was spoken of last. `listed` holds stages, SQL ids or finding keys in the order said; `at` is the place in it. JSON-able."""

    run_id: str | None = None
    other_run_id: str | None = None
    intent: str = ""
    question: str = ""
    stage: str | None = None
    sql: int | None = None
    executor: str | None = None
    finding: str | None = None
    listed: tuple[str, ...] = ()
    at: int = 0

    def as_json(self) -> dict[str, Any]:
        """For the thread's state."""
        return {**asdict(self), "listed": list(self.listed)}

    @classmethod
    def of(cls, stored: dict[str, Any] | None) -> Self:
        """From a thread's state; what is not there is empty."""
        if not stored:
            return cls()
        known = {name: stored[name] for name in cls.__slots__ if name in stored}
        return cls(**{**known, "listed": tuple(stored.get("listed", ()))})

    def step(self, by: int) -> "Focus | None":
        """The next or previous thing of the list; None at its end."""
        at = self.at + by
        return replace(self, at=at) if 0 <= at < len(self.listed) else None


@dataclass(frozen=True, slots=True)
class Meant:
    """What a question asks for: an action, and the question said in full."""

    action: Action
    question: str


_THAT = r"(?:that|this|it)"
_THING = r"(?:one|stage|finding|problem|query|step)"
_WHY = re.compile(
    rf"^(?:but |and |so )?(?:why|how come|what causes? {_THAT}|because of what|explain(?: {_THAT})?)(?: (?:is|was) {_THAT}(?: so)?)?\W*$"
)
_SURE = re.compile(
    rf"^(?:and |but )?(?:how (?:sure|certain|confident) (?:are you|is {_THAT})|are you (?:sure|certain)|can i trust {_THAT}|really)\b.{{0,20}}$"
)
_NEXT = re.compile(
    rf"^(?:and |what about |what is |how about |then )*(?:the )?(?:next|one after|following|another|other) ?(?:{_THING}|that|it)?(?: (?:after|then|after it|after that))?\W*$"
    rf"|^and the (?:one )?after {_THAT}\W*$|^what else\W*$|^anything else\W*$"
)
_PREVIOUS = re.compile(
    rf"^(?:and |what about )*(?:the )?(?:previous|one before|before)(?: (?:{_THING}|that|it))?\W*$|^and the one before {_THAT}\W*$"
)
_NTH = re.compile(rf"^(?:and |what about |how about )*(?:the )?(first|second|third|fourth|fifth|last)(?: {_THING})?\W*$")
_FIX = re.compile(
    rf"^(?:and |so |ok(?:ay)?,? )*(?:how (?:do|can|would|should) (?:i|we|you) (?:fix|mend|solve|avoid|change|do) {_THAT}"
    rf"|what (?:should|can|do) (?:i|we) do(?: about {_THAT})?|fix {_THAT}|what to do|which setting(?: exactly)?|how)\W*$"
)
_SAVING = re.compile(
    rf"^(?:and )?(?:what (?:does|would) {_THAT} (?:save|bring|win|gain)|how much (?:does|would|can|could) {_THAT} (?:save|bring|win|gain)"
    rf"|what is {_THAT} worth|worth it|how much)\W*$"
)
_MORE = re.compile(
    rf"^(?:tell me |say |give me )?(?:more|longer|in (?:more )?detail|details?|go on|continue)(?: (?:about {_THAT}|please|details?))?\W*$"
)
_COMPARE = re.compile(
    r"\bcompare\b|\byesterday|last (?:run|week|night|time)|(?:previous|earlier|other|first|second) (?:run|log)|slower than|faster than|\bdiff(?:er|erence)"
    r"|what (?:has )?changed|\bregress|\bversus\b|\bvs\.?\b|(?:both|the two) (?:runs|logs)"
)
_OTHER_RUN = re.compile(
    r"^(?:and |what about |how about |same (?:question )?(?:for|in|with) |and (?:in|for|with) )+(?:the )?(?:other|previous|second|first|earlier|last) (?:run|log|one)\W*$"
)
_RUNS = re.compile(
    r"\b(?:which|what|list|show)\b.{0,20}\b(?:runs|logs|applications)\b(?! .*\b(?:slow|fast|differ))|\bhow many (?:runs|logs|applications)\b"
)
_AND_WITH = re.compile(r"^(?:and |but |what |how )*(?:(?:about|if) )?(?:with |for |using |at |on )?(\d{1,5})\W*$")
_PLACES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}
_IT = re.compile(r"\b(?:that|this|the same) stage\b|\bits\b|\bit\b|\bthere\b")
_FINDING = re.compile(r"\b([a-z][a-z0-9-]{2,40}@(?:stage|sql|executor|table|setting|app)[\w:./\-]{0,120})")


def meaning(question: str, focus: Focus) -> Meant:
    """The action a question asks for in the light of what was spoken of last."""
    text = " ".join(question.lower().split())
    if _FINDING.search(text):
        return Meant("finding", question)
    if _RUNS.search(text):
        return Meant("runs", question)
    has = bool(focus.question)
    if has:
        short = _short(text, question, focus)
        if short is not None:
            return short
    if _COMPARE.search(text) and not re.search(r"\bstages? \d+.*\bstages? \d+", text):
        return Meant("compare", question)
    return Meant("answer", _completed(question, text, focus) if has else question)


def _short(text: str, question: str, focus: Focus) -> Meant | None:
    about = focus.finding or focus.stage or focus.sql is not None or focus.intent == "compare"
    table: tuple[tuple[re.Pattern[str], Action], ...] = (
        (_OTHER_RUN, "other-run"), (_SURE, "sure"), (_MORE, "more"), (_PREVIOUS, "previous"), (_WHY, "why"), (_FIX, "fix"), (_SAVING, "saving"),
    )  # fmt: skip
    for pattern, action in table:
        if pattern.search(text):
            return Meant(action, question) if about or action not in ("why", "fix", "saving", "previous") else _whole(action, question)
    nth = _NTH.search(text)
    if nth is not None and focus.listed:
        place = _PLACES[nth[1]]
        return Meant("next", f"#{place if place >= 0 else len(focus.listed) - 1}")
    if _NEXT.search(text):
        return Meant("next", question)
    size = _AND_WITH.search(text)
    if size is not None and focus.intent == "whatif":
        return Meant("answer", f"what if {size[1]} executors")
    return None


def _whole(action: Action, question: str) -> Meant:
    """A short question with nothing in focus is about the run."""
    said = {"why": "why is the run slow", "fix": "what should I change", "saving": "how much can be saved"}
    return Meant("answer", said.get(action, question))


def _completed(question: str, text: str, focus: Focus) -> str:
    """The question with the stage it speaks of named, where it says "it" or "that stage" after a stage was the subject."""
    if re.search(r"\b(?:stage|executor|sql|query|run|job|app|application)s? #?\d|\bthe (?:run|job|app|application|log)\b", text):
        return question
    if focus.stage and (re.search(r"\b(?:that|this|the same) stage\b", text) or (focus.intent == "stage" and _IT.search(text))):
        number = focus.stage.split(".")[0]
        return (
            re.sub(r"(?i)\b(?:that|this|the same) stage\b", f"stage {number}", question)
            if "stage" in text
            else f"{question} (stage {number})"
        )
    if (
        focus.intent == "whatif"
        and re.search(r"^(?:and|but|what about|how about)\b", text)
        and re.search(r"\d|double|half|twice|more|fewer", text)
    ):
        return question if "executor" in text else f"{question.rstrip(' ?')} executors"
    match = re.fullmatch(r"(?:and |what about |how about )+(?:the )?([a-z][a-z \-]{2,40})\W*", text)
    if match is not None:
        return f"what about {match[1]} in this run"
    return question
