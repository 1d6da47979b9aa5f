"""Finding a Chromium: the system's, else Playwright's own. ``python -m tests.chromium find``."""

import shutil
import subprocess
import sys
from pathlib import Path

OFF = (
    "WebUIOmniboxAimPopup",  # this and the next: a page of the browser's own beside each of the tests'
    "WebUIOmniboxPopup",  # which costs as much as a fourth of what theirs do
    "AimEnabled",  # these are what Playwright turns off, whose list this one replaces
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(OFF)}",
]


def find_chromium() -> str | None:
    """The first that runs: Ubuntu's package is but a word on where else there is one."""
    browsers = Path.home() / ".cache" / "ms-playwright"
    found = [*filter(None, map(shutil.which, NAMES)), *sorted(browsers.glob("chromium-*/*/chrome"))]
    return next((str(path) for path in found if runs(path)), None)


def runs(program: str | Path) -> bool:
    """Whether it says which version it is."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    path = find_chromium()
    if path is None:
        sys.exit(1)
    print(path)
