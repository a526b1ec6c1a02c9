"""The documentation site: it builds without a warning, and every module has its place on it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("core", "datamodules", "encoders", "lightning_modules", "experiments")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_site_builds_and_has_every_module(tmp_path: Path) -> None:
    site = tmp_path / "site"
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, "\n".join(
        line for line in (result.stdout + result.stderr).splitlines() if "WARNING" in line or "ERROR" in line
    )
    found = {anchor for page in (site / "api").rglob("*.html") for anchor in anchors(page)}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            assert name in found, f"{name} is on no page"
    assert "lightning_modules.losses.sigmoid.SigmoidLoss" in found
    settings = (site / "settings.html").read_text(encoding="utf-8")
    assert "<code>trainer.max_epochs</code>" in settings
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="architecture.html"' in home
    # The site fetches nothing from elsewhere.
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://[^"]+', home)


def anchors(page: Path) -> list[str]:
    return re.findall(r'id="([\w.]+)"', page.read_text(encoding="utf-8"))
