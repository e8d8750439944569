#!/usr/bin/env python3
"""Prints what the programs are made of, as a CycloneDX 1.5 document.

Everything comes from `cargo metadata` and Cargo.lock: the crates that are linked into the programs,
with their licenses, the hashes of their archives, and who needs whom. Crates that only tests or
builds need are left out. The same sources give the same document.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def checksums():
    """Returns the hash of each crate's archive, by name and version."""
    with open(os.path.join(ROOT, "Cargo.lock"), encoding="utf-8") as file:
        text = file.read()
    found = {}
    for block in text.split("[[package]]")[1:]:
        fields = dict(re.findall(r'^(\w+) = "(.*)"$', block, re.MULTILINE))
        if "checksum" in fields:
            found[fields["name"], fields["version"]] = fields["checksum"]
    return found


def commit_time():
    """Returns when the sources were last changed, or the time that a build asks for."""
    command = [os.path.join(ROOT, "packaging", "time.sh")]
    seconds = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    time = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def linked(target):
    """Returns name and version of what is linked into the programs.

    `cargo metadata` alone would not do: it also turns on the features that only tests ask for.
    """
    command = ["cargo", "tree", "--locked", "--target", target]
    command += ["--edges", "normal", "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = (re.match(r"(\S+) v(\S+)", line) for line in lines.splitlines())
    return {match.groups() for match in found if match}


def dependencies(metadata, target):
    """Returns the ids of what is linked into the programs, each with what it needs itself."""
    packages = {package["id"]: (package["name"], package["version"]) for package in metadata["packages"]}
    is_linked = linked(target)
    return {
        # A kind of null is an ordinary dependency; others are of tests and builds.
        node["id"]: sorted(
            dependency["pkg"]
            for dependency in node["deps"]
            if packages[dependency["pkg"]] in is_linked
            and any(kind["kind"] is None for kind in dependency["dep_kinds"])
        )
        for node in metadata["resolve"]["nodes"]
        if packages[node["id"]] in is_linked
    }


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, sums):
    """Returns a crate as CycloneDX describes it."""
    entry = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package.get("license"):
        # Old crates write a slash where the expression has OR.
        expression = package["license"].replace("/", " OR ")
        entry["licenses"] = [{"expression": re.sub(" +", " ", expression)}]
    checksum = sums.get((package["name"], package["version"]))
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--version", help="the version to name, if not that of Cargo.toml")
    options.add_argument("--target", default=os.uname().machine + "-unknown-linux-gnu")
    options = options.parse_args()
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    command += ["--filter-platform", options.target]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    needs = dependencies(metadata, options.target)
    root = metadata["resolve"]["root"]
    sums = checksums()

    program = component(packages[root], sums)
    program["type"] = "application"
    if options.version:
        program["version"] = options.version
    crates = sorted((packages[crate] for crate in needs if crate != root), key=reference)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": commit_time(), "component": program},
        "components": [component(crate, sums) for crate in crates],
        "dependencies": [
            {
                "ref": reference(packages[crate]),
                "dependsOn": [reference(packages[other]) for other in needs[crate]],
            }
            for crate in sorted(needs, key=lambda crate: reference(packages[crate]))
        ],
    }
    # The number tells documents apart; equal ones have the same.
    name = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}"
    json.dump(document, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
