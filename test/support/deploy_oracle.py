"""Files of deploy/ held against the schemas of what reads them.

Reads {file: kind} from stdin, where kind is "compose" or "kubernetes"; writes {file: [document, complaints]} for each
document of each file. Kubernetes is strict: a member that it does not know is a complaint.
"""

import json
import subprocess
import sys

import kubernetes_validate
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject

# The oldest and the newest that are still supported.
KUBERNETES = ("1.33", "1.36")
# Read by kubectl itself.
NO_RESOURCE = ("Kustomization",)


def compose(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if found.returncode == 0 else [found.stdout + found.stderr]


def keda(document):
    """The models of KEDA pass over what they do not know, so that what they have kept is compared with what there was."""
    try:
        kept = json.loads(ScaledObject.model_validate(document).model_dump_json(by_alias=True, exclude_unset=True))
    except ValueError as error:
        return [str(error)]
    return [] if kept == document else [f"not all of it is known: {json.dumps(kept)}"]


def kubernetes(document):
    if document["kind"] in NO_RESOURCE:
        return []
    if document["apiVersion"].startswith("keda.sh/"):
        return keda(document)
    complaints = []
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            complaints.append(f"{version}: {error.message}")
    return complaints


def main():
    results = {}
    for path, kind in json.load(sys.stdin).items():
        with open(path, encoding="utf-8") as file:
            documents = list(yaml.safe_load_all(file))
        check = kubernetes if kind == "kubernetes" else lambda _document, path=path: compose(path)
        results[path] = [[document, check(document)] for document in documents]
    json.dump(results, sys.stdout)


main()
