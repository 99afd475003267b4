"""Build the sdist and the wheel into dist/, and use the wheel as its users do who want no extras.

The wheel is built from the sdist, so that the sdist holds what building needs; it is installed into
a new environment outside the repository, where `smoke.py` runs.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"


def main() -> None:
    """Build and check; raises SystemExit with what is wrong, or CalledProcessError."""
    start = time.perf_counter()
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "build.log"
        with log.open("w") as stream:
            build = [sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT)]
            built = subprocess.run(build, stdout=stream, stderr=subprocess.STDOUT, check=False)
        if built.returncode:
            sys.exit(f"the build failed:\n{log.read_text()}")
        (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
        check_files(sdist, wheel)
        print(f"built {sdist.name} and {wheel.name}, {time.perf_counter() - start:.0f} s")
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        # Only what the commands import is compiled then, not every test of every dependency.
        options = ["-qq", "--no-compile", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *options, wheel], check=True)
        print(f"installed without extras, {time.perf_counter() - start:.0f} s", flush=True)
        shutil.copy(ROOT / "packaging" / "smoke.py", folder)
        # Isolated: neither this folder nor PYTHONPATH may help.
        subprocess.run([python, "-I", "smoke.py"], cwd=folder, check=True)
    print(f"the wheel works, {time.perf_counter() - start:.0f} s")


def check_files(sdist: Path, wheel: Path) -> None:
    """Exit unless every file of the packages is in both, and the sdist has no half of the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = project["tool"]["setuptools"]["package-dir"].values()
    files = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).iterdir()
        if path.is_file()
    }
    with zipfile.ZipFile(wheel) as archive:
        wheeled = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    for what, missing in {
        "wheel": {file for file in files if f"rltheory/{file}" not in wheeled},
        "sdist": (files | {"pyproject.toml", "README.md", "LICENSE"}) - packed,
    }.items():
        if missing:
            sys.exit(f"the {what} lacks {', '.join(sorted(missing))}")
    if any(name.startswith("tests/") for name in packed):
        sys.exit("the sdist has some of the tests; expected none, as MANIFEST.in says")


if __name__ == "__main__":
    main()
