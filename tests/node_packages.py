"""Packages of npm in the versions of a lock file, installed once."""

import shutil
import subprocess
from pathlib import Path


class NodeMissing(Exception):
    """There is no Node.js with npm on this machine."""


class InstallationFailed(Exception):
    """npm could not install; the text says why."""


def install_packages(folder: Path) -> str:
    """Install what `package-lock.json` in `folder` names, without running anything of it; return the path of Node.js.

    Raises NodeMissing or InstallationFailed.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NodeMissing("Node.js with npm is not installed")
    lock, installed = folder / "package-lock.json", folder / "node_modules" / "installed-lock.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise InstallationFailed(f"npm could not install what {folder.name} needs: {done.stderr[-500:]}")
        shutil.copyfile(lock, installed)
    return node
