"""The provenance has the form that in-toto and SLSA ask for, and nothing of the machine."""

import json
from dataclasses import replace

from release.provenance import Build, rendered, statement

BUILD = Build(
    version="0.1.0",
    commit="c" * 40,
    images=("operator",),
    materials={"base localhost/base": "b" * 64},
    tools={"python": "3.12.1", "helm": "v3.0.0"},
)
SUBJECTS = {"b.whl": "2" * 64, "a.tgz": "1" * 64}


def test_it_is_a_statement_about_each_artefact_by_digest() -> None:
    made = json.loads(rendered(BUILD, SUBJECTS))
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["predicateType"] == "https://slsa.dev/provenance/v1"
    assert made["subject"] == [
        {"name": "a.tgz", "digest": {"sha256": "1" * 64}},
        {"name": "b.whl", "digest": {"sha256": "2" * 64}},
    ]
    assert made["predicate"].keys() == {"buildDefinition", "runDetails"}
    definition = made["predicate"]["buildDefinition"]
    assert definition.keys() == {"buildType", "externalParameters", "resolvedDependencies"}
    assert definition["resolvedDependencies"] == [
        {"name": "source", "digest": {"gitCommit": "c" * 40}},
        {"name": "base localhost/base", "digest": {"sha256": "b" * 64}},
    ]
    assert made["predicate"]["runDetails"]["builder"] == {
        "id": "urn:distillation-operator:make-release",
        "version": {"helm": "v3.0.0", "python": "3.12.1"},
    }


def test_a_repository_and_uncommitted_changes_are_told_with_the_source() -> None:
    build = replace(BUILD, repository="https://example.com/a.git", uncommitted=True)
    [source, _] = statement(build, SUBJECTS)["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["uri"] == "git+https://example.com/a.git"
    assert source["annotations"] == {"uncommittedChanges": True}


def test_order_of_what_is_given_changes_nothing() -> None:
    turned = replace(BUILD, tools=dict(reversed(list(BUILD.tools.items()))))
    assert rendered(turned, dict(reversed(SUBJECTS.items()))) == rendered(BUILD, SUBJECTS)
