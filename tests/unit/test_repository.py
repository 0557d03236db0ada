"""What is told of the repository that a configuration or a source lies in, and that no program is run for it."""

from __future__ import annotations

import subprocess

import pytest

from zsync.inventory.repository import harmless, repository_of


def git(where, *arguments):
    settings = ["-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *settings, *arguments], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    top = tmp_path / "pipeline"
    (top / "rc").mkdir(parents=True)
    git(top, "init", "-q", ".")
    (top / "rc" / "run.yaml").write_text("a: 1\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "first")
    return top


def test_commit_branch_and_whether_anything_differs(repository, tmp_path):
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "remote", "add", "origin", "git@git.example.org:team/pipeline.git")
    (repository / "untracked").write_text("a result")
    expected = {"commit": commit, "branch": "main", "dirty": False, "remote": "git.example.org:team/pipeline.git"}
    assert repository_of(str(repository / "rc" / "run.yaml")).to_dict() == expected
    (repository / "rc" / "run.yaml").write_text("a: 2\n")
    git(repository, "pack-refs", "--all")
    assert repository_of(str(repository)).to_dict() == {**expected, "dirty": True}
    git(repository, "worktree", "add", "-q", "-b", "side/one", str(tmp_path / "beside"))
    assert repository_of(str(tmp_path / "beside")).to_dict() == {**expected, "branch": "side/one"}
    git(tmp_path / "beside", "checkout", "-q", "--detach")
    assert repository_of(str(tmp_path / "beside")).branch is None
    assert repository_of(str(tmp_path)) is None


@pytest.mark.parametrize(
    "setting",
    [
        "[core]\n\tfsmonitor = touch {}\n", '[filter "f"]\n\tclean = touch {}\n', "[include]\n\tpath = {}\n",
    ],
)  # fmt: skip
def test_git_is_not_asked_of_a_repository_that_names_programs(repository, tmp_path, setting):
    run = tmp_path / "was-run"
    (repository / ".gitattributes").write_text("* filter=f\n")
    with (repository / ".git" / "config").open("a") as config:
        config.write(setting.format(run))
    (repository / "rc" / "run.yaml").write_text("a: 2\n")
    assert repository_of(str(repository)).is_dirty() is None
    assert not run.exists()


def test_what_is_no_repository_says_nothing(tmp_path):
    (tmp_path / ".git").write_text("gitdir: ../../../etc")
    assert repository_of(str(tmp_path)) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://token@example.org/a.git", "https://ada:secret@example.org/a.git", "ssh://ada@example.org/a.git",
        "https://example.org/a.git?token=secret", "ada@example.org:a.git", "/home/ada/a.git", "file:///home/ada/a.git",
        "https://example.org/a.git#secret", "../a.git", "ext::sh -c x", "https://[", "git@git@example.org:a",
    ],
)  # fmt: skip
def test_urls_that_may_hold_a_secret_or_a_place_of_this_machine_are_not_told(url):
    assert harmless(url) is None


def test_the_user_git_is_nobodys_secret():
    assert harmless("ssh://git@example.org:22/a.git") == "ssh://example.org:22/a.git"
