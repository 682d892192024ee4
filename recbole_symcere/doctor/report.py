"""An examination as a person reads it: lines on a terminal, and a block for a bug report."""

import getpass
import re
import socket
from pathlib import Path

from recbole_symcere.doctor.findings import Facts, Finding

__all__ = ["report", "without_names"]

_MARKS = {"ok": "ok", "note": "note", "trouble": "TROUBLE"}


def report(facts: Facts) -> str:
    """What ``doctor`` prints: a line for each finding, what to do, what to paste."""
    findings = facts["findings"]
    width = max(len(finding["about"]) for finding in findings)
    lines = [
        f"{_MARKS[finding['state']]:<8}{finding['about']:<{width}}  {finding['said']}"
        for finding in findings
    ]
    wrong = [finding for finding in findings if finding["state"] == "trouble"]
    optional = [finding for finding in findings if finding["state"] == "note"]
    if wrong:
        lines += ["", "What to do:"]
        lines += [f"  {finding['about']}: {_remedy(finding)}" for finding in wrong]
    else:
        lines += ["", "Everything that is needed is there."]
    told = [finding for finding in optional if finding["remedy"]]
    if told:
        lines += ["", "If you want it:"]
        lines += [f"  {finding['about']}: {finding['remedy']}" for finding in told]
    pasted = without_names(_markdown(facts))
    return "\n".join([*lines, "", "Paste into a bug report:", "", pasted])


def _remedy(finding: Finding) -> str:
    return finding["remedy"] or "write a bug report with the block below"


def _markdown(facts: Facts) -> str:
    versions = ", ".join(f"{name} {there or '-'}" for name, there in facts["versions"].items())
    lines = ["```text", "recbole-symcere doctor", f"versions: {versions}"]
    for finding in facts["findings"]:
        mark = "" if finding["state"] == "ok" else f"{_MARKS[finding['state']]}: "
        lines.append(f"{finding['about']}: {mark}{finding['said']}")
        if finding["state"] == "trouble" and finding["remedy"]:
            lines.append(f"  {finding['remedy']}")
    return "\n".join([*lines, "```", ""])


def without_names(text: str) -> str:
    """Text without the names of the user and the machine, and with ~ for the home folder."""
    home = Path.home()
    for place in {str(home), str(home.resolve())} - {"/"}:
        text = re.sub(rf"{re.escape(place)}(?=[/\s:;,'\")]|$)", "~", text)
    for name, stands in ((_user(), "USER"), (socket.gethostname(), "HOST")):
        if name and name != "localhost":
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", stands, text)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a process without an account
        return ""
