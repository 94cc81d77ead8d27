//! Sources of topics: partitions that are added while a job reads, and offsets that are committed.

mod support;

use support::{assert_good, changed, holds, reached, run, sweep, told};

const NEW: &str = include_str!("../../scenarios/job-new-partition.toml");

/// The story without what it states of its end.
fn without_end() -> String {
    let end = NEW.find("[[expect]]\nthat =");
    NEW[..end.expect("the story states its end")].to_owned()
}

const CRASH: &str = "at = \"57s\"\ndo = \"crash\"\nnode = \"tm2\"\nfor = \"5s\"\n";

#[test]
fn a_new_partition_is_found_and_read_once() {
    let report = holds("new", NEW);
    assert_eq!(reached(&report, "partitions-discovered"), 1);
}

/// The reader dies before a checkpoint holds the partition that it was given: it is given it again.
#[test]
fn a_partition_that_no_checkpoint_holds_is_given_again() {
    let early = [(CRASH, &*CRASH.replace("57s", "43s"))];
    told(
        "early",
        &without_end(),
        &early,
        &[
            "finds.splits == 3 and blind.splits == 2 and job.restarts > 0",
            "all-store.committed == 7000 and all-store.duplicates == 0",
            "some-store.committed == 5294",
        ],
    );
}

/// With high availability a new JobManager knows what the checkpoint held, and an enumerator that
/// begins asks once, whatever its interval is.
#[test]
fn an_enumerator_that_begins_again_asks_at_once() {
    let crash = CRASH.replace("tm2", "jm");
    let lasting = [
        (CRASH, &*crash),
        (
            "[stream.config]",
            "[stream.config]\n\"high-availability.type\" = \"zookeeper\"",
        ),
    ];
    told(
        "lasting",
        &without_end(),
        &lasting,
        &[
            "finds.splits == 3 and blind.splits == 2 @ 56s",
            "finds.splits == 3 and blind.splits == 3 and job.attempt == 2",
            "all-store.committed == 7000 and all-store.duplicates == 0",
            "some-store.committed == 7000 and some-store.duplicates == 0",
        ],
    );
}

/// A job that has nothing to go back to takes all partitions for its first ones, which are read from
/// where the source begins.
#[test]
fn without_a_checkpoint_every_partition_is_a_first_one() {
    let crash = CRASH.replace("tm2", "jm");
    let latest = "kafka = \"orders\"\nstarting-offsets = \"latest\"";
    let anew = |from: &str| -> String {
        let text = changed("anew", &without_end(), &[(CRASH, &crash)]);
        changed("from", &text, &[("kafka = \"orders\"", from)])
    };
    told(
        "earliest",
        &anew("kafka = \"orders\""),
        &[],
        &[
            "finds.splits == 3 and blind.splits == 3",
            "some-store.committed > 7000",
            "blind.records-in == 7000",
        ],
    );
    // What was sent before it began again is not read.
    told(
        "latest",
        &anew(latest),
        &[],
        &[
            "finds.splits == 3 and blind.splits == 3",
            "blind.records-in < 2500 and finds.records-in < 2500",
        ],
    );
}

/// What is found while the job runs is read from its start, also by a source that began at the end.
#[test]
fn a_partition_that_is_found_is_read_from_its_start() {
    let latest = "kafka = \"orders\"\nstarting-offsets = \"latest\"";
    let text = changed("latest", &without_end(), &[("kafka = \"orders\"", latest)]);
    told("latest", &text, &[], &["all-store.committed == 7000"]);
}

/// Another parallelism: each partition goes on where the savepoint has it, at another subtask.
#[test]
fn a_found_partition_moves_with_the_parallelism() {
    let rescale = "at = \"57s\"\ndo = \"rescale\"\noperator = \"finds\"\nparallelism = 3\n";
    let more = [
        (CRASH, rescale),
        ("task-managers = 2", "task-managers = 3"),
        (
            "name = \"all\"\n",
            "name = \"all\"\npartition = \"rebalance\"\n",
        ),
    ];
    told(
        "rescaled",
        &without_end(),
        &more,
        &[
            "finds.splits == 3 and finds.running == 3",
            "all-store.committed == 7000 and all-store.duplicates == 0",
        ],
    );
}

/// A cluster that cannot be asked fails the job, which then asks again.
#[test]
fn a_question_that_nobody_answers_fails_the_job() {
    let cut = "at = \"57s\"\ndo = \"link\"\nfrom = \"jm\"\nto = [\"b1\", \"b2\", \"b3\"]\ncut = true\n\
               for = \"70s\"\n";
    let text = changed("cut", &without_end(), &[(CRASH, cut), ("110s", "180s")]);
    let report = told(
        "cut",
        &text,
        &[],
        &[
            "job.restarts == 0 @ 119s",
            "job.restarts == 1 @ 125s",
            "finds.splits == 3 and job.status == RUNNING",
            "all-store.committed == 7000 and all-store.duplicates == 0",
        ],
    );
    assert_eq!(reached(&report, "restart"), 1);
}

/// A split has its own watermark: a partition in which nothing stands holds back the watermark of
/// the subtask that reads it, unless the source says when a split is idle.
#[test]
fn an_empty_new_partition_holds_the_watermark_back() {
    let marked = |idleness: &str| {
        let watermark = format!("watermark = {{ kind = \"ascending\"{idleness} }}\n");
        let finds = "[[stream.source]]\nname = \"finds\"\n";
        let one = [
            (finds, &*format!("{finds}parallelism = 1\n{watermark}")),
            // The producer never knows of it.
            ("config = { \"metadata.max.age.ms\" = 2_000 }\n", ""),
            (CRASH, &*CRASH.replace("57s", "108s")),
        ];
        changed("marked", &without_end(), &one)
    };
    told(
        "stuck",
        &marked(""),
        &[],
        &[
            "finds.watermark > 38_000 and finds.watermark < 39_000 @ 39s",
            "finds.watermark > 39_000 and finds.watermark < 41_000 @ 60s",
        ],
    );
    told(
        "idle",
        &marked(", idleness = \"5s\""),
        &[],
        &[
            "finds.watermark > 39_000 and finds.watermark < 41_000 @ 44s",
            "finds.watermark > 58_000 @ 60s",
        ],
    );
}

/// The default is five minutes: a job that is younger asks for nothing.
#[test]
fn a_young_job_asks_for_nothing() {
    let default = [(
        "config = { \"partition.discovery.interval.ms\" = 10_000 }\n",
        "",
    )];
    let text = without_end();
    let text = &text[..text.find("[[expect]]").expect("it states something")];
    told(
        "default",
        text,
        &default,
        &["finds.splits == 2", "all-store.committed == 5294"],
    );
    let long = [default[0], ("duration = \"110s\"", "duration = \"6min\"")];
    told(
        "long",
        text,
        &long,
        &[
            "finds.splits == 2 @ 299s",
            "finds.splits == 3 and all-store.committed == 7000",
        ],
    );
}

/// A topic grows under a job between two topics, and anything fails.
#[test]
fn nothing_of_a_new_partition_is_lost_or_repeated_whatever_fails() {
    let grows = [
        (
            "kafka = \"clicks\"",
            "kafka = \"clicks\"\nconfig = { \"partition.discovery.interval.ms\" = 3_000 }",
        ),
        (
            "start = \"10s\", limit = 1_000 }",
            "start = \"10s\", limit = 1_000 }\nconfig = { \"metadata.max.age.ms\" = 2_000 }",
        ),
    ];
    let text = changed(
        "grows",
        include_str!("../../scenarios/sweep-job-kafka.toml"),
        &grows,
    ) + "[[timeline]]\nat = \"15s\"\ndo = \"create-partitions\"\ntopic = \"clicks\"\ncount = 5\n";
    let reached = ["restart", "restored", "partitions-discovered", "commit"];
    assert_good(&sweep(&text, 0..5, |it| it), &reached);
}

const GROUP: &str = include_str!("../../scenarios/job-offsets-in-group.toml");

/// The second story without what it states.
fn unstated() -> &'static str {
    &GROUP[..GROUP
        .find("[[expect]]")
        .expect("the story states something")]
}

const BILLING: &str = "config = { \"group.id\" = \"billing\" }";

#[test]
fn positions_of_a_complete_checkpoint_are_committed() {
    let report = holds("group", GROUP);
    assert!(reached(&report, "committed-by-hand") > 20);
}

/// Nothing is committed without a group, or if it is not wanted, or without checkpoints.
#[test]
fn offsets_are_committed_only_to_a_group_and_with_checkpoints() {
    for config in [
        "",
        "config = { \"group.id\" = \"billing\", \"commit.offsets.on.checkpoint\" = false }",
    ] {
        let text = changed("none", unstated(), &[(BILLING, config)]);
        let report = told("none", &text, &[], &["out-store.committed == 6000"]);
        assert_eq!(reached(&report, "committed-by-hand"), 0, "{config}");
    }
    let none = ("\"execution.checkpointing.interval\" = \"10 s\"\n", "");
    let report = run("none", &changed("none", unstated(), &[none]));
    assert_eq!(reached(&report, "committed-by-hand"), 0);
}

/// A job that begins anew reads from its own starting offsets, although its group has committed:
/// all of it is read again.
#[test]
fn a_job_never_begins_where_its_group_is() {
    let anew = [("node = \"tm2\"", "node = \"jm\"")];
    told(
        "anew",
        unstated(),
        &anew,
        &[
            "orders-in.group-committed == 2975 @ 43s",
            "orders-in.records-in == 4600 and orders-in.group-committed == 2975 @ 56s",
            "orders-in.records-in == 6000 and orders-in.group-committed == 6000",
        ],
    );
}

/// With `committed` it does.
#[test]
fn a_job_that_begins_where_its_group_is_reads_on() {
    let anew = [
        ("node = \"tm2\"", "node = \"jm\""),
        (
            BILLING,
            "starting-offsets = \"committed\"\nauto-offset-reset = \"earliest\"\n\
             config = { \"group.id\" = \"billing\" }",
        ),
    ];
    let report = told(
        "anew",
        unstated(),
        &anew,
        &[
            "orders-in.group-committed == 2975 @ 43s",
            "orders-in.records-in == 3025 and orders-in.group-committed == 6000",
        ],
    );
    assert_eq!(reached(&report, "position-lost"), 0);
}

/// A position that is not in the log, or none at all, fails the task of a source that may not look
/// for another.
#[test]
fn without_a_position_and_without_a_reset_policy_a_source_fails() {
    for start in [
        "start-offset = 100_000\nauto-offset-reset = \"none\"\n",
        "starting-offsets = \"committed\"\n",
    ] {
        let own = format!("{start}{BILLING}");
        let report = told(
            "none",
            unstated(),
            &[(BILLING, &own)],
            &["job.restarts > 2 and out-store.rows == 0"],
        );
        assert!(reached(&report, "position-lost") > 2, "{start}");
    }
    // One that may look goes on at the start: there is nothing yet at 500. Its second run, from no
    // savepoint, begins there.
    let own = format!("start-offset = 500\n{BILLING}");
    let anew = "[[timeline]]\nat = \"78s\"\ndo = \"cancel-job\"\n\n\
                [[timeline]]\nat = \"79s\"\ndo = \"run-job\"\n";
    told(
        "in the middle",
        &(unstated().to_owned() + anew),
        &[(BILLING, &own)],
        &[
            "out-store.committed == 6000 @ 78s",
            "orders-in.records-in == 4500",
        ],
    );
}

/// Only where Flink leaves it open does a source say what becomes of it without a position.
#[test]
fn starts_of_a_source_that_contradict_themselves_are_refused() {
    for (own, why) in [
        ("starting-offsets = \"committed\"", "group.id is required"),
        (
            "starting-offsets = \"earliest\"\nauto-offset-reset = \"none\"",
            "these decide it",
        ),
        (
            "start-offset = 3\nstarting-offsets = \"latest\"",
            "means nothing with a start-offset",
        ),
    ] {
        let text = changed("contradiction", unstated(), &[(BILLING, own)]);
        let found = sim_core::scenario::parse(&text).into_result();
        let found = format!("{:?}", found.expect_err("it is refused"));
        assert!(found.contains(why), "{found}");
    }
}

/// A group with members takes no offsets from anybody else, and the job goes on.
#[test]
fn a_group_with_members_refuses() {
    let member = "[stream]\n";
    let member = [(
        member,
        "[[kafka.consumer]]\nname = \"member\"\ntopic = \"orders\"\n\
         config = { \"group.id\" = \"billing\" }\n\n[stream]\n",
    )];
    let report = told(
        "members",
        unstated(),
        &member,
        &[
            "orders-in.commits-succeeded == 0 and orders-in.commits-failed > 4",
            "out-store.committed == 6000 and out-store.duplicates == 0",
        ],
    );
    assert!(reached(&report, "offset-commit-refused") > 0);
}

/// Flink's refusal.
#[test]
fn who_wants_commits_has_a_group() {
    let config = "config = { \"commit.offsets.on.checkpoint\" = true }";
    let text = changed("none", unstated(), &[(BILLING, config)]);
    let found = sim_core::scenario::parse(&text).into_result();
    let found = format!("{:?}", found.expect_err("it is refused"));
    assert!(found.contains("Property group.id is required"), "{found}");
}

/// Commits change nothing of what a job delivers, whatever fails.
#[test]
fn commits_break_nothing_whatever_fails() {
    let grouped = [(
        "kafka = \"clicks\"",
        "kafka = \"clicks\"\nconfig = { \"group.id\" = \"g\" }",
    )];
    let text = include_str!("../../scenarios/sweep-job-kafka.toml");
    let text = changed("grouped", text, &grouped);
    let reached = [
        "restart",
        "restored",
        "committed-by-hand",
        "offset-committed",
    ];
    assert_good(&sweep(&text, 0..5, |it| it), &reached);
}
