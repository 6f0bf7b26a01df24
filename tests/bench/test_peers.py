"""Reading what the measured programs say of themselves, and of packages that are not there."""

import pytest
from rutta_bench import packages, rounds
from rutta_bench.model import Job, Missing
from rutta_bench.peers import logprep, otelcol, rsyslog, rutta, syslog_ng


def test_rutta_delivered_is_summed_over_targets():
    assert rutta.delivered({"targets": [{"delivered": 3}, {"delivered": 4}]}) == 7


def test_rsyslog_processed_is_the_newest_whole_line_of_the_action():
    line = 'Sun Nov 22 17:29:14 2026: {{ "name": "{}", "origin": "core.action", "processed": {} }}\n'
    stats = line.format("out", 50) + line.format("out", 70) + line.format("action-0-mmjsonparse", 90)
    assert rsyslog.processed(stats) == 70
    assert rsyslog.processed(stats + line.format("out", 99)[:-4]) == 70
    assert rsyslog.processed("") == 0


def test_syslog_ng_written_is_of_the_file_only():
    stats = (
        "dst.file;d#0;/dev/null;a;written;50\ndst.file;d#0;/dev/null;a;queued;2\nsrc.network;s#0;tcp;a;processed;52\n"
    )
    assert syslog_ng.written(stats) == 50
    assert syslog_ng.written("") == 0


def test_logprep_stored_is_of_the_output_only():
    page = (
        "# HELP x\n"
        'logprep_number_of_processed_events_total{component="output",name="out"} 1.4123e+04\n'
        'logprep_number_of_processed_events_total{component="input",name="web"} 15000.0\n'
    )
    assert logprep.stored(page) == 14_123
    assert logprep.stored("") == 0


def test_otelcol_sent_is_of_its_exporter_only():
    page = (
        "# HELP x\n"
        'otelcol_exporter_sent_log_records__records__total{exporter="otlp",otel_scope_name=""} 1.4e+04\n'
        'otelcol_receiver_accepted_log_records__records__total{receiver="filelog"} 15000\n'
    )
    assert otelcol.sent(page) == 14_000
    assert otelcol.sent("") == 0


def test_packages_to_fetch_are_read_from_what_apt_prints():
    plan = (
        "'http://deb.example/pool/libe/libestr0_0.1.11-1_amd64.deb' libestr0_0.1.11-1_amd64.deb 9204 MD5Sum:af\n"
        "'http://deb.example/pool/r/rsyslog_8.2%2bdeb12u2_amd64.deb' rsyslog_8.2+deb12u2_amd64.deb 724132 \n"
    )
    assert packages.names(plan) == ["libestr0", "rsyslog"]


@pytest.mark.parametrize("make", [rsyslog.make, syslog_ng.make, logprep.make, otelcol.make])
def test_a_peer_that_is_not_there_is_a_note_with_the_command_that_installs_it(make, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_args, **_named: None)
    peer = make(tmp_path, offline=True)
    there, absent = rounds.versions({peer.name: peer}, say=lambda _text: None)
    assert there == {}
    assert "install" in absent[peer.name]


def test_a_job_that_a_peer_cannot_do_is_missing_too(tmp_path):
    with pytest.raises(Missing, match="no tcp or udp input"):
        logprep.make(tmp_path, offline=True).start(Job(transport="tcp"), tmp_path)
    with pytest.raises(Missing, match="log files only"):
        otelcol.make(tmp_path, offline=True).start(Job(transport="tcp"), tmp_path)
    with pytest.raises(Missing, match="no input or output"):
        rsyslog.make(tmp_path, offline=True).start(Job(transport="http"), tmp_path)
