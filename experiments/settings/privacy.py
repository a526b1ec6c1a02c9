"""Names in settings: translated into pseudonyms on reading, and hidden where settings are written down.

Under ``privacy.pseudonyms`` a configuration may name people by their names or by their pseudonyms. Names become
pseudonyms as soon as the settings are read. What a source is read from, and every other path, stays in memory alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from datamodules.privacy.key import PrivacyError
from datamodules.privacy.pseudonyms import SUBJECT, TEXT, Pseudonyms, is_pseudonym
from datamodules.privacy.source import SourceInputs, hidden
from experiments.settings.layers import ConfigError
from experiments.settings.schema import Config, PathsConfig

HIDDEN = "(hidden)"  # what stands for a path where there is no key to make a pseudonym of it
_SUBJECT_COLUMN = "subject"
# Settings that are paths, or may be, and the words that are none.
_PATHS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("paths", "*"): tuple(vars(PathsConfig()).values()),
    ("checkpoint",): ("none",),
    ("run", "resume"): ("auto", "never"),
    ("privacy", "key"): (),
    ("datasets", "*", "shared"): (),
    ("evaluation", "checkpoints", "*", "*"): (),
    ("evaluation", "external", "*", "weights"): (),
    ("evaluation", "external", "*", "card"): (),
    ("video_encoder", "weights"): ("self_supervised", "pretrained", "random"),
}


def pseudonyms_of(config: Config) -> Pseudonyms | None:
    """Return the project's pseudonyms where the key is at hand; None without ``privacy.pseudonyms`` or without key.

    Raises:
        PrivacyError: others may read the key, it is none, or it lies among what is sent on.
    """
    if not config.privacy.pseudonyms:
        return None
    path = config.privacy.key_file()
    return Pseudonyms.of_file(path) if path.exists() else None


def key_of(config: Config) -> str:
    """Return the file of the key for building, which is made on first use; empty without ``privacy.pseudonyms``.

    Raises:
        PrivacyError: others may read the key, it is none, or it lies among what is sent on.
    """
    if not config.privacy.pseudonyms:
        return ""
    path = config.privacy.key_file()
    for name in ("data", "runs"):
        folder = Path(getattr(config.paths, name)).resolve()
        if path.resolve().is_relative_to(folder):
            raise PrivacyError(
                f"privacy.key: '{path}' lies in paths.{name}, which may be sent on; expected a place outside of it"
            )
    Pseudonyms.of_file(path, make=True)
    return str(path)


def source_of(config: Config, key: str) -> SourceInputs:
    """Return what the source of a data set is made of, with the key of the pseudonyms if there are any."""
    source = config.datasets[key].source
    return SourceInputs(source.name, source.params, key_of(config))


def translate(config: Config) -> None:
    """Replace the people that the settings name by their pseudonyms; nothing without ``privacy.pseudonyms``.

    Raises:
        ConfigError: a name has to be translated, and the key is not there.
        PrivacyError: others may read the key, it is none, or it lies among what is sent on.
    """
    if not config.privacy.pseudonyms:
        return
    if any(not dataset.shared for dataset in config.datasets.values()):
        key_of(config)  # recordings are read here, so this is where the key is made
    pseudonyms = pseudonyms_of(config)

    def person(name: str, where: str) -> str:
        if is_pseudonym(name):
            return name
        if pseudonyms is None:
            raise ConfigError(
                f"{where} names somebody by name, and the key is not there (privacy.key); expected a pseudonym"
            )
        return pseudonyms.of(SUBJECT, name)

    def people(names: list[str], where: str) -> list[str]:
        return [person(name, f"{where}.{number}") for number, name in enumerate(names)]

    for key, dataset in config.datasets.items():
        dataset.subjects = people(dataset.subjects, f"datasets.{key}.subjects")
    for source, names in config.development.items():
        config.development[source] = people(names, f"development.{source}")
    for number, target in enumerate(config.evaluation.targets):
        for side in ("test_where", "support_where"):
            chosen = getattr(target, side)
            if _SUBJECT_COLUMN in chosen:
                where = f"evaluation.targets.{number}.{side}.{_SUBJECT_COLUMN}"
                chosen[_SUBJECT_COLUMN] = people(chosen[_SUBJECT_COLUMN], where)


def person_of(config: Config, name: str, where: str) -> str:
    """Translate a person that a command line names, as :func:`translate` does.

    Raises:
        ConfigError: the name has to be translated, and the key is not there.
    """
    if not name or not config.privacy.pseudonyms or is_pseudonym(name):
        return name
    pseudonyms = pseudonyms_of(config)
    if pseudonyms is None:
        raise ConfigError(f"{where} is a name, and the key is not there (privacy.key); expected a pseudonym")
    return pseudonyms.of(SUBJECT, name)


def person_if_known(config: Config, name: str) -> str:
    """Translate a person that a card or an earlier checkpoint names, where the key is at hand; else leave the name."""
    pseudonyms = pseudonyms_of(config)
    return name if pseudonyms is None else pseudonyms.of(SUBJECT, name)


def qualified_if_known(config: Config, names: list[str] | None) -> list[str] | None:
    """Translate "source/subject" as :func:`person_if_known` does."""
    if names is None or pseudonyms_of(config) is None:
        return names
    parts = [name.partition("/") for name in names]
    return [f"{source}{slash}{person_if_known(config, person)}" for source, slash, person in parts]


def hide(config: Config, values: dict[str, Any]) -> dict[str, Any]:
    """Hide texts of sources' settings, and paths, in plain settings that are to be written down."""
    pseudonyms = pseudonyms_of(config)

    def conceal(text: str) -> str:
        return HIDDEN if pseudonyms is None else pseudonyms.of(TEXT, text)

    def walk(value: Any, path: tuple[str, ...]) -> Any:
        if path[:1] == ("datasets",) and path[2:] == ("source", "params"):
            if config.datasets[path[1]].shared or pseudonyms is None:
                return {}
            return hidden(value, pseudonyms)
        if isinstance(value, Mapping):
            return {name: walk(part, (*path, str(name))) for name, part in value.items()}
        if isinstance(value, list):
            return [walk(part, (*path, str(number))) for number, part in enumerate(value)]
        if not isinstance(value, str) or not value or is_pseudonym(value) or value == HIDDEN:
            return value
        words = next((words for pattern, words in _PATHS.items() if _fits(path, pattern)), None)
        if words is not None:
            return value if value in words else conceal(value)
        return conceal(value) if _is_path(value) else value

    return {name: walk(part, (name,)) for name, part in values.items()}


def reveal(saved: dict[str, Any], written: dict[str, Any], real: dict[str, Any]) -> dict[str, Any]:
    """Put real values back into saved settings, where what was written is what would be written now.

    Args:
        saved: settings as a run wrote them.
        written: the present settings, as they would be written.
        real: the present settings.
    """

    def walk(old: Any, shown: Any, value: Any) -> Any:
        if old == shown:
            return value
        if isinstance(old, Mapping) and isinstance(shown, Mapping) and isinstance(value, Mapping):
            return {key: walk(each, shown.get(key), value.get(key)) for key, each in old.items()}
        return old

    return {key: walk(each, written.get(key), real.get(key)) for key, each in saved.items()}


def check_saved(config: Config) -> None:
    """Refuse settings that a run wrote as those of a new one: they lack what was hidden.

    Raises:
        ConfigError: a source's settings, or a path, are pseudonyms.
    """

    def lost(value: Any) -> bool:
        return isinstance(value, str) and (value == HIDDEN or (value.startswith("t-") and is_pseudonym(value)))

    for key, dataset in config.datasets.items():
        for name, value in dataset.source.params.items():
            if lost(value):
                raise ConfigError(
                    f"datasets.{key}.source.params.{name} is a pseudonym, as runs write it; expected the value itself"
                )


def _fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(p in ("*", part) for part, p in zip(path, pattern, strict=True))


def _is_path(text: str) -> bool:
    """Say whether a text is a place on this machine, not the name of a model or an address of a package."""
    if "\n" in text or len(text) > 4096:
        return False
    if text.startswith("~") or PurePath(text).is_absolute() or PureWindowsPath(text).is_absolute():
        return True
    return ("/" in text or "\\" in text) and Path(text).exists()
