# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is told for PostgreSQL: pure plans, and the whole module on a directory that stands for the host."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgmahout.cluster.plugins.module_utils._pg import host_settings, layout, tools
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.errors import InputError, StateError
from ansible_collections.pgmahout.cluster.plugins.module_utils._pg.plan import Plan
from ansible_collections.pgmahout.cluster.plugins.modules import pg_host
from tests.support.modules import ok, refused

SYSCTL, TMPFILES, DROP_IN = layout.PREPARATION
TRANSPARENT = "/sys/kernel/mm/transparent_hugepage/enabled"
RELOAD = "systemctl daemon-reload"
VALUES = {"vm.nr_hugepages": "0", "vm.overcommit_ratio": "50", "vm.overcommit_memory": "0", "vm.dirty_background_bytes": "0",
          "vm.dirty_bytes": "0", "vm.swappiness": "60"}
MEMORY = {"MemTotal": 8000000, "SwapTotal": 1000000, "CommitLimit": 5000000, "Committed_AS": 3000000, "Hugepagesize": 2000,
          "HugePages_Total": 0}
NOTHING: dict[str, Any] = dict.fromkeys(pg_host.ARGUMENT_SPEC)
UNTOUCHED = host_settings.Current(
    {**VALUES, TRANSPARENT: "always"}, dict.fromkeys([SYSCTL, TMPFILES, DROP_IN]), fixed=[], memory=MEMORY,
    most_open_files=1048576, systemd=True, unread=False, is_root=True)


def wanted(**options: Any) -> host_settings.Wanted:
    return host_settings.desired({**NOTHING, **options})


def plan(current: host_settings.Current, **options: Any) -> Plan:
    return host_settings.plan(current, wanted(**options))


def shown(found: Plan) -> list[str]:
    return [step.shown for step in found.steps]


def done(current: host_settings.Current, **options: Any) -> host_settings.Current:
    """The host after the steps for these options."""
    asked = wanted(**options)
    return current._replace(values={**current.values, **asked.values}, files=asked.files)


@pytest.mark.parametrize(("options", "told"), [
    ({"huge_pages": -1}, "huge_pages is -1; give a number of pages, 0 or more"),
    ({"overcommit_memory": 3}, "overcommit_memory is 3; give 0, 1 or 2"),
    ({"overcommit_ratio": 0}, "overcommit_ratio is 0; give a percentage of the memory, 1 or more"),
    ({"dirty_background_bytes": 64}, "dirty_background_bytes is 64; give a size of 1M or more"),
    ({"dirty_bytes": 256}, "dirty_bytes is 256; give a size of 1M or more"),
    ({"swappiness": 201}, "swappiness is 201; give a number from 0 to 200"),
    ({"swappiness": -1}, "swappiness is -1; give a number from 0 to 200"),
    ({"open_files": 1023}, "open_files is 1023; give a number of 1024 or more"),
    ({"core_size": "unlimited"}, "core_size is 'unlimited'; give infinity, or a size"),
    ({"core_size": "1M\nUser=root"}, r"core_size is '1M\\nUser=root'; give infinity, or a size"),
    ({"core_size": ""}, "core_size is ''; give infinity, or a size"),
    ({"dirty_bytes": 2 ** 26, "dirty_background_bytes": 2 ** 26}, "dirty_background_bytes is 67108864 and dirty_bytes"),
])
def test_a_value_that_cannot_be_right_is_refused_by_the_name_of_its_option(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match="^The option " + told):
        wanted(**options)


@pytest.mark.parametrize("options", [
    {"huge_pages": 0}, {"overcommit_ratio": 1}, {"dirty_background_bytes": 2 ** 20, "dirty_bytes": 2 ** 20 + 1},
    {"swappiness": 0}, {"swappiness": 200}, {"open_files": 1024}, {"core_size": "infinity"}, {"core_size": "0"},
    {"core_size": "512M"}])
def test_the_least_and_the_greatest_value_are_taken(options: dict[str, Any]) -> None:
    text = "".join(file or "" for file in wanted(**options).files.values())
    assert all(str(value) in text for value in options.values())


def test_each_option_has_its_place_and_no_other() -> None:
    files = wanted(huge_pages=10, transparent_huge_pages="never", overcommit_memory=2, overcommit_ratio=90, swappiness=1,
                   dirty_background_bytes=2 ** 26, dirty_bytes=2 ** 29, open_files=65536, core_size="infinity").files
    lines = {path: (text or "").splitlines()[1:] for path, text in files.items()}
    assert lines == {
        SYSCTL: ["vm.nr_hugepages = 10", "vm.overcommit_ratio = 90", "vm.overcommit_memory = 2",
                 "vm.dirty_background_bytes = 67108864", "vm.dirty_bytes = 536870912", "vm.swappiness = 1"],
        TMPFILES: [f"w {TRANSPARENT} - - - - never"],
        DROP_IN: ["[Service]", "LimitNOFILE=65536", "LimitCORE=infinity"]}
    assert all((text or "").startswith("#") for text in files.values())
    assert set(wanted().files.values()) == {None}


def test_nothing_asked_of_an_untouched_host_is_nothing() -> None:
    assert plan(UNTOUCHED) == Plan([], {}, {})
    assert plan(UNTOUCHED._replace(is_root=False, systemd=False, fixed=list(VALUES))) == Plan([], {}, {})


def test_what_is_in_force_already_is_only_kept_over_a_reboot() -> None:
    found = plan(UNTOUCHED._replace(fixed=["vm.swappiness"]), swappiness=60)
    assert shown(found) == [f"write {SYSCTL}"]
    assert found.before == {"vm.swappiness": "60", SYSCTL: []}
    assert found.after == {"vm.swappiness": "60", SYSCTL: [host_settings._HEADER, "vm.swappiness = 60"]}


@pytest.mark.parametrize(("options", "expected"), [
    ({"swappiness": 10}, ["sysctl vm.swappiness=10", f"write {SYSCTL}"]),
    ({"transparent_huge_pages": "never"}, [f"echo never > {TRANSPARENT}", f"write {TMPFILES}"]),
    ({"open_files": 65536}, [f"write {DROP_IN}", RELOAD]),
    ({"overcommit_memory": 2, "overcommit_ratio": 90, "huge_pages": 10},
     ["sysctl vm.nr_hugepages=10", "sysctl vm.overcommit_ratio=90", "sysctl vm.overcommit_memory=2", f"write {SYSCTL}"]),
])
def test_every_option_is_put_in_force_and_kept_and_then_left_alone(options: dict[str, Any], expected: list[str]) -> None:
    assert shown(plan(UNTOUCHED, **options)) == expected
    assert shown(plan(done(UNTOUCHED, **options), **options)) == []


def test_what_somebody_else_changed_since_is_put_right() -> None:
    settled = done(UNTOUCHED, swappiness=10, open_files=65536)
    drifted = settled._replace(values={**settled.values, "vm.swappiness": "60"})
    assert shown(plan(drifted, swappiness=10, open_files=65536)) == ["sysctl vm.swappiness=10"]
    edited = settled._replace(files={**settled.files, SYSCTL: "vm.swappiness = 10\n"})
    assert shown(plan(edited, swappiness=10, open_files=65536)) == [f"write {SYSCTL}"]


def test_what_is_no_longer_asked_for_is_forgotten_and_stays_in_force() -> None:
    settled = done(UNTOUCHED, swappiness=10, huge_pages=5, open_files=65536)
    less = plan(settled, huge_pages=5, open_files=65536)
    assert shown(less) == [f"write {SYSCTL}"]
    assert "swappiness" not in less.steps[0].values["text"]
    assert shown(plan(settled)) == [f"rm {SYSCTL}", f"rm {DROP_IN}", RELOAD]


def test_a_drop_in_that_systemd_did_not_notice_is_made_known_to_it() -> None:
    settled = done(UNTOUCHED, open_files=65536)._replace(unread=True)
    assert shown(plan(settled, open_files=65536)) == [RELOAD]
    assert shown(plan(UNTOUCHED._replace(unread=True))) == [RELOAD]


@pytest.mark.parametrize(("changes", "options", "told"), [
    ({"systemd": False}, {"open_files": 65536}, "not run by systemd"),
    ({"systemd": False}, {"core_size": "0"}, "not run by systemd"),
    ({}, {"open_files": 1048577}, "open_files is 1048577 and systemd can give 1048576 here"),
    ({}, {"huge_pages": 4001}, "huge_pages is 4001, which at 2000 kB each is more than the 8000000 kB of memory"),
    ({"is_root": False}, {"swappiness": 10}, "does not run as root; run it with become"),
    ({"is_root": False}, {"swappiness": 60}, "does not run as root; run it with become"),
    ({"fixed": ["vm.swappiness"]}, {"swappiness": 10}, "vm.swappiness was to be 10, is 60, and cannot be written here"),
    ({"values": {**VALUES, "vm.swappiness": None}}, {"swappiness": 10}, "swappiness was to be 10 and this kernel does not"),
])
def test_what_the_host_cannot_take_is_refused_before_anything_is_touched(changes: dict[str, Any], options: dict[str, Any],
                                                                        told: str) -> None:
    with pytest.raises(StateError, match=told):
        plan(UNTOUCHED._replace(**changes), **options)


@pytest.mark.parametrize(("values", "options", "limit"), [
    ({}, {"overcommit_memory": 2, "overcommit_ratio": 24}, 2920000),
    ({}, {"overcommit_memory": 2, "huge_pages": 2001}, 2999000),
    ({"vm.overcommit_memory": "2"}, {"overcommit_ratio": 10}, 1800000),
    ({"vm.overcommit_memory": "2"}, {"huge_pages": 3000}, 2000000),
])
def test_a_limit_on_promised_memory_that_is_passed_already_is_refused(values: dict[str, str], options: dict[str, int],
                                                                      limit: int) -> None:
    with pytest.raises(StateError, match=r"no more than %d kB .* has promised 3000000 kB" % limit):
        plan(UNTOUCHED._replace(values={**UNTOUCHED.values, **values}), **options)


def test_a_limit_on_promised_memory_that_leaves_room_is_set() -> None:
    assert plan(UNTOUCHED, overcommit_memory=2, overcommit_ratio=25).steps
    assert plan(UNTOUCHED, overcommit_memory=2, huge_pages=2000).steps
    assert plan(UNTOUCHED, overcommit_ratio=1).steps, "a ratio is not kept to while memory is overcommitted"


def test_without_a_ratio_the_limit_is_the_one_that_the_kernel_tells() -> None:
    in_kbytes = UNTOUCHED._replace(values={**UNTOUCHED.values, "vm.overcommit_ratio": "0"})
    assert plan(in_kbytes, overcommit_memory=2).steps
    with pytest.raises(StateError, match="no more than 2999999 kB"):
        plan(in_kbytes._replace(memory={**MEMORY, "CommitLimit": 2999999}), overcommit_memory=2)


def test_a_host_that_has_passed_its_limit_since_is_not_refused_when_nothing_changes() -> None:
    settled = done(UNTOUCHED, overcommit_memory=2, overcommit_ratio=24)
    assert shown(plan(settled, overcommit_memory=2, overcommit_ratio=24)) == []


class FakeHost:
    """A directory with what the module looks at, and the systemd of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[Sequence[str]] = []
        self.units = unit("not-found", "")
        for name, value in {**VALUES, "fs.nr_open": "1048576"}.items():
            self.put("/proc/sys/" + name.replace(".", "/"), value + "\n")
        self.put(TRANSPARENT, "always [madvise] never\n")
        self.put_systemd(65536, "000001ffffffffff")
        self.put("/proc/meminfo", "".join(f"{name}:   {value} kB\n" for name, value in MEMORY.items()))
        for directory in ("/etc/sysctl.d", "/run/systemd/system"):
            self.at(directory).mkdir(parents=True)

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def put(self, path: str, text: str) -> None:
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).write_text(text)

    def put_systemd(self, open_files: int, rights: str) -> None:
        self.put("/proc/1/limits", f"Max open files            1024                 {open_files}               files\n")
        self.put("/proc/1/status", f"Name:\tsystemd\nCapEff:\t{rights}\n")

    def tree(self) -> dict[str, str]:
        return {str(path.relative_to(self.root)): path.read_text() for path in self.root.rglob("*") if path.is_file()}

    def run(self, argv: Sequence[str]) -> str:
        self.calls.append(argv)
        return self.units if argv[1] == "show" else ""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    made = FakeHost(tmp_path)
    monkeypatch.setattr(host_settings, "ROOT", str(tmp_path))
    monkeypatch.setattr(tools, "run", made.run)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return made


ALL: dict[str, Any] = {
    "huge_pages": 10, "transparent_huge_pages": "never", "overcommit_memory": 2, "overcommit_ratio": 90, "swappiness": 1,
    "dirty_background_bytes": "64M", "dirty_bytes": "512M", "open_files": 65536, "core_size": "infinity"}


def test_the_module_does_what_check_mode_says_and_then_nothing(host: FakeHost) -> None:
    before = host.tree()
    planned = ok("pg_host", check=True, **ALL)
    assert host.tree() == before
    assert [call for call in host.calls if call[1] != "show"] == []
    made = ok("pg_host", **ALL)
    assert (made["changed"], made["commands"], made["diff"]) == (True, planned["commands"], planned["diff"])
    assert len(made["commands"]) == 11
    assert host.calls[-1] == ["systemctl", "daemon-reload"]
    assert host.at("/proc/sys/vm/dirty_bytes").read_text() == "536870912"
    assert host.at(TRANSPARENT).read_text() == "never"
    assert host.at(SYSCTL).read_text().splitlines()[1:3] == ["vm.nr_hugepages = 10", "vm.overcommit_ratio = 90"]
    assert {path: oct(host.at(path).stat().st_mode & 0o777) for path in (SYSCTL, TMPFILES, DROP_IN)} == dict.fromkeys(
        (SYSCTL, TMPFILES, DROP_IN), "0o644")
    settled = host.tree()
    again = ok("pg_host", **ALL)
    assert (again["changed"], again["commands"]) == (False, [])
    assert host.tree() == settled


def test_without_options_the_files_are_gone_and_what_is_in_force_stays(host: FakeHost) -> None:
    ok("pg_host", **ALL)
    gone = ok("pg_host")
    assert gone["commands"] == [f"rm {path}" for path in (SYSCTL, TMPFILES, DROP_IN)] + [RELOAD]
    assert not any(host.at(path).exists() for path in (SYSCTL, TMPFILES, DROP_IN))
    assert host.at("/proc/sys/vm/swappiness").read_text() == "1"
    assert ok("pg_host")["changed"] is False


def test_a_host_that_was_never_prepared_is_left_as_it_is(host: FakeHost) -> None:
    before = host.tree()
    assert ok("pg_host")["changed"] is False
    assert host.tree() == before


def unit(load: str, drop_ins: str, stale: bool = False) -> str:
    """What systemctl shows of a unit."""
    return "LoadState=%s\nDropInPaths=%s\nNeedDaemonReload=%s\n" % (load, drop_ins, "yes" if stale else "no")


@pytest.mark.parametrize(("units", "asked", "reloaded"), [
    ([unit("not-found", "")], True, False),
    ([unit("loaded", "")], True, True),
    ([unit("loaded", f"/etc/other.conf {DROP_IN}")], True, False),
    ([unit("loaded", DROP_IN, stale=True)], True, True),
    ([unit("loaded", DROP_IN), unit("loaded", "")], True, True),
    ([unit("loaded", "", stale=True)], False, False),
    ([unit("loaded", DROP_IN)], False, True),
])
def test_a_run_that_was_killed_before_systemd_knew_is_finished(host: FakeHost, units: list[str], asked: bool,
                                                             reloaded: bool) -> None:
    options = {"open_files": 65536} if asked else {}
    ok("pg_host", **options)
    host.units = "\n".join(units)
    assert ok("pg_host", **options)["commands"] == ([RELOAD] if reloaded else [])


@pytest.mark.parametrize(("own", "rights", "most"), [
    (65536, "000001ffffffffff", 1048576), (20000, "00000000a82435fb", 20000), (2 ** 30, "0", 1048576)])
def test_no_more_open_files_are_promised_than_systemd_can_give(host: FakeHost, own: int, rights: str, most: int) -> None:
    host.put_systemd(own, rights)
    assert f"open_files is {most + 1} and systemd can give {most} here" in refused("pg_host", open_files=most + 1)
    assert ok("pg_host", open_files=most)["changed"] is True


def test_fewer_huge_pages_than_asked_for_is_an_error_that_says_how_many_there_are(host: FakeHost,
                                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_settings, "_set", lambda _name, _value: host.put("/proc/sys/vm/nr_hugepages", "7\n"))
    assert "huge_pages is 10 and the kernel found room for 7" in refused("pg_host", huge_pages=10)
    assert "vm.nr_hugepages = 10" in host.at(SYSCTL).read_text(), "the next boot has room for them"


@pytest.mark.skipif(not os.access("/proc/sys/vm/overcommit_ratio", os.W_OK), reason="only root may ask the kernel")
def test_a_value_that_the_kernel_refuses_is_told_by_its_name_and_not_kept(host: FakeHost) -> None:
    before = Path("/proc/sys/vm/overcommit_ratio").read_text()
    host.at("/proc/sys/vm/overcommit_ratio").unlink()
    host.at("/proc/sys/vm/overcommit_ratio").symlink_to("/proc/sys/vm/overcommit_ratio")
    assert refused("pg_host", overcommit_ratio=2 ** 40) == (
        "The setting vm.overcommit_ratio was to be 1099511627776 and the kernel refused it: Invalid argument; "
        "choose another value.")
    assert Path("/proc/sys/vm/overcommit_ratio").read_text() == before
    assert not host.at(SYSCTL).exists()


def test_a_file_that_cannot_be_written_is_told(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_source: str, _target: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "rename", fails)
    assert refused("pg_host", swappiness=60) == (
        f"The file {host.at(SYSCTL)} was to be changed and that failed: Read-only file system; look at its file system.")
    assert not host.at(SYSCTL).exists()


def test_what_a_killed_run_left_of_a_file_does_not_get_into_it(host: FakeHost) -> None:
    host.put(SYSCTL + ".pgmahout", "vm.swappiness = 1\n" * 100)
    ok("pg_host", swappiness=60)
    assert host.at(SYSCTL).read_text().splitlines()[1:] == ["vm.swappiness = 60"]
    assert [path.name for path in host.at("/etc/sysctl.d").iterdir()] == ["60-pgmahout.conf"]


def test_the_choice_in_force_is_the_one_in_brackets(host: FakeHost) -> None:
    assert ok("pg_host", transparent_huge_pages="madvise")["commands"] == [f"write {TMPFILES}"]


def test_who_may_not_change_the_host_is_told_so(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "does not run as root" in refused("pg_host", swappiness=60)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    for check in (True, False):
        assert "vm.swappiness was to be 10, is 60, and cannot be written here" in refused("pg_host", check=check, swappiness=10)
    assert not host.at(SYSCTL).exists()


def test_two_runs_at_a_time_wait_for_each_other(host: FakeHost) -> None:
    with host_settings.Machine().lock("host_settings"):
        other = os.open(host.at("/etc"), os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_what_this_very_kernel_has_in_force_is_no_change(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    for directory in ("proc", "sys"):
        host.at("/" + directory).rename(host.at("/fake_" + directory))
        host.at("/" + directory).symlink_to("/" + directory)
    swappiness, overcommit_memory, huge_pages = (
        int(Path("/proc/sys/vm", name).read_text()) for name in ("swappiness", "overcommit_memory", "nr_hugepages"))
    planned = ok("pg_host", check=True, swappiness=swappiness, overcommit_memory=overcommit_memory, huge_pages=huge_pages)
    assert planned["commands"] == [f"write {SYSCTL}"]
    assert planned["diff"]["before"]["vm.swappiness"] == str(swappiness)
