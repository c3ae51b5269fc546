//! ApiVersions: the software's name and version as KIP-511 wants them, versions above the broker's.

use corelog::wire::messages::ApiKey;
use corelog::wire::messages::api_versions::ApiVersionsRequest;

use crate::case::{Case, case};

fn from(name: &str, version: &str) -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: name.into(), client_software_version: version.into() }
}

pub fn cases() -> Vec<Case> {
    vec![
        case("what is served", 0..=4, |w, v| {
            w.ask(from("librdkafka", "2.16.0"), v);
        }),
        case("names and versions of software that break the rule", 3..=4, |w, v| {
            for bad in ["", "-a", "a-", ".a", "a b", "a_b", "ü", "a/b"] {
                w.ask(from(bad, "1"), v);
                w.ask(from("name", bad), v);
            }
        }),
        case("names and versions of software that keep to the rule", 3..=4, |w, v| {
            w.ask(from("a", "0"), v);
            w.ask(from("a.b-c", "1.0-x"), v);
        }),
        case("a version above the broker's, whatever its body", 5..=7, |w, v| {
            w.ask_raw_as(ApiKey::ApiVersions, v, &[], 0);
            w.ask_raw_as(ApiKey::ApiVersions, v, &[1, 2, 3, 4, 5], 0);
            w.ask_raw_as(ApiKey::ApiVersions, i16::MAX, &[0], 0);
        }),
        case("a version below 0", 0..=0, |w, _| {
            w.ask_raw_as(ApiKey::ApiVersions, -1, &[], 0);
        }),
        case("the same connection goes on after an error", 3..=4, |w, v| {
            w.ask(from("", ""), v);
            w.ask_raw_as(ApiKey::ApiVersions, 99, &[], 0);
            w.ask(from("a", "1"), v);
        }),
    ]
}
