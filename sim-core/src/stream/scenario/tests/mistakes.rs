//! Mistakes: each is found where it stands, with its code and a sentence that helps.

use super::{BASE, read};
use crate::scenario::{Severity, parse, render};

/// What is replaced by what, and what must be said: code, the text at the place, a part of what is
/// said. One mistake is one problem.
fn check(from: &str, to: &str, code: &str, place: &str, said: &str) {
    assert!(BASE.contains(from), "{from}");
    let text = BASE.replace(from, to);
    let (_, problems) = read(&text);
    let shown = render(&problems, "test", &text);
    let found = problems.iter().find(|it| it.code == code);
    let found = found.unwrap_or_else(|| panic!("no `{code}` after {to}:\n{shown}"));
    let at = &text[found.span.clone()];
    let whole_table = place.starts_with("[[") && at.starts_with(place);
    assert!(at == place || whole_table, "at {at}\n{shown}");
    assert!(shown.contains(said), "no `{said}` in:\n{shown}");
    assert_eq!(problems.len(), 1, "one mistake, one problem:\n{shown}");
}

const SOURCE_INPUT: &str = "input = \"clicks\"";
const WINDOW: &str = "window = { kind = \"tumbling\", size = \"10s\" }";
const PARALLELISM: &str = "parallelism = 2";
const CONFIG: &str = "\"execution.checkpointing.interval\" = \"10 s\"";

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_the_graph() {
    check(SOURCE_INPUT, "input = \"click\"", "unknown-name", "\"click\"", "did you mean `clicks`?");
    check(SOURCE_INPUT, "input = []", "bad-value", "[]", "has no input");
    check(SOURCE_INPUT, "input = \"clicks.late\"", "unknown-name", "\"clicks.late\"", "no side output for late records");
    check("input = \"count\"", "input = \"count.late\"", "unknown-name", "\"count.late\"", "late = \"side-output\"");
    check("[[stream.expect]]", "[[stream.map]]\nname = \"clicks\"\ninput = \"count\"\n[[stream.expect]]", "duplicate", "\"clicks\"", "two operators `clicks`");
    check("[[stream.expect]]", "[[stream.map]]\nname = \"job\"\ninput = \"count\"\n[[stream.expect]]", "bad-value", "\"job\"", "meaning of its own");
    check("[[stream.expect]]", "[[stream.map]]\nname = \"my clicks\"\ninput = \"count\"\n[[stream.expect]]", "bad-value", "\"my clicks\"", "is not a name for an operator");
    check("[[stream.window]]\nname = \"count\"\ninput = \"clicks\"", "[[stream.map]]\nname = \"loop\"\ninput = \"count\"\n[[stream.window]]\nname = \"count\"\ninput = [\"clicks\", \"loop\"]", "cycle", "\"loop\"", "count → loop → count");
    check(SOURCE_INPUT, "input = [\"clicks\", \"count\"]", "cycle", "\"count\"", "count → count");
    check("input = \"count\"", "input = \"count\"\npartition = \"forward\"", "contradiction", "\"forward\"", "Forward partitioning does not allow change of parallelism. Upstream operation: count parallelism: 2, downstream operation: out parallelism: 1");
    check(PARALLELISM, "partition = \"rebalance\"", "no-key", "\"rebalance\"", "'keyed stream'");
    check(PARALLELISM, "key-by = false", "no-key", "false", "'keyBy()'");
    check("input = \"count\"", "input = \"count\"\nkey-by = true\npartition = \"global\"", "contradiction", "true", "contradict each other");
    check("{ ts = \"3s\", key = \"a\" }", "{ ts = \"3s\" }", "no-key", "\"clicks\"", "and records of `clicks` have none");
    check(PARALLELISM, "parallelism = 200\nmax-parallelism = 128", "bad-value", "200", "must not be smaller than parallelism");
    check(PARALLELISM, "max-parallelism = 40_000", "bad-value", "40_000", "32768");
    check(PARALLELISM, "parallelism = 0", "bad-value", "0", "at least 1");
    check(PARALLELISM, "parallelism = 5", "no-resource", "2", "NoResourceAvailableException: the job needs 5 slots and there are 4");
    check("task-managers = 2", "task-managers = 0", "bad-value", "0", "at least one TaskManager");
    check("slots = 2", "slots = 0", "bad-value", "0", "at least one slot");
    check("guarantee = \"exactly-once\"", "guarantee = \"exactly\"", "bad-value", "\"exactly\"", "did you mean `exactly-once`?");
    check("guarantee = \"exactly-once\"", "transaction-timeout = \"1min\"", "contradiction", "\"1min\"", "which has no transactions");
    check("sink = \"out\"", "sink = \"ou\"", "unknown-name", "\"ou\"", "did you mean `out`?");
    check("sink = \"out\"", "sink = \"count\"", "unknown-name", "\"count\"", "there is no sink `count`");
    let process = |more: &str| format!("[[stream.process]]\nname = \"p\"\ninput = \"clicks\"\n{more}\n[[stream.expect]]");
    check("[[stream.expect]]", &process("function = \"count-with-timeout\""), "missing-key", "[[stream.process]]", "`timeout` is missing");
    check("[[stream.expect]]", &process("function = \"count-with-timeout\"\ntimeout = \"0s\""), "bad-value", "\"0s\"", "silent for some time");
    check("[[stream.expect]]", &process("function = \"count\"\ntime = \"event\""), "contradiction", "\"event\"", "means nothing with this function");
    let fourth = "splits = 2\nrecords = [\n    { split = 2, ts = \"0.5s\", key = \"b\" },";
    check("records = [", fourth, "contradiction", "2", "there is no split 2: `splits` = 2");
    check("name = \"clicks\"", "name = \"clicks\"\nbounded = false\nparallelism = 2", "no-watermarks", "\"clicks\"", "2 subtasks read 1 splits");
    check("guarantee = \"exactly-once\"", "guarantee = \"exactly-once\"\ntransaction-timeout = \"10s\"", "contradiction", "\"out\"", "before the checkpoint that would commit them");
    check(CONFIG, &format!("{CONFIG}, \"execution.checkpointing.mode\" = \"AT_LEAST_ONCE\""), "contradiction", "\"out\"", "what the job's state may count twice");
    let own = "\"strandline.checkpointing.coordination\" = \"none\"";
    check(CONFIG, &format!("{CONFIG}, {own}"), "contradiction", "\"out\"", "commits when a checkpoint of the whole job is complete");
    check("guarantee = \"exactly-once\"", "guarantee = \"exactly-once\"\nparallelism = 2\npartition = \"broadcast\"", "contradiction", "\"broadcast\"", "each row is written 2 times");
    let retracts = format!("{WINDOW}\naccumulation = \"retracting\"\n[[stream.window]]\nname = \"again\"\ninput = \"count\"\nwindow = {{ kind = \"tumbling\", size = \"1min\" }}");
    check(WINDOW, &retracts, "contradiction", "\"count\"", "doesn't support consuming update and delete changes");
    check("guarantee = \"exactly-once\"", "guarantee = \"with-offset\"", "no-offset", "\"count\"", "rows of `count` have state behind them");
    check(SOURCE_INPUT, "inptu = \"clicks\"", "unknown-key", "inptu", "did you mean `input`?");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_windows() {
    let with = |to: &str, code: &str, place: &str, said: &str| check(WINDOW, to, code, place, said);
    with("window = { kind = \"global\" }", "endless-window", "{ kind = \"global\" }", "NeverTrigger");
    with("window = { kind = \"global\" }\ntrigger = { kind = \"never\" }", "endless-window", "{ kind = \"never\" }", "never speaks");
    with("window = { kind = \"global\" }\ntrigger = { kind = \"processing-time\" }", "endless-window", "{ kind = \"processing-time\" }", "Long.MAX_VALUE");
    with("window = { kind = \"tumbling\" }", "missing-key", "{ kind = \"tumbling\" }", "`size` is missing");
    with("window = { kind = \"tumbling\", size = \"0s\" }", "contradiction", "{ kind = \"tumbling\", size = \"0s\" }", "abs(offset) < size");
    with("window = { kind = \"tumbling\", size = \"10s\", slide = \"1s\" }", "contradiction", "\"1s\"", "means nothing with kind = \"tumbling\"");
    with("window = { kind = \"session\", gap = \"5s\" }\ntrigger = { kind = \"delta\", threshold = 1 }", "contradiction", "{ kind = \"delta\", threshold = 1 }", "supports merging");
    with("window = { kind = \"tumbling\", size = \"10s\" }\nallowed-lateness = \"-1s\"", "contradiction", "\"-1s\"", "cannot be negative");
    with("window = { kind = \"count\", count = 0 }", "bad-value", "0", "count > 0");
    with("window = { kind = \"count\", count = 3 }\naccumulation = \"discarding\"", "contradiction", "\"discarding\"", "of its own");
    with("window = { kind = \"tumbling\", size = \"1.5ms\" }", "bad-value", "\"1.5ms\"", "finer than a millisecond");
    with("window = { kind = \"tumbling\", size = \"10s\" }\ntrigger = { kind = \"count\" }", "missing-key", "{ kind = \"count\" }", "`count` is missing");
    with("window = { kind = \"tumbling\", size = \"10s\" }\nevictor = { count = 1, delta = 2 }", "contradiction", "{ count = 1, delta = 2 }", "exactly one of");
    let early = |of: &str| format!("{WINDOW}\ntrigger = {{ kind = \"event-time\", early = {of} }}");
    with(&early("{ count = 0 }"), "contradiction", "{ kind = \"event-time\", early = { count = 0 } }", "count > 0");
    with(&early("{ count = 2, every = \"1s\" }"), "contradiction", "{ count = 2, every = \"1s\" }", "exactly one of count, delay, every");
    with(&early("{ aligned = true }"), "contradiction", "{ aligned = true }", "have one rule");
    with(&early("{ count = 2, aligned = true }"), "contradiction", "true", "means nothing with `count`");
    with(&early("{ every = \"0s\" }"), "contradiction", "{ kind = \"event-time\", early = { every = \"0s\" } }", "interval > 0");
    with(&format!("{WINDOW}\ntrigger = {{ kind = \"count\", count = 2, late = {{ count = 1 }} }}"), "contradiction", "{ count = 1 }", "not kind = \"event-time\"");
    with(&format!("{WINDOW}\naccumulation = \"retracting\"\nevictor = {{ count = 2 }}"), "contradiction", "{ count = 2 }", "no window of Flink SQL has one");
    check("key = \"a\" },\n]", "key = \"a\", watermark = 9 },\n]", "contradiction", "9", "does not read watermarks out of its records");
    check("{ kind = \"bounded\", bound = \"2 s\" }", "{ kind = \"listed\" }", "contradiction", "{ kind = \"listed\" }", "no record brings a watermark");
    with(&format!("{WINDOW}\nlate = \"side-output\""), "unread", "\"count\"", "nobody reads");
    with(&format!("{WINDOW}\ntime = \"processing\"\nallowed-lateness = \"1s\""), "contradiction", "\"1s\"", "no record is late");
    with("window = { kind = \"count\", count = 3 }\nallowed-lateness = \"1s\"", "contradiction", "\"1s\"", "never ends");
    with(&format!("{WINDOW}\ntime = \"processing\"\ntrigger = {{ kind = \"event-time\" }}"), "contradiction", "{ kind = \"event-time\" }", "forgotten at its end");
    with("window = { kind = \"sliding\", size = \"5s\", slide = \"10s\" }", "contradiction", "{ kind = \"sliding\", size = \"5s\", slide = \"10s\" }", "belong to none");
    check("value = 1, window", "value = 1, kind = \"-U\", window", "contradiction", "\"-U\"", "changelog = true");
    check("name = \"clicks\"", "name = \"clicks\"\ntime = \"none\"", "no-time", "\"count\"", "Long.MIN_VALUE timestamp (= no timestamp marker)");
    check("watermark = { kind = \"bounded\", bound = \"2 s\" }", "bounded = false", "no-watermarks", "\"count\"", "makes no watermarks");
    check("bound = \"2 s\"", "idleness = \"2 s\"", "missing-key", "{ kind = \"bounded\", idleness = \"2 s\" }", "`bound` is missing");
    check("{ kind = \"bounded\", bound = \"2 s\" }", "{ kind = \"ascending\", idleness = 0 }", "bad-value", "0", "idleTimeout must be greater than zero");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_joins() {
    let with = |join: &str, code: &str, place: &str, said: &str| {
        let text = format!("[[stream.join]]\nname = \"j\"\n{join}\n\n[[stream.expect]]");
        check("[[stream.expect]]", &text, code, place, said);
    };
    with("input = [\"clicks\"]\nkind = \"table\"", "wrong-inputs", "[\"clicks\"]", "a join has two inputs, and this names 1");
    with("left = \"clicks\"\nkind = \"table\"", "wrong-inputs", "[[stream.join]]", "`right` is missing");
    with("left = \"clicks\"\nright = \"count\"\nkind = \"interval\"\nlower = \"2s\"\nupper = \"1s\"", "contradiction", "\"2s\"", "lowerBound <= upperBound must be fulfilled");
    with("left = \"clicks\"\nright = \"count\"\nkind = \"interval\"\nlower = \"0s\"", "missing-key", "[[stream.join]]", "`upper` is missing");
    with("left = \"clicks\"\nright = \"count\"\nkind = \"interval\"\nlower = \"0s\"\nupper = \"1s\"\ntype = \"full\"", "contradiction", "\"full\"", "no such join");
    with("left = \"clicks\"\nright = \"count\"\nkind = \"window\"", "missing-key", "[[stream.join]]", "`size` is missing");
    with("left = \"clicks\"\nright = \"count\"\nkind = \"table\"\npartition = \"forward\"", "no-key", "\"forward\"", "needs a key");
    with("left = \"clicks\"\nright = \"count\"\nkind = \"lookup\"\ntable = []", "wrong-inputs", "\"count\"", "a lookup join has one input");
    with("left = \"clicks\"\nkind = \"lookup\"", "missing-key", "[[stream.join]]", "`table` is missing");
    with("kind = \"lookup\"\ntable = []", "wrong-inputs", "[[stream.join]]", "has no input");
    with("left = \"clicks\"\nkind = \"lookup\"\ntable = []\ncache = {}", "contradiction", "{}", "are not set for the cache");
    with("left = \"clicks\"\nkind = \"lookup\"\ntable = []\ntype = \"full\"", "contradiction", "\"full\"", "no such join");
    with("left = \"clicks\"\nright = \"count\"\nkind = \"table\"\ntable = []", "contradiction", "[]", "means nothing with this kind of join");
    with("left = \"clicks\"\nright = \"count\"\nkind = \"window\"\nsize = \"1s\"\nslide = \"0s\"", "bad-value", "\"0s\"", "slide > 0");
    let interval = "left = \"clicks\"\nright = \"count\"\nkind = \"interval\"\nlower = \"0s\"\nupper = \"1s\"";
    with(&format!("{interval}\n[[stream.sink]]\nname = \"late\"\ninput = \"j.late\""), "unknown-name", "\"j.late\"", "late-left and late-right");
    with("left = \"clicks\"\nright = \"out\"\nkind = \"table\"", "contradiction", "\"out\"", "nothing comes out of it");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_sources() {
    check("{ ts = \"3s\"", "{ tss = \"3s\"", "unknown-key", "tss", "did you mean `ts`?");
    check("value = 7", "value = \"7\"", "bad-value", "\"7\"", "a whole number");
    check("at = \"1s\"", "split = 2_000", "bad-value", "2_000", "from 1 to 1000");
    check("records = [\n", "load = { rate = 1 }\nrecords = [\n", "contradiction", "{ rate = 1 }", "keep one of them");
    check("key = \"a\", value = 1, window = [\"0s\", \"10s\"]", "key = \"a\", value = 1, window = [\"10s\", \"0s\"]", "bad-value", "[\"10s\", \"0s\"]", "ends before it starts");
    check("window = \"0s..10s\"", "window = \"0s\"", "bad-value", "\"0s\"", "a start and an end");
    let list = &BASE[BASE.find("records = [").unwrap()..BASE.find("[[stream.window]]").unwrap()];
    let with = |to: &str, code: &str, place: &str, said: &str| check(list, &format!("{to}\n"), code, place, said);
    with("", "missing-key", "[[stream.source]]", "`records` is missing");
    with("load = { keys = 2, limit = 1 }", "missing-key", "{ keys = 2, limit = 1 }", "`rate` is missing");
    with("load = { rate = 1, keys = 2 }\nbounded = true", "contradiction", "true", "never ends");
    with("load = { rate = 1, keys = 3_000_000 }", "bad-value", "3_000_000", "not so many keys");
    with("load = { rate = 1, keys = 2, gap = \"1s\" }", "contradiction", "\"1s\"", "the same thing");
    with("records = \"\"\"\nat key valu\n1s a 1\n\"\"\"", "unknown-key", "valu", "did you mean `value`?");
    with("records = \"\"\"\nat key\n1s a 1\n\"\"\"", "bad-value", "1s a 1", "3 cells and there are 2 columns");
    with("records = \"\"\"\nat key value\n1s a x\n\"\"\"", "bad-value", "x", "a whole number");
    with("records = \"\"\"\nat at\n1s 1s\n\"\"\"", "duplicate", "at", "two columns `at`");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_settings() {
    let with = |to: &str, code: &str, place: &str, said: &str| {
        check(CONFIG, &format!("{CONFIG}, {to}"), code, place, said);
    };
    const UNALIGNED: &str = "\"execution.checkpointing.unaligned.enabled\" = true";
    with(&format!("{UNALIGNED}, \"execution.checkpointing.mode\" = \"AT_LEAST_ONCE\""), "contradiction", "true", "can only be used with checkpointing mode EXACTLY_ONCE");
    with(&format!("{UNALIGNED}, \"execution.checkpointing.max-concurrent-checkpoints\" = 2"), "contradiction", "2", "maxConcurrentCheckpoints can't be > 1 if UnalignedCheckpoints enabled");
    with("\"heartbeat.timeout\" = \"5 s\"", "contradiction", "\"5 s\"", "should be larger or equal than the heartbeat interval");
    with("\"heartbeat.timeout\" = \"10 s\"", "contradiction", "\"10 s\"", "as soon as one answer is slow");
    with("\"heartbeat.interval\" = 0", "bad-value", "0", "at least 1 ms");
    with("\"heartbeat.intervall\" = 5", "unknown-key", "\"heartbeat.intervall\"", "did you mean `heartbeat.interval`?");
    with("\"execution.checkpointing.timeout\" = \"soon\"", "bad-value", "\"soon\"", "a duration, e.g. 10 s or 200 ms");
    with("\"execution.checkpointing.incremental\" = true", "contradiction", "true", "rocksdb");
    const SORT: &str = "[[stream.sort]]\nname = \"s\"\ninput = \"clicks\"\n[[stream.expect]]";
    check("[[stream.expect]]", SORT, "contradiction", "\"s\"", "takes no checkpoints");
    const DEBLOAT: &str = "\"taskmanager.network.memory.buffer-debloat.enabled\" = true";
    with(&format!("{DEBLOAT}, \"taskmanager.memory.min-segment-size\" = 50_000"), "contradiction", "50_000", "larger than the largest");
    with("\"taskmanager.network.memory.buffer-debloat.target\" = \"2 s\"", "contradiction", "\"2 s\"", "which is not enabled");
    const SCALES: &str = "\"job.autoscaler.enabled\" = true, \"job.autoscaler";
    with(&format!("{SCALES}.utilization.max\" = 0.6"), "contradiction", "0.6", "within the range [0.7, 1.0]");
    with(&format!("{SCALES}.utilization.min\" = 0.8"), "contradiction", "0.8", "within the range [0.0, 0.7]");
    with(&format!("{SCALES}.metrics.window\" = \"50 s\""), "contradiction", "\"50 s\"", "nothing is ever decided");
    with(&format!("{SCALES}.metrics.window\" = \"2 d\""), "contradiction", "\"2 d\"", "2885 samples, and 1000 are allowed");
    with("\"job.autoscaler.metrics.window\" = \"50 s\"", "contradiction", "\"50 s\"", "which is not enabled");
    with("\"strandline.redeploy-time\" = \"50 s\"", "contradiction", "\"50 s\"", "which is not enabled");
    with("\"restart-strategy.fixed-delay.attempts\" = 3", "contradiction", "3", "another `restart-strategy.type`");
    with("\"restart-strategy.exponential-delay.max-backoff\" = 5", "contradiction", "5", "must not be smaller than the initial backoff");
    check(CONFIG, "\"execution.checkpointing.interval\" = 5", "bad-value", "5", "larger than or equal to 10 ms");
    with("\"taskmanager.memory.process.size\" = \"300 mb\"", "contradiction", "\"300 mb\"", "exceed configured Total Process Memory");
    with("\"taskmanager.memory.network.min\" = \"1 gb\"", "contradiction", "\"1 gb\"", "whose size is not given");
    check(CONFIG, "", "no-checkpoints", "\"out\"", "none are taken");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_orders_and_predicates() {
    let head = "strandline = 1\ntitle = \"t\"\nduration = \"40s\"\n";
    let with = |more: &str, said: Option<(&str, &str)>| {
        let text = format!("{head}{BASE}{more}\n");
        let parsed = parse(&text);
        let shown = render(&parsed.diagnostics, "test", &text);
        match said {
            None => assert!(parsed.diagnostics.is_empty(), "{shown}"),
            Some((code, said)) => {
                assert!(parsed.diagnostics.iter().any(|it| it.code == code), "{shown}");
                assert!(shown.contains(said), "no `{said}` in:\n{shown}");
            }
        }
    };
    with("[[timeline]]\nat = \"5s\"\ndo = \"rescale\"\noperator = \"count\"\nparallelism = 3", None);
    with("[[timeline]]\nat = \"5s\"\ndo = \"rescale\"\nparallelism = 300", Some(("bad-value", "must not be smaller than parallelism")));
    with("[[timeline]]\nat = \"5s\"\ndo = \"rescale\"\noperator = \"cuont\"\nparallelism = 3", Some(("unknown-name", "did you mean `count`?")));
    with("[[timeline]]\nat = \"5s\"\ndo = \"rescale\"\nparallelism = 5", Some(("no-resource", "needs 5 slots and there are 4")));
    with("[[timeline]]\nat = \"5s\"\ndo = \"trigger-checkpoint\"", None);
    let saved = "[[timeline]]\nat = \"5s\"\ndo = \"trigger-savepoint\"\nsavepoint = \"noon\"\n[[timeline]]\nat = \"6s\"\ndo = \"cancel-job\"\n";
    let run = |more: &str| format!("{saved}[[timeline]]\nat = \"9s\"\ndo = \"run-job\"\n{more}");
    with(&run(""), None);
    with(&run("savepoint = \"noon\"\nparallelism = 3"), None);
    with(&run("savepoint = \"savepoint-4\""), None);
    with(&run("savepoint = \"non\""), Some(("unknown-name", "did you mean `noon`?")));
    with(&run("savepoint = \" \""), Some(("bad-value", "this is no name")));
    with(&run("parallelism = 300"), Some(("bad-value", "must not be smaller than parallelism")));
    with(&run("parallelism = 5"), Some(("no-resource", "needs 5 slots and there are 4")));
    with(&run("operator = \"cuont\"\nparallelism = 3"), Some(("unknown-name", "did you mean `count`?")));
    with(&run("savepoint = \"noon\"\nnew-uid = \"count\"\nallow-non-restored-state = true"), None);
    with(&run("savepoint = \"noon\"\nnew-uid = \"cuont\""), Some(("unknown-name", "did you mean `count`?")));
    with(&run("new-uid = \"count\""), Some(("contradiction", "means nothing without `savepoint`")));
    with(&run("state-of = \"count\""), Some(("contradiction", "means nothing without `state`")));
    with(&run("state = \"long\""), Some(("contradiction", "means nothing without `state-of`")));
    with(&run("state-of = \"count\"\nstate = \"long\""), Some(("contradiction", "does not say what its state is")));
    with(&run("state-of = \"count\"\nstate = \"lnog\""), Some(("bad-value", "`lnog` is no type")));
    let edit = |more: &str| format!("{saved}[[timeline]]\nat = \"9s\"\ndo = \"edit-savepoint\"\nsavepoint = \"noon\"\ninto = \"fixed\"\noperator = \"p\"\n{more}\n[[stream.process]]\nname = \"p\"\ninput = \"clicks\"\nfunction = \"sum\"");
    with(&edit("set = \"a 3, b -4\""), None);
    with(&edit("set = \"a 3\"\nremove = \"b\""), None);
    with(&edit(""), Some(("missing-key", "`set` or `remove` is missing")));
    with(&edit("set = \"zoe 3\""), Some(("bad-value", "`zoe 3` is no entry of this job")));
    with(&edit("set = \"a x\""), Some(("bad-value", "`a x` is no entry of this job")));
    with(&edit("set = \"a 3\"").replace("operator = \"p\"", "operator = \"count\""), Some(("contradiction", "keeps no number for each key")));
    with(&edit("set = \"a 3\"").replace("savepoint = \"noon\"\ninto", "savepoint = \"non\"\ninto"), Some(("unknown-name", "did you mean `noon`?")));
    with(&run("operator = \"count\""), Some(("contradiction", "means nothing without `parallelism`")));
    with("[[timeline]]\nat = \"5s\"\ndo = \"rescale\"\noperator = \"count\"", Some(("missing-key", "parallelism")));
    with("[[timeline]]\nat = \"5s\"\ndo = \"set-sink-cost\"\nnode = \"out-store\"\ncost = \"5ms\"", None);
    with("[[timeline]]\nat = \"5s\"\ndo = \"set-sink-cost\"\nnode = \"out-store\"\ncost = \"5ns\"", Some(("bad-value", "finer than 1us")));
    with("[[timeline]]\nat = \"5s\"\ndo = \"fail-tasks\"\nnode = [\"tm1\", \"tm2\"]", None);
    with("[[expect]]\nthat = \"job.status == FINISHED and count.watermark > 0 and out-store.committed == 2\"", None);
    with("[[expect]]\nthat = \"job.status == FINSHED\"", Some(("unknown-name", "did you mean `FINISHED`?")));
}

/// A name that is taken is no second mistake of the vocabulary's.
#[test]
fn a_name_that_is_taken_is_reported_once() {
    for name in ["clicks", "job"] {
        let map = format!("[[stream.map]]\nname = \"{name}\"\ninput = \"count\"\n");
        let text = format!("strandline = 1\ntitle = \"t\"\nduration = \"40s\"\n{BASE}{map}");
        let problems = parse(&text).diagnostics;
        assert_eq!(problems.len(), 1, "{}", render(&problems, "test", &text));
    }
}

#[test]
fn a_section_without_anything_says_what_is_missing() {
    let (_, problems) = read("[stream]\n");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("at least one source"));
}

#[test]
fn what_is_too_big_is_refused() {
    let subtasks = BASE.replace(
        "parallelism = 2",
        "parallelism = 2000\nmax-parallelism = 4096",
    );
    let (_, problems) = read(&subtasks);
    assert!(problems.iter().any(|it| it.code == "limit-subtasks"));
    let maps: String = (0..120)
        .map(|n| format!("[[stream.map]]\nname = \"m{n}\"\ninput = \"clicks\"\n"))
        .collect();
    let (_, problems) = read(&format!("{BASE}{maps}"));
    assert!(problems.iter().any(|it| it.code == "limit-operators"));
}

/// Records multiply on their way: a run whose loads are small may still be too much for a machine.
#[test]
fn what_multiplies_its_records_too_much_is_refused() {
    let load = |name: &str, rate: u32, keys: u32| {
        format!("[[stream.source]]\nname = \"{name}\"\nload = {{ rate = {rate}, keys = {keys} }}\n")
    };
    let sources = |rate, keys| load("one", rate, keys) + &load("two", rate, keys);
    let join = |what: &str| {
        format!("[[stream.join]]\nname = \"a\"\nleft = \"one\"\nright = \"two\"\n{what}\n")
    };
    let window = |what: &str| format!("[[stream.window]]\nname = \"a\"\ninput = \"one\"\n{what}\n");
    let copies = |times: u32| {
        let both = [("a", "one"), ("b", "a")];
        let both = both.map(|(name, input)| {
            format!(
                "[[stream.flat-map]]\nname = \"{name}\"\ninput = \"{input}\"\ncopies = {times}\n"
            )
        });
        load("one", 1, 1) + &both.concat()
    };
    let lists = "window = { kind = \"global\" }\naggregate = \"elements\"\ntrigger = { kind = \"count\", count = 1 }";
    let spread = |subtasks: u32| {
        let map = "[[stream.map]]\nname = \"a\"\ninput = \"one\"\nfunction = \"identity\"\npartition = \"broadcast\"";
        format!("{}{map}\nparallelism = {subtasks}\n", load("one", 1_000, 1))
    };
    let last = |n: u32| {
        let process = "[[stream.process]]\nname = \"a\"\ninput = \"one\"\nfunction = \"last\"";
        format!("{}{process}\nn = {n}\n", load("one", 1_000, 1))
    };
    let sized = "kind = \"window\"\nsize = \"1min\"";
    let near = |minutes: u32| {
        format!("kind = \"interval\"\nlower = \"-{minutes}min\"\nupper = \"{minutes}min\"")
    };
    let hops = |slide: &str| {
        window(&format!(
            "window = {{ kind = \"sliding\", size = \"1d\", slide = \"{slide}\" }}"
        ))
    };
    for (text, fits) in [
        (copies(100), true),
        (copies(1_000), false),
        (sources(1_000, 1_000_000) + &join(sized), true),
        (sources(1_000, 1) + &join(sized), false),
        (sources(1_000, 1) + &join("kind = \"table\""), false),
        (
            sources(1_000, 1) + &join("kind = \"table\"\nttl = \"1ms\""),
            true,
        ),
        (sources(1_000, 1) + &join(&near(0)), true),
        (sources(1_000, 1) + &join(&near(10)), false),
        (sources(1_000, 1) + &join("kind = \"temporal\""), true),
        (load("one", 1_000, 1) + &hops("1s"), true),
        (load("one", 1_000, 1_000) + &hops("1s"), false),
        (load("one", 1_000, 1_000) + &hops("1h"), true),
        (load("one", 10, 10) + &window(lists), true),
        (load("one", 1_000, 1) + &window(lists), false),
        (spread(2), true),
        (spread(500), false),
        (last(10), true),
        (last(100_000), false),
    ] {
        let text = format!(
            "strandline = 1\ntitle = \"t\"\nduration = \"10min\"\n\n[stream]\nslots = 500\n\n{text}\n\
             [[stream.sink]]\nname = \"out\"\ninput = \"a\"\n"
        );
        let found = crate::scenario::parse(&text).diagnostics;
        let refused = found.iter().any(|it| it.code == "limit-records");
        let other = found.iter().filter(|it| it.severity == Severity::Error);
        assert_eq!(
            other.count(),
            usize::from(!fits),
            "{}",
            render(&found, "test", &text)
        );
        assert_eq!(refused, !fits, "{text}");
    }
}

/// Where tasks take snapshots each for itself, what needs a checkpoint of the whole job is refused.
#[test]
fn without_coordination() {
    let own = "\"strandline.checkpointing.coordination\" = \"none\"";
    let check = |config: &str, guarantee: &str, code: &str, said: &str| {
        let exactly = "guarantee = \"exactly-once\"";
        assert!(BASE.contains(CONFIG) && BASE.contains(exactly));
        let text = BASE.replace(CONFIG, &format!("{own}, {config}"));
        let text = text.replace(exactly, &format!("guarantee = \"{guarantee}\""));
        let (_, problems) = read(&text);
        let shown = render(&problems, "test", &text);
        let codes: Vec<&str> = problems.iter().map(|it| it.code).collect();
        let expected: Vec<&str> = Some(code).filter(|it| !it.is_empty()).into_iter().collect();
        assert_eq!(codes, expected, "{shown}");
        assert!(shown.contains(said), "no `{said}` in:\n{shown}");
    };
    check(CONFIG, "at-least-once", "", "");
    check(CONFIG, "idempotent", "", "");
    for guarantee in ["exactly-once", "write-ahead-log"] {
        check(CONFIG, guarantee, "contradiction", "and there is none");
    }
    for key in [
        "execution.checkpointing.unaligned.enabled",
        "execution.checkpointing.local-backup.enabled",
        "execution.state-recovery.from-local",
        "state.backend.local-recovery",
        "job.autoscaler.enabled",
    ] {
        let config = format!("{CONFIG}, \"{key}\" = true");
        check(&config, "at-least-once", "contradiction", key);
    }
    let retained = "execution.checkpointing.externalized-checkpoint-retention";
    let config = format!("{CONFIG}, \"{retained}\" = \"RETAIN_ON_CANCELLATION\"");
    check(&config, "at-least-once", "contradiction", retained);
    let every = format!("{CONFIG}, \"strandline.checkpointing.every-records\" = 5");
    check(&every, "at-least-once", "contradiction", "takes none");
    let never = "\"execution.checkpointing.interval\" = 0";
    check(
        never,
        "at-least-once",
        "no-checkpoints",
        "a failure begins anew",
    );
}
