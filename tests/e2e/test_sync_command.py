"""`zsync sync` and `zsync reset`, and what the document of s3synchrony (seeds/002) has, one by one."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import time

import prepared
import pytest
from servers import s3_client, tool_env
from team import Team
from trees import s3_bytes

import zsync
from zsync.errors import ConfigError, ConflictError
from zsync.verbs.reset import reset


@pytest.fixture
def team(s3, bucket, tmp_path):
    return Team(s3, bucket, tmp_path)


@pytest.fixture
def ann(team):
    ann = team("ann")
    ann.dialect(_name="ann")
    ann.write("a.txt", "one")
    return ann


@pytest.fixture
def bob(team):
    bob = team("bob")
    bob.dialect(_name="bob")
    return bob


@pytest.fixture
def command(s3, run_zsync):
    """Run the command where a member would."""

    def run(member, *args, check=0, **more):
        env = tool_env(s3, ZSYNC_CACHE_DIR=str(member.home / "cache"))
        return run_zsync(*args, cwd=member.home, env=env, check=check, **more)

    return run


def at_a_terminal(server, member, *args, answers, timeout=60):
    """Run the command in a pseudo-terminal, and give each answer once its question is on the screen."""
    env = {
        **os.environ,
        **tool_env(server, ZSYNC_CACHE_DIR=str(member.home / "cache")),
        "TERM": "dumb",
        "COLUMNS": "200",
    }
    mine, theirs = pty.openpty()
    process = prepared.command(*args, stdin=theirs, stdout=theirs, stderr=theirs, cwd=member.home, env=env)
    os.close(theirs)
    screen, waiting, seen, until = "", list(answers), 0, time.monotonic() + timeout
    try:
        while time.monotonic() < until:
            if waiting and waiting[0][0] in screen[seen:]:
                question, answer = waiting.pop(0)
                seen = screen.index(question, seen) + len(question)
                os.write(mine, f"{answer}\n".encode())
            if not select.select([mine], [], [], 0.1)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                screen += os.read(mine, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                break
        assert process.wait(10) is not None
    finally:
        process.kill()
        process.wait()
        os.close(mine)
    assert not waiting, f"never asked: {waiting}\n{screen}"
    return process.returncode, screen


# --- the document, one by one -----------------------------------------------------------------------------------------


def test_s2_python_m_zsync_sync_in_the_directory_of_s3synchrony_json(command, team, ann, bob):
    """``cd C:/Path/to/repo``, ``python -m s3synchrony``."""
    said = command(ann, "sync", "--yes").stdout
    assert "uploaded" in said
    assert "a.txt" in said
    assert team.remote() == {"a.txt": b"one"}
    assert "1 downloaded" in command(bob, "sync", "--yes").stdout
    assert bob.read() == {"a.txt": b"one"}
    assert "nothing to do" in command(bob, "sync", "--yes").stdout


def test_s2_run_from_python(team, ann, monkeypatch, s3):
    """``import s3synchrony; s3synchrony.run()``."""
    for name, value in tool_env(s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ann.home)
    assert zsync.sync(yes=True, progress=False).status == "synced"
    assert team.remote() == {"a.txt": b"one"}
    monkeypatch.chdir(ann.folder)
    with pytest.raises(ConfigError, match=r"s3synchrony\.json was not found"):
        zsync.sync(yes=True)


def test_s2_local_data_rel_dir_is_data_by_default_and_may_be_relative_or_full(command, team, ann, tmp_path):
    document = json.loads((ann.home / "s3synchrony.json").read_text())
    del document["local_data_rel_dir"]
    (ann.home / "s3synchrony.json").write_text(json.dumps(document))
    command(ann, "sync", "--yes")
    assert team.remote() == {"a.txt": b"one"}
    for number, folder in enumerate(("sub/My Data", str(tmp_path / "full"))):
        member = team(f"member-{number}")
        member.dialect(local_data_rel_dir=folder)
        command(member, "sync", "--yes")
        assert (member.home / folder / "a.txt").read_bytes() == b"one"


def test_s2_aws_bkt_and_aws_prfx_are_the_least_that_is_needed(command, ann):
    (ann.home / "s3synchrony.json").write_text(json.dumps({"platforms": {"s3": {"aws_prfx": "x"}}}))
    assert "aws_bkt" in command(ann, "sync", "--yes", check=2).stderr
    (ann.home / "s3synchrony.json").write_text(json.dumps({"platform": "azure", "platforms": {"s3": {"aws_bkt": "x"}}}))
    assert "platform" in command(ann, "sync", "--yes", check=2).stderr


def test_s2_credentials_in_the_file(run_zsync, s3, team, ann):
    keys = {"aws_access_key_id": s3.access_key, "aws_secret_access_key": s3.secret_key, "region_name": s3.region}
    document = json.loads((ann.home / "s3synchrony.json").read_text())
    document["platforms"]["s3"]["credentials"] = keys
    (ann.home / "s3synchrony.json").write_text(json.dumps(document))
    done = run_zsync("sync", "--yes", "-v", "--endpoint-url", s3.endpoint_url, cwd=ann.home)
    assert s3.secret_key not in done.stdout + done.stderr
    assert team.remote() == {"a.txt": b"one"}


def test_s2_remote_data_dir(command, team, ann):
    ann.dialect(remote_data_dir="deeper")
    command(ann, "sync", "--yes")
    assert s3_bytes(team.s3, team.bucket, f"{team.prefix}/Data/deeper/") == {"a.txt": b"one"}


def test_s2_what_is_new_modified_and_deleted_is_found_on_either_side(command, ann, bob):
    """versions_local.csv, versions_remote.csv, deleted_local.csv, deleted_remote.csv."""
    for key in ("modified", "deleted", "modified there", "deleted there"):
        ann.write(key, "1")
    command(ann, "sync", "--yes")
    command(bob, "sync", "--yes")
    ann.write("modified", "2")
    ann.write("new", "2")
    (ann.folder / "deleted").unlink()
    bob.write("modified there", "2")
    bob.write("new there", "2")
    (bob.folder / "deleted there").unlink()
    command(bob, "sync", "--yes")
    found = json.loads(command(ann, "sync", "--dry-run", "--json").stdout)
    [product] = found["products"]
    assert {change["unit"]: change["verdict"] for change in product["changes"]} == {
        what: what if "there" in what else f"{what} here"
        for what in ("new", "modified", "deleted", "new there", "modified there", "deleted there")
    }
    assert found["status"] == "planned"


def test_s2_the_user_is_prompted_and_peers_are_prompted_for_what_was_uploaded(s3, command, team, ann, bob):
    ann.write("b.txt", "two")
    ann.write("c.txt", "three")
    status, screen = at_a_terminal(s3, ann, "sync", answers=[("numbers like 1,3-5", "1,3")])
    assert status == 0, screen
    assert "New here, to be uploaded" in screen
    assert "by ann 20" in screen
    assert team.remote() == {"a.txt": b"one", "c.txt": b"three"}
    status, screen = at_a_terminal(s3, bob, "sync", answers=[("numbers like 1,3-5", "5"), ("none of that", "all")])
    assert status == 0, screen
    assert "New in the target, to be downloaded" in screen
    assert "new there by ann 20" in screen
    assert bob.read() == {"a.txt": b"one", "c.txt": b"three"}
    # What was declined is asked about again.
    status, screen = at_a_terminal(s3, ann, "sync", answers=[("b.txt", ""), ("numbers like 1,3-5", "none")])
    assert (status, team.remote().get("b.txt")) == (0, None)


def test_s2_deletions_are_confirmed_and_go_to_the_trash(s3, command, team, ann, bob):
    """There: "Files deleted from S3 will simply be moved into a deleted subfolder"; here files went for good."""
    ann.write("kept", "here")
    command(ann, "sync", "--yes")
    command(bob, "sync", "--yes")
    (ann.folder / "a.txt").unlink()
    _, screen = at_a_terminal(s3, ann, "sync", answers=[("numbers like 1,3-5", "n")])
    assert "Deleted here, to be deleted in the target" in screen
    assert "a.txt" in team.remote()
    at_a_terminal(s3, ann, "sync", answers=[("numbers like 1,3-5", "a")])
    assert team.trash() == {"a.txt": [b"one"]}
    url = f"s3://{team.bucket}/{team.prefix}/Data"
    assert "a.txt" in command(ann, "trash", "list", url, "--keys").stdout
    _, screen = at_a_terminal(s3, bob, "sync", answers=[("numbers like 1,3-5", "all")])
    assert "Deleted in the target, to be deleted here" in screen
    assert bob.read() == {"kept": b"here"}
    assert bob.trash() == {"a.txt": [b"one"]}
    assert "a.txt" in command(bob, "trash", "list", f"file://{bob.folder}", "--keys").stdout


def test_s2_ignore_remote_txt(command, team, ann):
    """A list of file paths to be ignored entirely; and what the tool itself kept in ``.S3`` is not anybody's data."""
    ann.write("private/x", "mine")
    ann.write(".S3/ignore_remote.txt", "private/x\n")
    ann.write(".S3/versions_local.csv", "File,Time\n")
    with contextlib.closing(s3_client(team.s3)) as client:
        client.put_object(Bucket=team.bucket, Key="team/Data/.S3/versions_remote.csv", Body=b"File,Time")
    command(ann, "sync", "--yes")
    assert team.remote() == {"a.txt": b"one", ".S3/versions_remote.csv": b"File,Time"}


def test_s2_config_show_understands_it(command, ann):
    said = command(ann, "config", "show", "s3synchrony.json").stdout
    for words in (f"source: {ann.folder}", "member: ann", "ignore:", ".S3"):
        assert words in said


# --- conflicts, and nobody to ask -------------------------------------------------------------------------------------


@pytest.fixture
def conflicting(command, ann, bob):
    command(ann, "sync", "--yes")
    command(bob, "sync", "--yes")
    ann.write("a.txt", "by ann")
    bob.write("a.txt", "by bob")
    command(ann, "sync", "--yes")
    return bob


@pytest.mark.parametrize(("answer", "mine", "files"), [("l", "by bob", 1), ("remote", "by ann", 1), ("b", "by ann", 2)])
def test_conflicts_are_shown_and_resolved_at_the_terminal(s3, team, conflicting, answer, mine, files):
    answers = [("which is kept? local, remote, both, skip", "what?"), ("is none of", answer)]
    status, screen = at_a_terminal(s3, conflicting, "sync", answers=answers)
    assert status == 0, screen
    assert "Changed on both sides" in screen
    assert "modified here by bob 20" in screen
    assert "modified there by ann 20" in screen
    assert conflicting.read()["a.txt"].decode() == mine
    assert len(conflicting.read()) == files
    assert conflicting.read() == team.remote()


@pytest.mark.parametrize("prefer", ["local", "remote", "both"])
def test_conflicts_are_resolved_by_an_option(command, team, conflicting, prefer):
    command(conflicting, "sync", "--yes", "--prefer", prefer)
    assert conflicting.read()["a.txt"] == {"local": b"by bob"}.get(prefer, b"by ann")
    assert conflicting.read() == team.remote()


def test_without_a_terminal_nothing_is_guessed(command, team, conflicting):
    conflicting.write("new", "1")
    before = conflicting.read(), team.remote()
    for options, advice in (([], "--yes and --prefer"), (["--yes"], "--prefer local, remote or both")):
        done = command(conflicting, "sync", *options, check=2)
        [told] = [line for line in done.stderr.splitlines() if line.startswith("zsync: ")]
        assert advice in told
        assert done.stdout == ""
    assert (conflicting.read(), team.remote()) == before
    failed = json.loads(command(conflicting, "sync", "--json", check=2).stdout)
    assert failed["error"]["type"] == "ConfigError"
    assert "nothing to prefer" in command(conflicting, "sync", "--prefer", "mine", check=2).stderr
    done = command(conflicting, "sync", "--prefer", "both")  # said for this run, it stands for a yes too
    assert "1 kept both" in done.stdout
    assert conflicting.read() == team.remote()


def test_member_names_who_you_are(command, team, ann, bob):
    bob.dialect()
    command(ann, "sync", "--yes", "--member", "Ann B.")
    found = json.loads(command(bob, "sync", "--dry-run", "--json").stdout)
    assert found["products"][0]["changes"][0]["by"] == "Ann B."
    command(bob, "sync", "--yes")
    bob.write("a.txt", "by bob")
    command(bob, "sync", "--yes")
    found = json.loads(command(ann, "sync", "--dry-run", "--json").stdout)
    assert "@" in found["products"][0]["changes"][0]["by"]  # user@host, where nobody said


def test_json_is_one_document_and_all_else_goes_to_stderr(command, ann):
    done = command(ann, "sync", "--yes", "--json")
    document = json.loads(done.stdout)
    assert document["status"] == "synced"
    assert document["products"][0]["sent"] == 1
    assert command(ann, "sync", "--yes", "--json", "-q").stderr == ""


def test_a_configuration_of_any_form_will_do(command, team, ann, tmp_path):
    (ann.home / "team.yaml").write_text(
        f"source: {ann.folder}\ntarget: s3://{team.bucket}/{team.prefix}\nteam: {{member: ann, prefer: local}}\n"
    )
    command(ann, "sync", "team.yaml", "--yes")
    assert team.remote() == {"a.txt": b"one"}


# --- reset ------------------------------------------------------------------------------------------------------------


def states(team, member):
    """Return the files and objects of both states, without those in the trash."""
    root = member.home / ".zsync" / "Data"
    here = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} if root.exists() else set()
    with contextlib.closing(s3_client(team.s3)) as client:
        found = client.list_objects_v2(Bucket=team.bucket, Prefix=f"{team.prefix}/.zsync/").get("Contents", [])
    there = {entry["Key"].removeprefix(f"{team.prefix}/.zsync/Data/") for entry in found if entry["Size"]}
    return [{name for name in names if not name.startswith("trash/")} for names in (here, there)]


def test_s2_reset_is_confirmed_forgets_the_state_and_keeps_the_data(s3, command, team, ann, bob):
    """``reset_all``, after ``reset_confirm``."""
    command(ann, "sync", "--yes")
    command(bob, "sync", "--yes")
    bob.write("a.txt", "two")
    command(bob, "sync", "--yes")
    command(ann, "sync", "--yes")
    assert all(states(team, ann))
    done = command(ann, "reset", check=2)
    assert "--yes" in done.stderr
    _, screen = at_a_terminal(s3, ann, "reset", answers=[("Type 'reset' to confirm", "yes")])
    assert "nothing was removed" in screen
    assert all(states(team, ann))
    status, screen = at_a_terminal(s3, ann, "reset", answers=[("Type 'reset' to confirm", "reset")])
    assert status == 0, screen
    assert f"the state of {ann.folder}" in screen
    assert "the trash (1 file here, 0 objects there) stays" in screen
    assert states(team, ann) == [set(), set()]
    assert ann.trash() == {"a.txt": [b"one"]}
    assert ann.read() == team.remote() == {"a.txt": b"two"}
    # All begin anew: what is the same agrees.
    assert "nothing to do" in command(ann, "sync", "--yes").stdout
    assert "nothing to do" in command(bob, "sync", "--yes").stdout
    bob.write("a.txt", "three")
    command(bob, "sync", "--yes")
    command(ann, "sync", "--yes")
    assert ann.read() == {"a.txt": b"three"}


def test_reset_removes_the_trash_only_if_that_is_asked_for(command, team, ann, bob):
    ann.write("b.txt", "two")
    command(ann, "sync", "--yes")
    (ann.folder / "a.txt").unlink()
    command(ann, "sync", "--yes")
    [found] = json.loads(command(ann, "reset", "--yes", "--json").stdout)
    assert (found["trash_objects"], found["removes_trash"]) == (1, False)
    assert team.trash() == {"a.txt": [b"one"]}
    command(ann, "reset", "--yes", "--trash")
    assert team.trash() == {}
    assert team.remote() == ann.read() == {"b.txt": b"two"}
    assert not (ann.home / ".zsync" / "Data").exists()


def test_reset_waits_for_nobody(s3, team, ann):
    def during(step):
        with pytest.raises(ConflictError, match="is publishing this product"):
            reset(ann.config(), yes=True)

    class When:
        def begin(self, step, objects, size):
            if step == "data":
                during(step)

        def advance(self, objects, size):
            pass

        def end(self):
            pass

    assert zsync.sync(ann.config(), yes=True, progress=When()).status == "synced"
    with pytest.raises(ConfigError, match="needs a confirmation"):
        reset(ann.config())
    assert reset(ann.config(), confirm=lambda found: False) == []
    assert all(states(team, ann))
