"""A measurement in words."""

from typing import Any


def told(engine: str, name: str, f: dict[str, Any], seconds: float) -> None:
    """One measurement in words."""
    print(f"{engine}, {name} ({seconds:.0f} s)")
    if name == "upload":
        print(
            f"  {f['bytes'] >> 20} MiB in {f['seconds']} s ({f['mb_per_s']} MB/s); cp through the socket {f['cp_seconds']} s ({f['cp_mb_per_s']} MB/s): {f['share_of_cp']:.0%} of cp"
        )
        print(f"  memory of the API {f['api_mb_before']} MB before, {f['api_peak_mb']} MB at most")
    elif name == "reads":
        print(
            f"  {f['clients']} clients, p50 {f['p50_ms']} ms, p95 {f['p95_ms']} ms, most {f['max_ms']} ms, {f['failed']} failed; idle p50 {f['idle_p50_ms']} ms, p95 {f['idle_p95_ms']} ms"
        )
        print(
            f"  {f['while_both_are_analysed']} of {f['requests']} reads in the {f['both_analysed_s']} s in which two logs of {f['log_mb']} MB were analysed; the figures are theirs"
        )
    elif name == "killed":
        print(
            f"  {f['done']} of {f['logs']} done in {f['seconds']} s with {f['kills']} kills ({f['attempts_cut_short']} attempts cut short), {f['seconds_without_kills']} s without"
        )
        print(f"  lost {f['lost']}, failed {f['failed']}, analysed twice {f['analysed_twice']}")
    else:
        print(
            f"  {f['failed']} of {f['requests']} requests failed, logs done {f['sent_and_done']}; with one server {f['failed_with_one_server']} of {f['requests_with_one_server']}"
        )
