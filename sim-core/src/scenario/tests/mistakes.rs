//! Mistakes: each is found where it stands, with its code, what was expected and the nearest name.

use super::super::*;
use super::BASE;

/// Where the text is broken, and what must be said: code, the text at the place, a part of the
/// message, of what was expected, or of the hint.
fn check(text: &str, code: &str, place: &str, said: &str) {
    let parsed = parse(text);
    let shown = render(&parsed.diagnostics, "test", text);
    let found = parsed.diagnostics.iter().find(|d| d.code == code);
    let found = found.unwrap_or_else(|| panic!("no `{code}` in:\n{shown}"));
    assert_eq!(&text[found.span.clone()], place, "{shown}");
    assert!(shown.contains(said), "no `{said}` in:\n{shown}");
    let errors = parsed
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .count();
    assert_eq!(errors == 0, parsed.scenario.is_some(), "{shown}");
    assert_eq!(
        parsed.diagnostics.len(),
        1,
        "one mistake, one problem:\n{shown}"
    );
}

fn with(from: &str, to: &str, code: &str, place: &str, said: &str) {
    assert!(BASE.contains(from), "{from}");
    check(&BASE.replace(from, to), code, place, said);
}

fn added(more: &str, code: &str, place: &str, said: &str) {
    check(&format!("{BASE}\n{more}\n"), code, place, said);
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_the_document() {
    with("title =", "titel =", "unknown-key", "titel", "did you mean `title`?");
    with("title = \"t\"\n", "", "missing-key", "", "`title` is missing");
    with("title = \"t\"", "title = 5", "bad-value", "5", "this is a whole number");
    with("duration = \"20s\"", "duration = 20", "bad-value", "20", "a time such as");
    with("duration = \"20s\"", "duration = \"20\"", "bad-value", "\"20\"", "has no unit");
    with("duration = \"20s\"", "duration = \"0s\"", "bad-value", "\"0s\"", "above 0");
    with("duration = \"20s\"", "duration = \"31d\"", "limit-duration", "\"31d\"", "2592000s");
    with("strandline = 1", "strandline = 2", "version", "2", "newer Strandline");
    with("strandline = 1\n", "", "missing-key", "", "`strandline` is missing");
    with("title = \"t\"", "title = \"t\"\nseed = -1", "bad-value", "-1", "from 0 on");
    with("title = \"t\"", "title = \"t\"\nseed = 1.5", "bad-value", "1.5", "a decimal number");
    with("title = \"t\"", "title = 2020-01-01", "bad-value", "2020-01-01", "a date");
    added("[network]\ndelay = \"0s\"", "bad-value", "\"0s\"", "from 1us");
    added("[[network.link]]\nfrom = \"b1\"\nto = \"b4\"", "unknown-name", "\"b4\"", "did you mean `b1`?");
    check("strandline = 1\ntitle = \"t\"\nduration = \"1s\"\n", "missing-key", "", "[kafka]");
    with("title = \"t\"", "title = ", "syntax", "", "quoted");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_the_cluster() {
    with("brokers = 3", "brokers = 0", "bad-value", "0", "at least one broker");
    with("brokers = 3", "brokers = \"3\"", "bad-value", "\"3\"", "a number, a list of names");
    with("brokers = 3", "brokers = 3\ncontrollers = 2", "even-quorum", "2", "no more failures than 1");
    with("brokers = 3", "brokers = { b1 = 1, b2 = 1, b3 = 2 }", "duplicate", "{ b1 = 1, b2 = 1, b3 = 2 }", "the same node.id 1");
    with("brokers = 3", "brokers = [\"b1\", \"p1\", \"b3\"]", "duplicate", "\"p1\"", "the name `p1` is taken");
    with("brokers = 3", "brokers = 3\nracks = { b1 = \"east\", b7 = \"west\" }", "unknown-name", "b7", "there is no broker `b7`");
    with("brokers = 3", "brokers = 3\nracks = { b1 = \"\" }", "bad-value", "\"\"", "a rack has a name");
    with("brokers = 3", "brokers = 3\nracks = [\"east\"]", "bad-value", "[\"east\"]", "a table of brokers and racks");
    with("\"p1\"", "\"time\"", "bad-value", "\"time\"", "meaning of its own");
    with("\"p1\"", "\"my producer\"", "bad-value", "\"my producer\"", "not a name for a node");
    with("\"p1\"", "\"orders-1\"", "duplicate", "\"orders-1\"", "is taken");
    with("\"p1\"", "\"controller\"", "duplicate", "\"controller\"", "is taken");
    with("partitions = 2", "partitions = 0", "bad-value", "0", "at least one partition");
    with("partitions = 2", "partitions = 400", "limit-replicas", "400", "at most 1000");
    with("partitions = 2", "partitons = 2", "unknown-key", "partitons", "`partitions`");
    with("replication-factor = 3", "replication-factor = 4", "bad-value", "4", "do not fit on 3 brokers");
    check(&BASE.replace("replication-factor = 3", "replication-factor = 4").replace("name = \"r1\"", "name = \"r1\"\npartitions = [0]"), "bad-value", "4", "do not fit on 3 brokers");
    with("replication-factor = 3", "assignment = [[\"b1\"]]", "contradiction", "2", "follows from `assignment`");
    with("partitions = 2\nreplication-factor = 3", "assignment = [[\"b1\", \"b7\"]]", "unknown-name", "\"b7\"", "there is no broker `b7`");
    with("partitions = 2\nreplication-factor = 3", "assignment = [[\"b1\", \"b1\"]]", "duplicate", "\"b1\"", "twice");
    check(&BASE.replace("orders", "or ders"), "bad-value", "\"or ders\"", "legal topic name");
    with("name = \"p1\"\ntopic = \"orders\"", "name = \"p1\"\ntopic = \"order\"", "unknown-name", "\"order\"", "did you mean `orders`?");
    with("rate = 10", "rate = 0", "bad-value", "0", "never sends");
    with(", rate = 10", "", "missing-key", "{ kind = \"constant\" }", "`rate` is missing");
    with("rate = 10", "rate = 10, gap = \"1s\"", "contradiction", "\"1s\"", "say the same");
    with("rate = 10", "rate = 10, on = \"1s\"", "contradiction", "\"1s\"", "bursts");
    with("\"constant\"", "\"constnat\"", "bad-value", "\"constnat\"", "did you mean `constant`?");
    with("rate = 10", "rate = 10_000_000", "limit-events", "\"20s\"", "lower the rate");
    with("rate = 10", "rate = 10, stop = \"0s\"", "contradiction", "\"0s\"", "stops before it starts");
    with("rate = 10", "rate = 10, keys = { kind = \"zipf\", count = 0 }", "bad-value", "0", "from 1 to");
    with("rate = 10", "rate = 10, keys = { kind = \"cycle\", exponent = 1 }", "contradiction", "1", "zipf");
    with("rate = 10", "rate = 10, record-size = \"2MB\"", "contradiction", "{ kind = \"constant\", rate = 10, record-size = \"2MB\" }", "max.request.size");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_settings() {
    let producer = |line: &str| format!("rate = 10 }}\nconfig = {{ {line} }}");
    let in_producer = |line: &str, code: &str, place: &str, said: &str| {
        with("rate = 10 }", &producer(line), code, place, said);
    };
    in_producer("ack = 1", "unknown-key", "ack", "did you mean `acks`?");
    in_producer("acks = 2", "bad-value", "2", "0, 1, all");
    in_producer("acks = 1, enable.idempotence = true", "contradiction", "1", "Kafka's producer refuses");
    in_producer("\"linger.ms\" = 1, linger.ms = 2", "duplicate", "ms", "set twice");
    in_producer("linger.ms = -1", "bad-value", "-1", "at least 0");
    in_producer("linger.ms = \"5s\"", "bad-value", "\"5s\"", "a whole number");
    in_producer("linger.ms = 1.5", "bad-value", "1.5", "a decimal number");
    in_producer("linger = 5", "unknown-key", "linger", "did you mean `linger.ms`?");
    in_producer("linger.ms = 9223372036854775807, delivery.timeout.ms = 2147483646", "contradiction", "2147483646", "linger.ms + request.timeout.ms");
    in_producer("delivery.timeout.ms = 9223372036854775807", "bad-value", "9223372036854775807", "at most 2147483647");
    in_producer("delivery.timeout.ms = 10", "contradiction", "10", "linger.ms + request.timeout.ms");
    with("brokers = 3", "brokers = 3\nconfig = { replica.lag.time.max.ms = 100 }", "contradiction", "100", "idle followers would leave");
    with("brokers = 3", "brokers = 3\nconfig = { broker.heartbeat.interval.ms = 9_001 }", "contradiction", "9_001", "fenced");
    with("replication-factor = 3", "replication-factor = 3\nconfig = { min.insync.replicas = 4 }", "contradiction", "4", "3 is in force");
    with("brokers = 3", "brokers = 3\nrules = { truncation = \"kip101\" }", "bad-value", "\"kip101\"", "did you mean `kip-101`?");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_groups() {
    let member = |line: &str, code: &str, place: &str, said: &str| {
        added(&format!("[[kafka.consumer]]\nname = \"m1\"\ntopic = \"orders\"\nconfig = {{ group.id = \"g\", {line} }}"), code, place, said);
    };
    let group = |line: &str, code: &str, place: &str, said: &str| {
        added(&format!("[[kafka.group]]\nid = \"g\"\ntopic = \"orders\"\nmembers = [\"m1\", \"m2\"]\nconfig = {{ {line} }}"), code, place, said);
    };
    let brokers = |line: &str, more: &str, code: &str, place: &str, said: &str| {
        let text = BASE.replace("brokers = 3", &format!("brokers = 3\nconfig = {{ {line} }}"));
        check(&format!("{text}\n{more}\n"), code, place, said);
    };
    let two = "[[kafka.group]]\nid = \"g\"\ntopic = \"orders\"\nmembers = [\"m1\", \"m2\"]";
    member("partition.assignment.strategy = \"rnage\"", "bad-value", "\"rnage\"", "is no assignor");
    member("partition.assignment.strategy = \"range, range\"", "bad-value", "\"range, range\"", "stands twice");
    member("group.protocol = \"consumer\", group.remote.assignor = \"sticky\"", "contradiction", "\"sticky\"", "UNSUPPORTED_ASSIGNOR");
    brokers("group.consumer.assignors = \"sticky\"", "", "bad-value", "\"sticky\"", "no assignor of the coordinator");
    member("heartbeat.interval.ms = 45_000", "contradiction", "45_000", "Heartbeat must be set lower");
    member("session.timeout.ms = 3_000", "contradiction", "3_000", "Heartbeat must be set lower");
    member("session.timeout.ms = 5_000", "contradiction", "5_000", "INVALID_SESSION_TIMEOUT");
    member("session.timeout.ms = 2_000_000", "contradiction", "2_000_000", "6000 to 1800000");
    brokers("group.min.session.timeout.ms = 2_000_000", two, "contradiction", "2_000_000", "above `group.max.session.timeout.ms` (1800000)");
    brokers("group.max.session.timeout.ms = 5_000", two, "contradiction", "5_000", "whoever joins is answered INVALID_SESSION_TIMEOUT");
    brokers("offsets.topic.replication.factor = 4", two, "contradiction", "4", "INVALID_REPLICATION_FACTOR");
    brokers("transaction.state.log.replication.factor = 5", "", "contradiction", "5", "the number of brokers (3)");
    brokers("transaction.state.log.min.isr = 4", "", "contradiction", "4", "above the number of replicas (3");
    brokers("transaction.state.log.replication.factor = 1, transaction.state.log.min.isr = 2", "", "contradiction", "2", "NOT_ENOUGH_REPLICAS");
    brokers("group.max.size = 1", two, "contradiction", "\"m2\"", "GROUP_MAX_SIZE_REACHED");
    brokers("group.consumer.session.timeout.ms = 5_000", "", "contradiction", "5_000", "greater than or equal");
    brokers("group.share.heartbeat.interval.ms = 1_000", "", "contradiction", "1_000", "at least 5000");
    brokers("group.share.max.size = 1_001", "", "contradiction", "1_001", "at most 1000");
    group("heartbeat.interval.ms = 50_000", "contradiction", "50_000", "Kafka's consumer refuses");
    group("group.protocol = \"consumer\", session.timeout.ms = 10_000", "contradiction", "10_000", "cannot be set when group.protocol=CONSUMER");
    group("group.id = \"h\"", "contradiction", "\"h\"", "leave `group.id` out");
    group("application.workers = 2, application.commit = \"before\"", "contradiction", "2", "finish in any order");
    let apart = "[[kafka.consumer]]\nname = \"m3\"\ntopic = \"orders\"\ngroup = \"g\"\nconfig = { partition.assignment.strategy = \"sticky\" }";
    added(&format!("{two}\n{apart}"), "contradiction", "\"m1\"", "INCONSISTENT_GROUP_PROTOCOL");
    added(&apart.replace("\"g\"", "\"h\""), "unknown-name", "\"h\"", "there is no group `h`");
    added(&format!("{two}\n{}", two.replace("\"m1\", \"m2\"", "")), "duplicate", "\"g\"", "two groups `g`");
    added("[[kafka.group]]\nid = \"g\"\nmembers = [\"m1\"]", "missing-key", "[\"m1\"]", "a `topic`");
    let alone = |line: &str, place: &str, said: &str| {
        added(&format!("[[kafka.consumer]]\nname = \"c\"\ntopic = \"orders\"\nconfig = {{ {line} }}"), "contradiction", place, said);
    };
    alone("enable.auto.commit = true", "true", "without a group.id");
    alone("group.protocol = \"share\"", "\"share\"", "InvalidGroupIdException");
    let producer = |line: &str, place: &str, said: &str| {
        with("rate = 10 }", &format!("rate = 10 }}\nconfig = {{ {line} }}"), "contradiction", place, said);
    };
    producer("transactional.id = \"t\", acks = 1", "\"t\"", "without also enabling idempotence");
    producer("transactional.id = \"t\", enable.idempotence = false", "\"t\"", "without also enabling idempotence");
    producer("transactional.id = \"t\", transaction.timeout.ms = 900_001", "900_001", "INVALID_TRANSACTION_TIMEOUT");
    member("application.workers = 0", "bad-value", "0", "at least 1");
    member("application.workers = 2, application.commit = \"before\"", "contradiction", "2", "finish in any order");
    member("application.workers = 2, group.protocol = \"share\"", "contradiction", "2", "add members");
    member("application.commit.offset = \"lowest\"", "bad-value", "\"lowest\"", "contiguous, highest");
    member("application.processing.spread.percent = 101", "contradiction", "101", "at most 100");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_what_a_member_subscribes_to() {
    let reads = |line: &str, code: &str, place: &str, said: &str| {
        added(&format!("[[kafka.consumer]]\nname = \"c\"\n{line}"), code, place, said);
    };
    let (two, member) = ("topics = [\"orders\", \"audit\"]", "config = { group.id = \"g\" }");
    let audit = "[[kafka.topic]]\nname = \"audit\"\nreplication-factor = 3";
    let both = "[\"orders\", \"audit\"]";
    reads(member, "missing-key", "[[kafka.consumer]]", "`topic` is missing");
    reads(&format!("topics = []\n{member}"), "bad-value", "[]", "it reads nothing");
    reads(&format!("{two}\n{member}"), "unknown-name", "\"audit\"", "no topic `audit`");
    reads(&format!("topic = \"orders\"\ntopics = [\"orders\"]\n{member}"), "contradiction", "[\"orders\"]", "both say what it reads");
    reads(&format!("topics = [\"orders\", \"orders\"]\n{member}"), "duplicate", "\"orders\"", "stands twice");
    reads(&format!("{two}\n{audit}"), "contradiction", both, "give it a `group.id`");
    let shares = member.replace(" }", ", group.protocol = \"share\" }");
    reads(&format!("{two}\n{shares}\n{audit}"), "contradiction", both, "a share consumer reads one topic");
    let workers = member.replace(" }", ", application.workers = 2 }");
    reads(&format!("{two}\n{workers}\n{audit}"), "contradiction", both, "`application.workers` reads one topic");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_the_timeline() {
    let entry = |text: &str, code: &str, place: &str, said: &str| {
        added(&format!("[[timeline]]\n{text}"), code, place, said);
    };
    let crash = "do = \"crash\"\nnode = \"b1\"";
    entry("at = \"5s\"\ndo = \"crsh\"\nnode = \"b1\"", "unknown-verb", "\"crsh\"", "did you mean `crash`?");
    entry("at = \"5s\"\ndo = \"crash\"\nnode = \"b5\"", "unknown-name", "\"b5\"", "there is no node `b5`");
    entry("at = \"5s\"\ndo = \"crash\"", "missing-key", "[[timeline]]", "`node` is missing");
    entry("at = \"5s\"\ndo = \"crash\"\nnod = \"b1\"\nnode = \"b1\"", "unknown-key", "nod", "did you mean `node`?");
    entry("at = \"5s\"\ndo = \"crash\"\nnode = \"orders-0.isr.size\"", "bad-value", "\"orders-0.isr.size\"", "this is a number");
    entry("at = \"5s\"\ndo = \"crash\"\nnode = \"orders-0.leder\"", "unknown-name", "leder", "did you mean `leader`?");
    entry(&format!("at = \"5s\"\nevery = \"5s\"\n{crash}"), "contradiction", "\"5s\"", "two moments");
    entry(crash, "missing-key", "[[timeline]]", "not said when");
    entry(&format!("at = \"21s\"\n{crash}"), "never", "\"21s\"", "ends at 20s");
    entry(&format!("at = \"5s\"\nuntil = \"6s\"\n{crash}"), "contradiction", "\"6s\"", "means nothing without");
    entry(&format!("at = \"5s\"\nevery-time = true\n{crash}"), "contradiction", "true", "without `when`");
    entry(&format!("every = \"0s\"\nafter = \"20s\"\n{crash}"), "bad-value", "\"0s\"", "never ends");
    entry(&format!("every = \"0s\"\n{crash}"), "bad-value", "\"0s\"", "never ends");
    entry(&format!("every = \"1s\"\nafter = \"9s\"\nuntil = \"8s\"\n{crash}"), "never", "\"8s\"", "ends before it begins");
    added("[[expect]]\nthat = \"b1.fenced\"\nat = \"always\"\nafter = \"9s\"\nuntil = \"8s\"", "never", "\"8s\"", "ends before it begins");
    added("[[expect]]\nthat = \"b1.fenced\"\nat = \"eventually\"\nafter = \"9s\"\nby = \"8s\"", "never", "\"8s\"", "ends before it begins");
    added("[[expect]]\nthat = \"b1.fenced\"\nat = \"eventually\"\nby = \"1h\"", "never", "\"1h\"", "a time up to 20s");
    added("[[expect]]\nthat = \"b1.fenced\"\nat = \"21s\"", "never", "\"21s\"", "a time up to 20s");
    entry(&format!("every = \"1ms\"\n{crash}"), "limit-timeline", "[[timeline]]", "fires 20000 times");
    entry("at = \"5s\"\ndo = \"wipe-disk\"\nnode = \"b1\"\nfor = \"1s\"", "contradiction", "\"1s\"", "nothing takes back");
    entry("at = \"5s\"\ndo = \"cut\"\nfrom = \"b1\"\nto = \"b1\"", "bad-value", "[[timeline]]", "no link to itself");
    entry("at = \"5s\"\ndo = \"link\"\nfrom = \"b1\"\nto = \"b2\"", "nothing", "[[timeline]]", "changes nothing");
    entry("at = \"5s\"\ndo = \"link\"\nfrom = \"b1\"\nto = \"p1\"\nlose = [\"Produce\", \"ProduceResponce\"]", "unknown-name", "[\"Produce\", \"ProduceResponce\"]", "did you mean `ProduceResponse`?");
    entry("at = \"5s\"\ndo = \"link\"\nfrom = \"b1\"\nto = \"b2\"\nloss = \"200%\"", "bad-value", "\"200%\"", "more than 100%");
    entry("at = \"5s\"\ndo = \"drift\"\nnode = \"b1\"\nppb = 900_000_000", "bad-value", "900_000_000", "500000000");
    let late = "\"18446744073709551615ns\"";
    entry(&format!("at = \"5s\"\ndo = \"slow-cpu\"\nnode = \"b1\"\ncost = {late}"), "bad-value", late, "at most 30 days");
    entry(&format!("at = \"5s\"\ndo = \"link\"\nfrom = \"b1\"\nto = \"b2\"\ndelay = {late}"), "bad-value", late, "at most 30 days");
    entry(&format!("at = \"5s\"\ndo = \"delay-message\"\nmessage = 7\ndelay = {late}"), "bad-value", late, "at most 30 days");
    entry("at = \"5s\"\ndo = \"skew\"\nnode = \"b1\"\nby = \"-36501d\"", "bad-value", "\"-36501d\"", "at most 36500 days");
    entry("at = \"5s\"\ndo = \"send\"\nnode = \"b1\"\nrecords = 5", "bad-value", "\"b1\"", "`b1` is a broker, not a producer");
    entry("at = \"5s\"\ndo = \"send\"\nnode = \"p1\"\nrecords = 5_000_000_000", "bad-value", "5_000_000_000", "too many");
    entry("at = \"5s\"\ndo = \"send\"\nnode = \"p1\"\nrecords = 1_000_001", "bad-value", "1_000_001", "at most 1000000 at once");
    entry("at = \"5s\"\ndo = \"elect-unclean\"\ntopic = \"orders\"\npartition = 2", "bad-value", "2", "no partition 2");
    entry("at = \"5s\"\ndo = \"alter-config\"\ntopic = \"orders\"\nkey = \"min.isr\"\nvalue = 1", "unknown-key", "\"min.isr\"", "min.insync.replicas");
    entry("at = \"5s\"\ndo = \"alter-config\"\ntopic = \"orders\"\nkey = \"min.insync.replicas\"\nvalue = \"x\"", "bad-value", "\"x\"", "whole number");
    let member = "[[kafka.consumer]]\nname = \"m1\"\ntopic = \"orders\"\n[[timeline]]\nat = \"5s\"\ndo = \"seek\"\nnode = \"m1\"";
    added(&format!("{member}\noffset = 3\npartition = 7"), "bad-value", "7", "no partition 7");
    added(&format!("{member}\noffset = 3\npartition = 70_000"), "bad-value", "70_000", "so many partitions");
    added(&format!("{member}\noffset = 3\nwhere = \"end\""), "contradiction", "\"m1\"", "one of `offset`, `where` and `back`");
    added(member, "contradiction", "\"m1\"", "one of `offset`, `where` and `back`");
    entry("at = \"5s\"\ndo = \"set-acks\"\nnode = \"p1\"\nacks = 3", "bad-value", "3", "one of 0, 1, all");
}

#[test]
#[rustfmt::skip] // one mistake, one line
fn in_predicates() {
    let expect = |text: &str, code: &str, place: &str, said: &str| {
        added(&format!("[[expect]]\nthat = '{text}'"), code, place, said);
    };
    expect("orders-0.lead == b1", "unknown-name", "lead", "did you mean `leader`?");
    expect("order-0.leader == b1", "unknown-name", "order-0", "did you mean `orders-0`?");
    expect("orders-0.leader == b9", "unknown-name", "b9", "there is no `b9`");
    expect("orders-0.leader == 1", "predicate-type", "orders-0.leader == 1", "a node is compared with a number");
    expect("orders-0.isr < 2", "predicate-type", "orders-0.isr < 2", "`.size`");
    expect("orders-0.leader < b1", "predicate-type", "orders-0.leader < b1", "has no order");
    expect("orders-0.isr == b1", "predicate-type", "orders-0.isr == b1", "with `in`");
    expect("orders-0.isr", "predicate-type", "orders-0.isr", "a set of nodes, not true or false");
    expect("time >= 5", "predicate-type", "time >= 5", "with its unit");
    expect("b1.state == \"dwn\"", "unknown-name", "\"dwn\"", "did you mean `down`?");
    expect("b1.state == dead", "unknown-name", "dead", "one of up, paused, down");
    expect("b1 in orders-0.leader", "predicate-type", "orders-0.leader", "a set of nodes");
    expect("ledger == 0", "unknown-name", "ledger", "not a value by itself");
    expect("ledger.lost.x == 0", "unknown-name", "x", "nothing can follow `ledger.lost`");
    expect("ledger.lost = 0", "predicate-syntax", "=", "write `==`");
    expect("1 == 1", "constant", "'1 == 1'", "asks nothing");
    expect("p1.orders-0.leo > 1", "unknown-name", "orders-0", "there is no `orders-0` in `p1`");
    added("[[expect]]\nthat = \"b1.state == \\\"dwn\\\"\"", "unknown-name", "\\\"dwn\\\"", "`down`");
    added("[[expect]]\nthat = '''\nledger.lots == 0'''", "unknown-name", "lots", "`lost`");
    added("[[expect]]\nthat = 'ledger.lost == 0'\nat = \"evntually\"", "bad-value", "\"evntually\"", "did you mean `eventually`?");
    added("[[expect]]\nthat = 'ledger.lost == 0'\nby = \"5s\"", "contradiction", "\"5s\"", "at = \"eventually\"");
    added("[[caption]]\nwhen = 'ledger.lost > 0'", "missing-key", "[[caption]]", "`text` is missing");
}

/// What is left out is fitted to the cluster, and partitions that are yet to come may be sought.
#[test]
fn what_is_no_mistake() {
    let one = BASE
        .replace("brokers = 3", "brokers = 1")
        .replace("replication-factor = 3", "replication-factor = 1");
    let member =
        "[[kafka.consumer]]\nname = \"m1\"\ntopic = \"orders\"\nconfig = { group.id = \"g\" }\n";
    let grows = "[[timeline]]\nat = \"5s\"\ndo = \"create-partitions\"\n\
                 topic = \"orders\"\ncount = 8\n\
                 [[timeline]]\nat = \"9s\"\ndo = \"seek\"\n\
                 node = \"m1\"\npartition = 7\noffset = 0\n";
    for text in [format!("{one}{member}"), format!("{BASE}{member}{grows}")] {
        let parsed = parse(&text);
        let shown = render(&parsed.diagnostics, "test", &text);
        assert!(
            parsed.scenario.is_some() && parsed.diagnostics.is_empty(),
            "{shown}"
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = BASE
        .replace("title =", "titel =")
        .replace("partitions = 2", "partitions = 0")
        .replace("rate = 10", "rate = 0")
        + "[[timeline]]\nat = 5\ndo = \"crash\"\nnode = \"b9\"\n[[expect]]\nthat = 'ledger.lots == 0 and orders-9.isr.size == 1'\n";
    let parsed = parse(&text);
    let codes: Vec<(u32, &str)> = parsed
        .diagnostics
        .iter()
        .map(|d| (d.line, d.code))
        .collect();
    let expect = [
        (2, "unknown-key"),
        (10, "bad-value"),
        (16, "bad-value"),
        (22, "bad-value"),
        (24, "unknown-name"),
        (26, "unknown-name"),
        (26, "unknown-name"),
    ];
    assert_eq!(
        codes,
        expect,
        "{}",
        render(&parsed.diagnostics, "test", &text)
    );
    assert_eq!(parsed.scenario, None);
    assert_eq!(diagnose(&text), parsed.diagnostics);
}

#[test]
fn limits_hold() {
    let code = |text: &str| parse(text).diagnostics.first().map(|d| d.code);
    let long = format!("{BASE}# {}", "x".repeat(limits::TEXT_BYTES));
    assert_eq!(code(&long), Some("limit-size"));
    let many = BASE.replace("brokers = 3", "brokers = 4_000_000_000");
    assert!(
        parse(&many)
            .diagnostics
            .iter()
            .any(|d| d.code == "limit-nodes")
    );
    let some = BASE.replace("brokers = 3", "brokers = 60");
    assert_eq!(code(&some), Some("limit-nodes"));
    let wide = BASE.replace("partitions = 2", "partitions = 4_000_000_000");
    assert!(
        parse(&wide)
            .diagnostics
            .iter()
            .any(|d| d.code == "limit-replicas")
    );
    let slow = BASE.replace("20s", "29d");
    assert_eq!(code(&slow), Some("limit-events"));
    let said = format!(
        "{BASE}{}",
        "[[caption]]\nat = \"1s\"\ntext = \"\"\n".repeat(1_001)
    );
    assert_eq!(code(&said), Some("limit-sentences"));
    let wrong = format!("{BASE}{}", "[[caption]]\n".repeat(500));
    assert_eq!(parse(&wrong).diagnostics.len(), limits::DIAGNOSTICS);
    assert_eq!(parse_bytes(b"a = \"\xff\"").diagnostics[0].code, "encoding");
}
