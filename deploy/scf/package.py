"""Makes the package of an SCF web function of what is in a folder. The same files make the same package, byte for byte.

    python3 deploy/scf/package.py FOLDER PACKAGE
"""

import stat
import sys
import zipfile
from pathlib import Path

# SCF starts nothing that may not be executed.
MODE = stat.S_IFREG | 0o755
# The earliest that the format has.
TIME = (1980, 1, 1, 0, 0, 0)
UNIX = 3


def add(package: zipfile.ZipFile, path: Path) -> None:
    entry = zipfile.ZipInfo(path.name, TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = UNIX
    entry.external_attr = MODE << 16
    package.writestr(entry, path.read_bytes(), compresslevel=9)


def main() -> None:
    folder, target = map(Path, sys.argv[1:])
    if b"\r" in (folder / "scf_bootstrap").read_bytes():
        sys.exit("scf_bootstrap has Windows line ends, with which SCF does not start it.")
    with zipfile.ZipFile(target, "w") as package:
        for path in sorted(folder.iterdir()):
            add(package, path)
    print(f"{target}: {target.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
