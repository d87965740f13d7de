"""What a prune leaves on the screen, in a few lines; and the whole list, as it was and as it is."""

from __future__ import annotations

from collections import Counter

from ..storage.catalog import shown
from ..system.text import human_size
from .policy import Policy
from .prune import Intent, Pruned

_SHOWN = 10


def intended(intent: Intent, policy: Policy) -> list[str]:
    """Given the intent, return the lines that say what would be done."""
    lines = _lines(intent, "would remove", len(intent.plan.goes), sum(intent.sizes.values()))
    if intent.plan.is_more_than(policy.most_percent):
        lines.append(f"this is more than {policy.most_percent} percent of the archives: it will need -e yes=true")
    return [*lines, *intent.notes]


def done(pruned: Pruned) -> list[str]:
    """Given what was done, return the lines that say so."""
    removed = pruned.removed
    lines = _lines(pruned.intent, "removed", len(pruned.archives), removed.freed)
    if removed.kept:
        codes = ", ".join(sorted(set(removed.kept.values())))
        lines.append(
            f"the store keeps {len(removed.kept)} of what was to go, such as {next(iter(removed.kept))} ({codes})"
        )
    return [*lines, *pruned.intent.notes, *removed.notes]


def listing(intent: Intent) -> dict[str, str]:
    """Given the intent, return all of the store's archives `before` and `after`, oldest first, a line for each."""
    stays = {each.key: f"{each.key} ({reason})" for each, reason in intent.plan.stays.items()}
    goes = {key: key for key in intent.sizes}
    before = [text for _, text in sorted((stays | goes).items())]
    after = [text for _, text in sorted(stays.items())]
    return {"before": "\n".join([*before, ""]), "after": "\n".join([*after, ""])}


def _lines(intent: Intent, verb: str, count: int, size: int) -> list[str]:
    plan = intent.plan
    total = len(plan.goes) + len(plan.stays)
    oldest = f", the oldest of {shown(plan.oldest.stamp)} UTC" if plan.oldest else ""
    lines = [f"{verb} {count} of {total} archives ({human_size(size)}); {total - count} stay{oldest}"]
    reasons = Counter(reason for each, reason in plan.stays.items() if each.key not in plan.special)
    if reasons:
        lines.append("they stay as " + ", ".join(f"{reason}: {number}" for reason, number in reasons.items()))
    special = [f"{each.key}: {reason}" for each, reason in plan.stays.items() if each.key in plan.special]
    lines += [f"besides these stays {each}" for each in special[:_SHOWN]]
    if len(special) > _SHOWN:
        lines.append(f"and {len(special) - _SHOWN} more stay for such reasons: --check --diff names each")
    if intent.safety or intent.records or intent.history:
        lines.append(
            f"{verb} besides: of the safety backups {len(intent.safety)}, of the records below drills/"
            f" {len(intent.records)}, of the history's files {len(intent.history)}"
        )
    return lines
