//! Objects that operators of one chain share, and what follows if one of them changes it.

mod support;

use support::told;

const STORY: &str = include_str!("../../scenarios/job-object-reuse.toml");

/// The story without what it states of its rows and its end.
fn unstated() -> String {
    let (rows, captions) = ("[[stream.expect]]", "[[caption]]");
    STORY[..STORY
        .find(rows)
        .or(STORY.find(captions))
        .expect("it states something")]
        .to_owned()
}

/// What `out` says last with this change; 45 is what it should.
fn check(name: &str, changes: &[(&str, &str)], last: i64) {
    let expected = format!("out-store.last-value == {last} and right-store.last-value == 45");
    told(name, &unstated(), changes, &[&expected]);
}

#[test]
fn the_state_that_was_put_out_changes_with_it() {
    check("reused", &[], 50);
}

const ON: &str = "\"pipeline.object-reuse\" = true";
const SHOWN: &str = "[[stream.map]]\nname = \"shown\"\ninput = \"spent\"\n";

#[test]
fn each_way_out_is_one() {
    check("off", &[(ON, "\"pipeline.object-reuse\" = false")], 45);
    let files = format!("{ON}\n\"state.backend.type\" = \"rocksdb\"");
    check("bytes", &[(ON, &files)], 45);
    check("new object", &[("in-place = true\n", "")], 45);
    let head = format!("{SHOWN}chaining = \"never\"\n");
    check("apart", &[(SHOWN, &head)], 45);
}

/// Whoever passes the object on passes on what becomes of it.
#[test]
fn operators_between_make_no_difference() {
    let between = [
        "[[stream.filter]]\nname = \"between\"\ninput = \"spent\"\nat-least = 0\n\n",
        "[[stream.map]]\nname = \"between\"\ninput = \"spent\"\n\n",
    ];
    for it in between {
        let longer = it.to_owned() + &SHOWN.replace("\"spent\"", "\"between\"");
        check("between", &[(SHOWN, &longer)], 50);
    }
    // A map that makes a new object is where it ends.
    let new = "[[stream.map]]\nname = \"between\"\ninput = \"spent\"\n\
               function = \"add\"\nn = 0\n\n";
    let longer = new.to_owned() + &SHOWN.replace("\"spent\"", "\"between\"");
    check("new between", &[(SHOWN, &longer)], 45);
}

/// Two maps behind one operator get one object, one after the other.
#[test]
fn branches_share_what_they_are_given() {
    let branch = "[[stream.map]]\nname = \"doubled\"\ninput = \"orders\"\n\
                  function = \"multiply\"\nn = 2\nin-place = true\n\n\
                  [[stream.map]]\nname = \"plain\"\ninput = \"orders\"\n\n\
                  [[stream.sink]]\nname = \"first\"\ninput = \"doubled\"\n\n\
                  [[stream.sink]]\nname = \"second\"\ninput = \"plain\"\n\n";
    let text = unstated() + branch;
    let expected =
        |second| format!("first-store.last-value == 40 and second-store.last-value == {second}");
    told("branches", &text, &[], &[&expected(40)]);
    let off = [(ON, "\"pipeline.object-reuse\" = false")];
    told("copies", &text, &off, &[&expected(20)]);
}

/// What was changed is what a checkpoint holds, and what is restored.
#[test]
fn a_checkpoint_holds_what_became_of_it() {
    let on = format!("{ON}\n\"execution.checkpointing.interval\" = \"1 s\"");
    let fails = [(ON, &*on)];
    let text = unstated().replace("5s   bob", "25s  bob")
        + "[[timeline]]\nat = \"10s\"\ndo = \"fail-tasks\"\nnode = \"tm1\"\n";
    told(
        "restored",
        &text,
        &fails,
        &["job.restarts > 0 and out-store.last-value == 50 and right-store.last-value == 45"],
    );
}
