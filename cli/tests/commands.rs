//! The commands as a user meets them: exit status, what is said and where.

use std::io::Write;
use std::process::{Command, Stdio};

const GOOD: &str = r#"strandline = 1
title = "t"
duration = "5s"
[kafka]
brokers = 1
controllers = 1
[[kafka.topic]]
name = "orders"
replication-factor = 1
[[kafka.producer]]
name = "shop"
topic = "orders"
load = { kind = "constant", rate = 10 }
[[expect]]
that = "ledger.sent > 0"
"#;

const FLAPPING: &str = r#"
[[timeline]]
when = 'b1.state == "up"'
every-time = true
do = "crash"
node = "b1"
for = "1ns"
"#;

struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

fn strandline(args: &[&str], stdin: &str) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_strandline"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut input = child.stdin.take().expect("it is piped");
    // A command that refuses early does not read to the end.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    Said {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

#[test]
fn exit_status_and_words() {
    let check = |args: &[&str], stdin: &str, status, out: &str, err: &str| {
        let said = strandline(args, stdin);
        let shown = format!("{args:?}\n{}\n{}", said.out, said.err);
        assert_eq!(said.status, Some(status), "{shown}");
        assert!(said.out.contains(out), "{shown}");
        assert!(said.err.contains(err), "{shown}");
        assert!(!said.err.contains("panicked"), "{shown}");
    };
    let broken = GOOD.replace("sent > 0", "sent == 0");
    let flapping = format!("{GOOD}{FLAPPING}");
    let long = format!("{GOOD}# {}", "x".repeat(3_000_000));
    check(
        &["run", "-"],
        GOOD,
        0,
        "held    at the end: ledger.sent > 0",
        "",
    );
    check(
        &["run", "-"],
        &broken,
        1,
        "BROKEN  at the end: ledger.sent == 0",
        "",
    );
    check(&["run", "-"], "", 2, "", "`strandline` is missing");
    check(&["run", "-"], &long, 2, "", "too long");
    check(&["run", "nowhere.toml"], "", 2, "", "cannot read");
    check(&["run", "-", "--until", "x"], GOOD, 2, "", "--until x");
    check(&["run", "-", "--seed", "x"], GOOD, 2, "", "--seed");
    check(
        &["run", "-", "--until", "1s"],
        GOOD,
        0,
        "open    at the end: ledger.sent > 0",
        "",
    );
    check(
        &["run", "-"],
        &flapping,
        1,
        "ended early, at 9.999 µs: stopped at 10000 firings",
        "",
    );
    check(
        &["run", "-", "--json"],
        &flapping,
        1,
        "\"firings\": 10000",
        "",
    );
    check(
        &["trace", "-"],
        &flapping,
        1,
        "\"kind\":\"deed\"",
        "stopped at 10000 firings",
    );
    check(
        &["trace", "-", "--limit", "3"],
        GOOD,
        0,
        "\"event\":2",
        "there are more events: --limit 3",
    );
    check(&["replay", "-"], "nonsense", 2, "", "");
    check(
        &["sweep", "-", "--seeds", "5..5"],
        GOOD,
        2,
        "",
        "--seeds 5..5",
    );
    check(
        &["sweep", "-", "--seeds", "0..2", "--shard", "3/2"],
        GOOD,
        2,
        "",
        "--shard 3/2",
    );
    check(
        &["sweep", "-", "--seeds", "0..3", "--faults", "0"],
        GOOD,
        0,
        "3 seeds, 0 bad",
        "",
    );
    check(
        &["sweep", "-", "--seeds", "0..1", "--faults", "0"],
        &flapping,
        1,
        "stopped at",
        "",
    );
    check(&["check", "-"], GOOD, 0, "ok   - (t)", "");
    let doubtful = format!("{GOOD}[[timeline]]\nat = \"9s\"\ndo = \"heal-all\"\n");
    check(
        &["check", "-"],
        &doubtful,
        0,
        "ok   - (t)",
        "warning[never]",
    );
    check(&["schema"], "", 0, "\"$schema\"", "");
    check(&["completions", "bash"], "", 0, "_strandline", "");
    check(&["fly"], "", 2, "", "unrecognized subcommand");
}

/// A job that has read its ten records and run to its end.
const JOB: &str = r#"strandline = 1
title = "A job"
duration = "20s"

[[stream.source]]
name = "clicks"
load = { rate = 10, start = "1s", limit = 10 }

[[stream.sink]]
name = "list"
input = "clicks"
guarantee = "at-least-once"

[[expect]]
that = "job.restarts == 0 and list-store.committed == 11"
"#;

#[test]
fn a_job_tells_what_it_came_to() {
    let said = strandline(&["run", "-"], JOB);
    let shown = format!("{}\n{}", said.out, said.err);
    let lines = || {
        said.out
            .lines()
            .map(|it| it.split_whitespace().collect::<Vec<_>>())
    };
    for line in [
        &["status", "FINISHED"][..],
        &["list-store", "10", "10", "10", "0", "0", "0"],
    ] {
        assert!(lines().any(|it| it == line), "{line:?}: {shown}");
    }
    assert!(
        said.out.contains("(it was 10 against 11 at 20 s)"),
        "{shown}"
    );
    assert!(
        !said.out.contains("acknowledged"),
        "no client has a ledger: {shown}"
    );

    let early = strandline(&["run", "-", "--until", "1500ms", "--json"], JOB).out;
    let early: serde_json::Value = serde_json::from_str(&early).expect("JSON");
    let clicks = early["job"].as_array().expect("subjects");
    let clicks = clicks
        .iter()
        .find(|it| it["name"] == "clicks")
        .expect("it runs");
    assert_eq!(clicks["kind"], "operator");
    let facts = clicks["facts"].as_array().expect("facts");
    let out = facts
        .iter()
        .find(|it| it["name"] == "records-out")
        .expect("it is told");
    assert!(
        (1..10).contains(&out["value"].as_i64().expect("a number")),
        "{out}"
    );
}

#[test]
fn json_is_json_line_by_line_or_whole() {
    let whole = |args: &[&str]| {
        let said = strandline(args, GOOD);
        serde_json::from_str::<serde_json::Value>(&said.out)
            .unwrap_or_else(|e| panic!("{args:?}: {e}\n{}", said.out));
    };
    whole(&["run", "-", "--json"]);
    whole(&["trace", "-", "--format", "perfetto"]);
    whole(&[
        "trace", "-", "--format", "perfetto", "--from", "4s", "--limit", "1",
    ]);
    whole(&["schema"]);
    let lines = |args: &[&str], stdin: &str| {
        let said = strandline(args, stdin);
        assert!(!said.out.is_empty(), "{args:?}");
        for line in said.out.lines() {
            serde_json::from_str::<serde_json::Value>(line)
                .unwrap_or_else(|e| panic!("{args:?}: {e}\n{line}"));
        }
    };
    lines(&["trace", "-"], GOOD);
    let broken = GOOD.replace("sent > 0", "sent == 0");
    lines(
        &["sweep", "-", "--seeds", "0..3", "--faults", "0", "--json"],
        &broken,
    );
}

/// Cases of the real systems' own tests: what passes, what fails, and what is not known.
#[test]
fn conformance_cases() {
    let file = |family: &str, entries: &str| {
        format!(
            r#"{{"file": "{family}", "cases": [{{"id": "a", "input": {{"assign": [[2, 10]]}},
            "expect": {{"entries": {entries}}}}}]}}"#
        )
    };
    let check = |args: &[&str], text: &str, status, out: &str, err: &str| {
        let said = strandline(&[&["conform", "-"], args].concat(), text);
        let shown = format!("{args:?} {text}\n{}\n{}", said.out, said.err);
        assert_eq!(said.status, Some(status), "{shown}");
        assert!(said.out.contains(out), "{shown}");
        assert!(said.err.contains(err), "{shown}");
    };
    let right = file("leader-epoch-cache", "[[2, 10]]");
    let wrong = file("leader-epoch-cache", "[[2, 11]]");
    let foreign = file("unheard-of", "[[2, 10]]");
    check(&[], &right, 0, "1 passed, 0 failed, 0 unsupported", "");
    check(&["--strict"], &right, 0, "pass         a", "");
    let said = "fail         a: entries: got [[2,10]], expected [[2,11]]";
    check(&[], &wrong, 1, said, "");
    check(&[], &foreign, 0, "unsupported  a: no reader", "");
    check(&["--strict"], &foreign, 1, "0 failed, 1 unsupported", "");
    check(&[], "{", 2, "", "this is not JSON");
    check(&[], "{}", 2, "", "no list \"cases\"");
}

/// A reader that has enough closes the pipe; the command ends as it would have.
#[test]
fn nobody_has_to_read_to_the_end() {
    for args in [
        &["schema"][..],
        &["completions", "zsh"],
        &["trace", "-"],
        &["sweep", "-", "--seeds", "0..2", "--faults", "0"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_strandline"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        drop(child.stdout.take());
        let mut input = child.stdin.take().expect("it is piped");
        let _ = input.write_all(GOOD.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
    }
}

/// A folder of files for one test, removed at its end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("strandline-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("it can be made");
        Folder(path)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("it can be written");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_replay_verifies_what_its_recording_says() {
    let folder = Folder::new("replay");
    let recorded = folder.file("run.json", "");
    let said = strandline(&["run", "-", "--record", &recorded], GOOD);
    assert_eq!(said.status, Some(0), "{}", said.err);
    let text = std::fs::read_to_string(&recorded).expect("it was written");
    let whole: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let check = |field: &str, value: serde_json::Value, status, words: &str| {
        let mut changed = whole.clone();
        changed[field] = value;
        let said = strandline(&["replay", "-"], &changed.to_string());
        assert_eq!(
            said.status,
            Some(status),
            "{field}: {}{}",
            said.out,
            said.err
        );
        assert!(
            format!("{}{}", said.out, said.err).contains(words),
            "{}{}",
            said.out,
            said.err
        );
    };
    let same = whole["digest"].clone();
    check("digest", same, 0, "as recorded");
    check(
        "digest",
        "0123456789abcdef".into(),
        2,
        "one of them was changed",
    );
    check("time", 1.into(), 2, "one of them was changed");
    check("engine", 99.into(), 2, "one of them was changed");
    check(
        "strandline_replay",
        2.into(),
        2,
        "install a newer strandline",
    );
}

#[test]
fn a_folder_is_checked_for_its_scenarios() {
    let folder = Folder::new("check");
    let check = |status, words: &str| {
        let said = strandline(&["check", &folder.0.display().to_string()], "");
        assert_eq!(said.status, Some(status), "{}{}", said.out, said.err);
        assert!(
            format!("{}{}", said.out, said.err).contains(words),
            "{}{}",
            said.out,
            said.err
        );
    };
    check(2, "no scenario in");
    folder.file("Cargo.toml", "[package]\nname = \"other\"\n");
    check(2, "no scenario in");
    folder.file("good.toml", GOOD);
    check(0, "1 checked, 0 bad, 1 .toml passed over");
    folder.file("latin.toml", [GOOD.as_bytes(), b"# gr\xfc\xdfe"].concat());
    check(
        2,
        "latin.toml:16:5: this is no UTF-8 text (byte 0xfc after \"# gr\")",
    );
}
