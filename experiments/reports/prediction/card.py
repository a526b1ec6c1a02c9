"""The model card of a head: what it was fitted on, what it is worth for the next person, and what it can't do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.markdown_text import code, plain, row
from core.plural import plural
from experiments.inference.head import Head

CARD = "README.md"
_METHODS = {
    "hybrid_logistic": "logistic regression on handcrafted and pretrained features",
    "linear_probe": "logistic regression on pretrained features",
    "handcrafted_logistic": "logistic regression on handcrafted features",
}


def model_card(head: Head) -> str:
    """Write the card as Markdown, from what the head holds."""
    about: dict[str, Any] = dict(head.about)
    estimate: dict[str, Any] = about["estimate"]
    return (
        "\n\n".join(
            [
                f"# Head for {len(head.classes)} activities, {plain(about['experiment'])}: {plain(about['target'])}",
                *(
                    ["**Simulated data**: this head was fitted on simulated people, not on real ones."]
                    * about["simulated"]
                ),
                *(
                    [f"**Incomplete training**: its encoder is of {stopped}."]
                    if head.encoder is not None and (stopped := head.encoder.config.incomplete)
                    else []
                ),
                *([_personal_sentence(about["personal"])] if "personal" in about else []),
                _sentence(estimate) if "personal" not in about else "**Of anybody else:** " + _sentence(estimate),
                "## What it recognises\n\n" + _activities(head, about),
                "## Data and people\n\n" + _data(head, about),
                *(["## One person\n\n" + _personal(about["personal"])] if "personal" in about else []),
                "## Estimate for the next person\n\n" + _estimate(head, estimate),
                "## Limits\n\n" + _limits(head, about, estimate),
                "## Use\n\n```bash\npython -m experiments.predict THIS_FOLDER recording.csv --time time_ms:ms"
                " --acceleration ax,ay,az:g --gyroscope gx,gy,gz:deg/s\n```",
            ]
        )
        + "\n"
    )


def _names(found: Sequence[str]) -> str:
    return ", ".join(map(plain, found))


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _sentence(estimate: dict[str, Any]) -> str:
    if estimate["mean"] is None:
        return "Nobody was left out: **there is no estimate for the next person**."
    interval = ""
    if estimate["low"] is not None:
        low, high = max(0.0, estimate["low"]), min(1.0, estimate["high"])
        interval = f" (95 % interval over people: {100 * low:.0f} to {100 * high:.0f} %)"
    return (
        f"On people whom it never saw it recognises {_percent(estimate['mean'])} of the windows, averaged over"
        f" activities and people{interval}; guessing gives {_percent(estimate['chance'])}."
    )


def _personal_sentence(personal: dict[str, Any]) -> str:
    labelled = sum(personal["labelled"].values())
    return (
        f"**This head is for {plain(personal['subject'])}**, of whom it has {labelled} labelled windows. It recognises"
        f" {_percent(personal['with_labels'])} of the person's {personal['tested']} later windows, averaged over"
        f" activities; without these labels it would be {_percent(personal['without_labels'])}."
    )


def _personal(personal: dict[str, Any]) -> str:
    rows = ["| activity | labelled windows of the person |", "| --- | ---: |"]
    rows += [row([name, str(count)]) for name, count in personal["labelled"].items()]
    few = "One person was tested: no interval can be given, and another day may differ."
    return "\n\n".join(["\n".join(rows), f"{personal['note'][:1].upper()}{personal['note'][1:]}. {few}"])


def _activities(head: Head, about: dict[str, Any]) -> str:
    counts: dict[str, int] = about["windows_by_activity"]
    recall = _recalls(about["estimate"]["confusion"])
    rows = ["| activity | labelled windows | recognised, on unseen people |", "| --- | ---: | ---: |"]
    for i, name in enumerate(head.classes):
        known = recall[i] if i < len(recall) else None
        rows.append(row([name, str(counts.get(name, 0)), _percent(known) if known is not None else "not tested"]))
    return "\n".join(rows)


def _recalls(confusion: Any) -> list[float | None]:
    return [line[i] / sum(line) if sum(line) else None for i, line in enumerate(confusion)]


def _data(head: Head, about: dict[str, Any]) -> str:
    window = head.window
    lines = [
        f"- Source: {_names(about['source'])}; data set {code(about['dataset'])}"
        f"{', simulated' if about['simulated'] else ''}.",
        f"- People: {len(about['subjects'])} ({_names(about['subjects'])}); population:"
        f" {_names(about['populations'])}.",
        f"- Sensor: {_names(about['placements'])}; device: {_names(about['devices'])};"
        f" {'with' if about['gyroscope'] else 'without'} gyroscope.",
        f"- Windows: {about['windows']} labelled ones of {window.duration_s:g} s at {window.imu_rate_hz:g} Hz.",
        f"- Method: `{head.method}`, {_METHODS[head.method]}.",
    ]
    if head.encoder is not None:
        people = head.encoder.config.pretraining_subjects
        lines.append(
            f"- Encoder: `{head.encoder.config.name}`, weights SHA-256 `{head.encoder.digest()[:16]}`, pretrained on"
            f" {plural(len(people), 'person', 'people') if people is not None else 'people that are not known'}"
            f"{' (simulated)' if head.encoder.config.simulated else ''}; in `encoder/`."
        )
    return "\n".join(lines)


def _estimate(head: Head, estimate: dict[str, Any]) -> str:
    if estimate["mean"] is None:
        return "\n".join(f"- {plain(remark)}" for remark in estimate["remarks"]) or "- none"
    rows = ["| left out | windows | balanced accuracy |", "| --- | ---: | ---: |"]
    rows += [row([name, str(estimate["windows"][name]), _percent(v)]) for name, v in estimate["subjects"].items()]
    lines = [
        "Each person was left out once: a head fitted on the others predicted this person's windows, one by one and"
        f" not smoothed. Interval: {estimate['interval'] or 'none for fewer than three people'}.",
        "\n".join(rows),
        _calibration(head, estimate),
        "\n".join(f"- {plain(remark)}" for remark in estimate["remarks"]),
    ]
    return "\n\n".join(line for line in lines if line)


def _calibration(head: Head, estimate: dict[str, Any]) -> str:
    before = f"log loss {estimate['log_loss_uncalibrated']:.3f}"
    error = f"calibration error {estimate['calibration_error_uncalibrated']:.3f}"
    if head.temperature == 1:
        return f"Probabilities are used as they are; on left-out people: {before}, {error}."
    return (
        f"Logits are divided by the temperature {head.temperature:.3f}, which was fitted on left-out people alone."
        f" For each person by the others' temperature: {before} before, {estimate['log_loss']:.3f} after; {error}"
        f" before, {estimate['calibration_error']:.3f} after."
    )


def _limits(head: Head, about: dict[str, Any], estimate: dict[str, Any]) -> str:
    lines = [
        f"- It knows {len(head.classes)} activities. Anything else is called one of them, or `unsure`.",
        f"- It was fitted on a sensor at {_names(about['placements'])}. Another place on the body, or another way"
        " to fix the sensor, was not tested here.",
        f"- Windows last {head.window.duration_s:g} s: shorter episodes are not told.",
        "- The estimate is for people like these, recorded like these. Days at home differ from sessions with a task.",
        "- It is no medical device. Nothing here says that its output is fit for a decision about a patient.",
    ]
    if estimate["mean"] is not None and len(estimate["subjects"]) < 10:
        left_out = plural(len(estimate["subjects"]), "person was", "people were")
        few = "is wide, and may be too narrow" if estimate["low"] is not None else "needs at least three"
        lines.append(f"- {left_out} left out: the interval {few}.")
    if not about["gyroscope"]:
        lines.append("- It does not use a gyroscope.")
    return "\n".join(lines)
