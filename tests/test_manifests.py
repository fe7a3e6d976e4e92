"""The files that other programs read fit the schemas of those programs: Compose, GitHub Actions, Prometheus, Kubernetes."""

from pathlib import Path

import promql_parser
import pytest
import yaml
from check_jsonschema.cli import main
from click.testing import CliRunner

ROOT = Path(__file__).parents[1]
ALERT = {"alert", "expr", "for", "labels", "annotations"}
KUBERNETES = ("1.25", "1.31", "1.37")


def problems(schema, file):
    """What check-jsonschema says against a file; empty for a valid one."""
    result = CliRunner().invoke(main, ["--builtin-schema", f"vendor.{schema}", str(file)])
    return "" if result.exit_code == 0 else result.output or str(result.exception)


@pytest.mark.parametrize(
    ("schema", "name", "key"),
    [
        ("compose-spec", "compose.yaml", "depends_on"),
        ("github-actions", "action.yml", "inputs"),
        ("github-workflows", ".github/workflows/ci.yml", "runs-on"),
        ("github-workflows", ".github/workflows/release.yml", "runs-on"),
    ],
)
def test_a_file_fits_the_published_schema_and_a_misspelt_key_does_not(tmp_path, schema, name, key):
    text = (ROOT / name).read_text()
    misspelt = tmp_path / Path(name).name
    misspelt.write_text(text.replace(f"{key}:", f"{key}x:", 1))

    assert problems(schema, ROOT / name) == ""
    assert f"{key}x" in problems(schema, misspelt)


def test_prometheus_can_read_the_alert_rules():
    (group,) = yaml.safe_load((ROOT / "examples" / "deploy" / "alerts.yml").read_text())["groups"]

    assert set(group) == {"name", "rules"}
    for rule in group["rules"]:
        assert {"alert", "expr", "labels", "annotations"} <= set(rule) <= ALERT
        assert promql_parser.parse(rule["expr"])
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse("sum(rate(assistant_runs[5m]) by")


@pytest.mark.long
@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", ["kubernetes.yaml", "kubernetes-small.yaml"])
def test_a_cluster_of_each_version_accepts_the_manifests(name, version):
    kubernetes = pytest.importorskip("kubernetes_validate", reason="`make manifests` installs it")
    manifests = list(yaml.safe_load_all((ROOT / "examples" / "deploy" / name).read_text()))

    assert len(manifests) >= 5
    for manifest in manifests:
        kubernetes.validate(manifest, version, strict=True)
    manifests[-1]["spec"]["podSelectr"] = {}
    with pytest.raises(kubernetes.ValidationError, match="podSelectr"):
        kubernetes.validate(manifests[-1], version, strict=True)
