//! Where corelog's replies are deliberately not Kafka's, and why. The page `differences.md` shows this table.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use crate::case::{Case, runs};

/// Cases of one API whose replies differ for one reason, in some or all of their versions.
pub struct Difference {
    pub api: &'static str,
    pub cases: &'static [&'static str],
    pub reason: &'static str,
}

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        api: "api_versions",
        cases: &[
            "what is served",
            "names and versions of software that keep to the rule",
            "the same connection goes on after an error",
        ],
        reason: "APIs that are not served yet are not named, nor are features whose part is missing",
    },
    Difference {
        api: "frames",
        cases: &["no body for ApiVersions", "a client id of a length below -1"],
        reason: "APIs that are not served yet are not named",
    },
    Difference {
        api: "frames",
        cases: &["a client id that is not UTF-8", "a name that is null, too long, not UTF-8"],
        reason: "Kafka replaces bytes that are no UTF-8 and goes on with another text than the client's; here the \
                 connection is closed, as for all that cannot be read",
    },
    Difference {
        api: "frames",
        cases: &["a compact name that is null"],
        reason: "Kafka's handler fails, and tells UNKNOWN_SERVER_ERROR for the whole; here the one topic has an invalid name",
    },
    Difference {
        api: "metadata",
        cases: &["neither name nor id"],
        reason: "Kafka's handler fails, and tells UNKNOWN_SERVER_ERROR for the whole; here the one topic has an invalid name",
    },
    Difference {
        api: "create_topics",
        cases: &["no time to wait"],
        reason: "Kafka tells that the time ran out, and makes them all the same; here the reply tells what came of it",
    },
    Difference {
        api: "delete_topics",
        cases: &["no time to wait"],
        reason: "Kafka tells that the time ran out, and deletes all the same; here the reply tells what came of it",
    },
    Difference {
        api: "partitions",
        cases: &["quorum: of the metadata log"],
        reason: "one listener serves clients and the metadata log: there is none of the name CONTROLLER",
    },
    Difference {
        api: "configs",
        cases: &[
            "describe: all configs of a topic",
            "describe: with synonyms and documentation",
            "describe: some keys, one unknown, one twice",
        ],
        reason: "every ack is of synced records: flush.messages is 1; and min.insync.replicas is no cluster's own value, \
                 which Kafka makes it for its elections",
    },
    Difference {
        api: "configs",
        cases: &["change: a broker's settings that are fixed or unknown"],
        reason: "Kafka keeps settings that it does not know for its plugins; here nothing would ever read them",
    },
    Difference {
        api: "configs",
        cases: &["change: a broker's threads and throttles"],
        reason: "threads are cores here, and nothing is replicated: nothing would act on such a change",
    },
    Difference {
        api: "configs",
        cases: &["describe: loggers other than the root"],
        reason: "Kafka has a logger for each of its classes; here the root, which has the level of all lines, is the only one",
    },
    Difference {
        api: "configs",
        cases: &["change: the root of the loggers, FATAL and unset"],
        reason: "unset it has the level of the start (`log_level`), where Kafka refuses; FATAL is told as ERROR, which it is \
                 here",
    },
    Difference {
        api: "delete_records",
        cases: &["a partition twice"],
        reason: "Kafka keeps the last of the two; here each is answered",
    },
    Difference {
        api: "fetch",
        cases: &["a partition twice"],
        reason: "Kafka keeps the last of the two and drops the other; here each is answered",
    },
    Difference {
        api: "fetch",
        cases: &["a reader that says it is a replica"],
        reason: "a single node has no followers to refuse: every reader is a consumer",
    },
    Difference {
        api: "fetch",
        cases: &["an isolation that there is not"],
        reason: "Kafka's handler fails with UNKNOWN_SERVER_ERROR; here it reads what is not committed too, as in ListOffsets",
    },
    Difference {
        api: "fetch",
        cases: &["ids that no topic has"],
        reason: "of the id zero Kafka's handler fails with UNKNOWN_SERVER_ERROR for the whole; here the one topic is unknown",
    },
    Difference {
        api: "fetch",
        cases: &["limits of a partition", "limits of the whole"],
        reason: "Kafka cuts the last batch where the limit is, and fails for a limit below zero; here batches are whole, \
                 and such a limit is zero",
    },
    Difference {
        api: "fetch_sessions",
        cases: &["failing partitions come in each reply, by id"],
        reason: "Kafka names a topic again for those of its partitions that fail; here they stay together",
    },
    Difference {
        api: "fetch_sessions",
        cases: &["a topic deleted under a session", "a topic deleted and made anew under a session"],
        reason: "Kafka goes by the name that the id had when the session began; here an id that is gone is unknown",
    },
    Difference {
        api: "produce",
        cases: &["two partitions, one of them twice", "a topic twice"],
        reason: "Kafka keeps the last of the two batches, and drops the other without a word; here both are appended, and answered where they were asked",
    },
    Difference {
        api: "produce",
        cases: &["a sound partition beside one of another magic"],
        reason: "of a magic that there is not Kafka refuses all of the request; here the other partitions are appended, and need not \
                 be sent again",
    },
    Difference {
        api: "produce",
        cases: &["an epoch of -1"],
        reason: "no client has such an epoch; Kafka takes it, and any sequence with it, which would let repeats in",
    },
    Difference {
        api: "list_offsets",
        cases: &["the newest of records that have no time"],
        reason: "there is none here, -1; Kafka tells the first one's offset",
    },
    Difference {
        api: "produce_batches",
        cases: &["an offset delta out of turn"],
        reason: "Kafka takes a batch whose records have other offsets than it counts; here readers are spared it",
    },
];

/// A difference that no case shows.
struct Known {
    api: &'static str,
    asked: &'static str,
    reason: &'static str,
}

const KNOWN: &[Known] = &[
    Known {
        api: "join_group",
        asked: "a session time-out out of bounds, before there is `__consumer_offsets`",
        reason: "NOT_COORDINATOR, as for all requests of groups then; Kafka looks at the time-out first",
    },
    Known {
        api: "join_group",
        asked: "a member for which `group.memory.bytes` has no room",
        reason: "what groups hold is bounded here: GROUP_MAX_SIZE_REACHED",
    },
    Known {
        api: "offset_commit",
        asked: "an offset for which `group.memory.bytes` has no room",
        reason: "as above: COORDINATOR_NOT_AVAILABLE, so that clients come again",
    },
    Known {
        api: "consumer_group_heartbeat",
        asked: "the first heartbeat of a group, with an expression",
        reason: "the group's epoch is 2: the expression is matched before the reply; Kafka does it after, and tells 1",
    },
    Known {
        api: "join_group",
        asked: "of the only, static member of a consumer group, with another subscription",
        reason: "the generation follows the epoch that the group has by then; Kafka's starts anew",
    },
    Known {
        api: "fetch_sessions",
        asked: "a session gone on with from another connection",
        reason: "a session is its core's: FETCH_SESSION_ID_NOT_FOUND where the connection came to another, and the client fetches in full \
                 once",
    },
    Known {
        api: "produce",
        asked: "a batch of an unknown codec or a wrong length beside sound partitions",
        reason: "as for a magic that there is not: Kafka refuses all of the request",
    },
    Known {
        api: "list_offsets",
        asked: "the newest time of records of which DeleteRecords has taken some",
        reason: "Kafka may tell a record below the start of the log; here the newest of those that are left",
    },
    Known {
        api: "log_dirs",
        asked: "sizes right after DeleteRecords",
        reason: "what nobody can read any more is not counted; Kafka counts it until its next look",
    },
    Known {
        api: "partitions",
        asked: "CreatePartitions, ElectLeaders and AlterPartitionReassignments with no time to wait",
        reason: "as for CreateTopics: the reply tells what came of it",
    },
];

/// Set, it has the page rewritten.
const UPDATE: &str = "UPDATE_DIFFERENCES";

pub fn check_page(apis: &[(&str, fn() -> Vec<Case>)]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("differences.md");
    let page = page(apis);
    if env::var_os(UPDATE).is_some() {
        fs::write(path, page).expect("the page");
    } else {
        assert!(
            fs::read_to_string(path).unwrap_or_default() == page,
            "differences.md is not up to date: {UPDATE}=1 cargo test --test diff page"
        );
    }
}

fn page(apis: &[(&str, fn() -> Vec<Case>)]) -> String {
    let cases: usize = apis.iter().map(|(_, cases)| cases().len()).sum();
    let all: usize = apis.iter().map(|(_, cases)| runs(&cases())).sum();
    let mut page = format!(
        "# Differences from Kafka\n\n\
         `tests/diff` sends the same requests to corelog and to Kafka 4.3.1: {cases} cases, each in every version that it\n\
         concerns, {all} in all. Their replies are the same but for ids, addresses, times and the words of error messages,\n\
         and but for these, which are deliberate. With every error of a produce there are words here, which Kafka has for some\n\
         only, and no start of the log, which Kafka tells with some and no client reads.\n\n\
         | API | what is asked | why the answer differs |\n|---|---|---|\n"
    );
    for Difference { api, cases, reason } in DIFFERENCES {
        writeln!(page, "| {} | {} | {reason} |", title(api), cases.join("; ")).expect("a String takes all");
    }
    page.push_str("\nKnown, and not among the cases:\n\n");
    page.push_str("| API | what is asked | why the answer differs |\n|---|---|---|\n");
    for Known { api, asked, reason } in KNOWN {
        writeln!(page, "| {} | {asked} | {reason} |", title(api)).expect("a String takes all");
    }
    page
}

/// `list_offsets` as Kafka writes it.
fn title(api: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    api.split('_').map(word).collect()
}
