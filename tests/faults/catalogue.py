"""What can go wrong or be tried, and what must come of it: the cases behind docs/reliability.md. A test shows a case by bearing its id in its name."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ID = re.compile(r"(?<=_)[uprjailko]\d{1,2}(?=_)")


@dataclass(frozen=True, slots=True)
class Case:
    """A case. `later`: the part of the program that it comes with, when that is not there yet; `note`: what holds of it until then."""

    id: str
    fault: str
    expected: str
    later: str = ""
    note: str = ""


GROUPS: dict[str, tuple[Case, ...]] = {
    "Uploads": (
        Case("U1", "the client of a resumable upload is killed in the middle", "the offset that is stored is told; going on from there gives the same bytes, once"),
        Case("U2", "the server is killed while a chunk comes in", "the offset told later is never more than what is on disk; the upload can be ended"),
        Case("U3", "a chunk with a wrong offset; two chunks at once", "409 and nothing changed; one of the two wins"),
        Case("U4", "a chunk that is not what its checksum says", "460, the chunk dropped, the offset as it was"),
        Case("U5", "a declared length over the limit; more bytes than declared; no length", "413 before a byte is read; the connection ends at the limit; bytes are counted"),
        Case("U6", "the disk is full", "507, no job, the space given back, and uploads work again once there is room"),
        Case("U7", "hundreds of connections that send a byte now and then", "they are dropped after the idle time; others are answered meanwhile"),
        Case("U8", "forms with thousands of parts, huge headers, no or a wrong boundary", "400 or 413, nothing kept"),
        Case("U9", "the same file twice, by one tenant or by two", "one run for one tenant; two runs for two, without a hint"),
        Case("U10", "file names with paths, NUL, control and direction characters", "kept as data; never a path, never a header"),
        Case("U11", "an upload or run id that ended, expired or was guessed", "404 or 410; ids of 128 random bits"),
        Case("U12", "uploads nobody ends", "swept; what they held is given back"),
        Case("U13", "a Range header with thousands of ranges on a download", "the whole file or one range; time does not grow with the ranges"),
        Case("U14", "the last chunk twice; a death between the file and its job", "exactly one run with one job, or none of both"),
    ),
    "Parsing and archives": (
        Case("P1", "decompression bombs of every codec, packed twice, and an archive in an archive", "stopped by ratio or size, in little memory"),
        Case("P2", "a huge zstd window; several frames; a cut frame; a flipped bit", "refused; all frames read; a partial run; an error or a partial run that says where"),
        Case("P3", "archives with parent folders, absolute paths, links, devices, the same name twice", "refused whole; nothing written outside"),
        Case("P4", "an archive with very many entries or a size that lies", "a cap on entries; sizes are counted, not believed"),
        Case("P5", "a line without end, a million empty lines, CRLF, BOM, no last newline", "the line is skipped and counted; the rest changes nothing"),
        Case("P6", "endless nesting, huge numbers, NaN, half surrogates, bad UTF-8, NUL", "the line is counted or cleaned by one rule; the same answer from both databases"),
        Case("P7", "unknown events, missing or wrong fields, negative and absurd times", "counted; no exception escapes; nothing is imported by a name in a log"),
        Case("P8", "ends before starts, ends twice, stage attempts, speculative copies, a clock that goes back", "defined; no duration below zero anywhere"),
        Case("P9", "a log in progress, without an end, rolled with a part missing or out of order, compacted", "read in the order of the parts; says partial or compacted, and what is missing"),
        Case("P10", "a log that grows or is replaced while it is read", "what was there at the start is read; the change is noticed at the next question"),
        Case("P11", "a million tasks, ten thousand stages, five thousand executors, a plan of 50 MB", "within the limits of memory and time"),
        Case("P12", "binary junk, an error page, a driver log, nothing", "422 not-an-event-log from its beginning"),
        Case("P13", "real logs changed at random, and guided fuzzing", "a report or one declared refusal; never a crash"),
        Case("P14", "megabytes made to slow down patterns", "time grows with length only"),
    ),
    "Jobs and database": (
        Case("J1", "workers killed at any moment, or stopped and gone on later", "the job ends once, elsewhere; the late one changes nothing"),
        Case("J2", "death between taking a job and the first heartbeat", "the lease runs from the taking"),
        Case("J3", "many workers, many jobs", "no job twice, none lost"),
        Case("J4", "a log whose analysis crashes or takes too much memory", "its process ends, some attempts, then the job is dead and the queue goes on"),
        Case("J5", "the database crashes under load and comes back", "nothing acknowledged is lost; readiness turns red, then green"),
        Case("J6", "sessions ended, deadlocks, transactions that cannot be serialised", "tried again, within bounds; nothing half written"),
        Case("J7", "a pooler in transaction mode before PostgreSQL", "nothing depends on the session"),
        Case("J8", "SQLite: many writers, a death in a commit, a folder that cannot be written", "nobody waits longer than the timeout; the file is sound; a clear error at the start"),
        Case("J9", "a transaction of somebody else that stays open for hours", "taking a job stays quick"),
        Case("J10", "clocks that jump, on workers and servers", "leases go by the database's clock"),
        Case("J11", "several schedulers at once, or none for hours", "one start a slot; missed slots by a rule", later="schedules"),
        Case("J12", "cancelled while it waits, runs, ends; twice", "the states stay legal, against a model"),
        Case("J13", "SIGTERM while a long job runs", "no new job; the running one goes back at once, uncounted"),
        Case("J14", "the schema up and down on a filled database; two that migrate at once; an older program", "nothing lost; one migrates, the others wait; the older program refuses"),
        Case("J15", "a report too large for a row", "it lies in a file, the row says so"),
        Case("J16", "a database restored from before files were written", "what no row names is never served, and is swept"),
    ),
    "Limits, access, tenants": (
        Case("R1", "any times and costs against an exact bucket, in memory and in Redis", "never more than the bucket holds, never less by more than one"),
        Case("R2", "rates that other libraries get wrong", "what the arithmetic says"),
        Case("R3", "Redis killed, slow, flushed, full", "each server counts for itself; no request fails"),
        Case("R4", "a server whose clock is ahead", "no extra tokens"),
        Case("R5", "a forged X-Forwarded-For; many keys of one tenant", "only listed proxies are believed; the tenant's bucket holds them all"),
        Case("R6", "429", "Retry-After is right"),
        Case("A1", "keys that are missing, malformed, revoked, expired, of the wrong scope, in the address", "401, 403, 400; the key is written down nowhere"),
        Case("A2", "every route as another tenant", "the same 404 as for what does not exist; a new route that forgets fails"),
        Case("A3", "a question to PostgreSQL that forgets its tenant, by the tables' owner, on a connection that was another tenant's", "no row without a tenant, and only its own with one"),
        Case("A4", "pages of others: forged requests, foreign origins, frames", "refused"),
        Case("A5", "guessing keys", "limited by address; a malformed one costs no look-up"),
        Case("A6", "the whole API fuzzed against its document", "no 5xx, no answer that is not documented, every body of its schema"),
    ),
    "Injection and secrets": (
        Case("I1", "markup in every text of a log", "shown as text; no script, nothing loaded"),
        Case("I2", "line breaks and terminal codes in names", "escaped in logs, stripped on terminals"),
        Case("I3", "formulas in exported tables", "quoted", later="spreadsheet export", note="nothing is exported as CSV or XLSX"),
        Case("I4", "addresses that lead inside: metadata services, loopback, redirects, rebinding, other schemes", "refused after resolving; the address that was checked is the one that is asked"),
        Case("I5", "object keys with parent folders", "refused"),
        Case("I6", "secrets planted in settings, command lines, addresses, plans, exceptions", "found nowhere afterwards"),
        Case("I7", "a secret that is shown in one place and used in another", "masked in both"),
        Case("I8", "harmless look-alikes of secrets", "kept"),
        Case("I9", "SQL in sort, filter and search parameters, forged cursors", "bound as values, or refused"),
        Case("I10", "objects, entities and code in configuration and rule files", "read as data; refused"),
        Case("I11", "metrics on the public port; labels from logs", "another port; labels from fixed sets"),
    ),
    "Chat and tools": (
        Case("L1", "orders to the model in names, SQL, exceptions, settings", "no effect, whatever the model says"),
        Case("L2", "questions for the environment, the prompt, other tenants", "refused; planted words never appear"),
        Case("L3", "images and links to elsewhere", "not shown, not followed"),
        Case("L4", "the same, cut across pieces of the stream", "what is streamed is what is kept"),
        Case("L5", "invisible characters", "removed before the model and the display"),
        Case("L6", "numbers and settings that a model invents", "checked against the tools' results and not shown"),
        Case("L7", "commands inside proposed settings", "known keys and typed values only"),
        Case("L8", "a model that is late, fails, or never ends", "the answer without it"),
        Case("L9", "ten thousand findings", "cut by rank, and said so"),
        Case("L10", "MCP over HTTP: foreign host and origin, no token, other sessions, paths as handles", "refused"),
    ),
    "Kafka, lake, operations": (
        Case("K1", "Kafka: duplicates, disorder, poison, rebalances, deaths", "no loss, no effect twice", later="Kafka"),
        Case("K2", "Kafka: the broker is away", "memory stays flat", later="Kafka"),
        Case("K3", "object stores that fail, cut or lie", "tried again; lengths and checksums hold", later="lake"),
        Case("K4", "two that write one partition; death between data and manifest", "one wins; readers see whole files", later="lake"),
        Case("K5", "credentials that expire in the middle", "renewed, or a clear error", later="lake"),
        Case("O1", "a trace collector that does not answer", "requests are as quick as without"),
        Case("O2", "no file handles left", "refused, and it recovers"),
        Case("O3", "settings that are missing or wrong", "it does not start, names the variable and never its value"),
        Case("O4", "alive and ready, with the database away", "200 and 503"),
        Case("O5", "one server after the other stopped under load", "no request fails"),
        Case("O6", "an event stream that is taken up again; many idle ones", "no event lost; the server answers on"),
        Case("O7", "hours of work", "memory and file handles do not grow"),
    ),
}  # fmt: skip

CASES: dict[str, Case] = {case.id: case for cases in GROUPS.values() for case in cases}


def ids_in(name: str) -> list[str]:
    """Ids that a test's name bears: `test_u1_u2_a_killed_server` shows U1 and U2."""
    return [found.upper() for found in ID.findall(name.partition("[")[0]) if found.upper() in CASES]


def tests_by_case() -> dict[str, list[str]]:
    """Every test that bears the id, as `path::name`, read from the sources."""
    found: dict[str, list[str]] = {case: [] for case in CASES}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for case in ids_in(node.name):
                    found[case].append(f"{path.relative_to(TESTS.parent)}::{node.name}")
    return found
