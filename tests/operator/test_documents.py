"""YAML text → documents with lines."""

import pytest

from rutta_operator.spec.documents import Source, gather, parse
from rutta_operator.spec.problems import Problem


def read(text):
    return parse([Source("a.yaml", text)])


def test_every_value_knows_its_line_also_in_flow_and_later_documents():
    _, second = read(
        "a: 1\n---\n# words\nspec:\n  listeners:\n  - {name: x}\n  - name: y\n    udp:\n      port: 7\n"
    ).documents
    assert second.line(("spec",)) == 4
    assert second.line(("spec", "listeners", 0, "name")) == 6
    assert second.line(("spec", "listeners", 1, "udp", "port")) == 9
    assert second.line(("spec", "listeners", 1, "udp", "missing")) == 8
    assert str(second.locate(Problem(("spec", "listeners", 1), "no"))) == "a.yaml:7: spec.listeners[1]: no"


def test_a_key_given_twice_is_an_error_at_the_second():
    assert [str(one) for one in read("a:\n  b: 1\n  c: 2\n  b: 3\n").findings] == [
        "a.yaml:4: a.b: is given twice, first in line 2"
    ]


def test_merged_mappings_are_no_duplicates_and_own_keys_win():
    text = "base: &b {x: 1, y: 2}\none: {<<: *b, x: 3}\ntwo: &t {<<: *b, y: 4}\nagain: *t\n"
    got = read(text)
    assert got.findings == []
    assert got.documents[0].value == {
        "base": {"x": 1, "y": 2}, "one": {"x": 3, "y": 2}, "two": {"x": 1, "y": 4}, "again": {"x": 1, "y": 4},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-02", "2026-01-02"), ("22:22", "22:22"), ("1:30.5", "1:30.5"), ("0640", 0o640), ("0x1F", 31),
        ("12", 12), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("yes", True), ("~", None), ("'5'", "5"),
        ("1_000", 1000), ("08", "08"), (".", "."), ("!!binary aGk=", "aGk="),
    ],
)  # fmt: skip
def test_scalars_are_read_as_the_api_server_reads_them(text, value):
    got = read(f"v: {text}\n").documents[0].value["v"]
    assert got == value
    assert type(got) is type(value)


def test_keys_are_texts():
    assert read("{on: 1, 5: 2}").documents[0].value == {"on": 1, "5": 2}


def test_a_list_is_taken_apart_and_keeps_lines():
    got = read("kind: List\nitems:\n- kind: A\n- kind: BList\n  items:\n  - kind: B\n    x: 1\n").documents
    assert [one.value["kind"] for one in got] == ["A", "B"]
    assert got[1].line(("x",)) == 7


def test_empty_documents_are_none():
    assert read("---\n---\n# nothing\n---\na: 1\n").documents[0].value == {"a": 1}
    assert len(read("---\n---\na: 1\n").documents) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "a.yaml:2: is not YAML: "),
        ("a: 1\nb: @x\n", "a.yaml:2: is not YAML: "),
        ("a: &a [*a]\n", "a.yaml: is not YAML: an alias refers to what it is inside of"),
        ("a: !!python/object:os.system x\n", "a.yaml:1: a: 'x' cannot be read"),
        ("a: \x00\n", "a.yaml: is not YAML: "),
    ],
)
def test_what_is_no_yaml_is_a_finding(text, said):
    assert str(read(text).findings[0]).startswith(said)


def test_aliases_of_aliases_do_not_fill_the_memory():
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    assert "aliases make it more than" in str(read(bomb).findings[0])


def test_documents_before_a_broken_one_are_kept():
    got = read("a: 1\n---\nb: [\n")
    assert [one.value for one in got.documents] == [{"a": 1}]
    assert len(got.findings) == 1


def test_files_and_directories_are_gathered_and_what_is_missing_is_found(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "b.yaml").write_text("b: 1\n")
    (tmp_path / "d" / "a.yml").write_text("a: 1\n")
    (tmp_path / "d" / "c.txt").write_text("c: 1\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    names = [str(tmp_path / one) for one in ("d", "empty", "latin.yaml", "none.yaml")]
    sources, findings = gather(names)
    assert [source.text for source in sources] == ["a: 1\n", "b: 1\n"]
    assert [str(one).removeprefix(str(tmp_path)) for one in findings] == [
        "/empty: cannot be read: the directory has no *.yaml file",
        "/latin.yaml: is not UTF-8 text",
        "/none.yaml: cannot be read: No such file or directory",
    ]
