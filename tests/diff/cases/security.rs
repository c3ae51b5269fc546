//! ACLs, quotas and SCRAM credentials of a cluster that has none.

use corelog::wire::Str;
use corelog::wire::messages::create_acls::{AclCreation, CreateAclsRequest};
use corelog::wire::messages::delete_acls::{DeleteAclsFilter, DeleteAclsRequest};
use corelog::wire::messages::describe_acls::DescribeAclsRequest;
use corelog::wire::messages::describe_client_quotas::{ComponentData, DescribeClientQuotasRequest};
use corelog::wire::messages::describe_user_scram_credentials::{DescribeUserScramCredentialsRequest, UserName};

use crate::case::{Case, case};

/// "Any", of types, operations and permissions.
const ANY: i8 = 1;

fn described() -> DescribeAclsRequest {
    DescribeAclsRequest {
        resource_type_filter: ANY,
        resource_name_filter: None,
        pattern_type_filter: 3,
        principal_filter: None,
        host_filter: None,
        operation: ANY,
        permission_type: ANY,
    }
}

fn created() -> AclCreation {
    AclCreation {
        resource_type: 2,
        resource_name: "t".into(),
        principal: "User:a".into(),
        host: "*".into(),
        operation: 3,
        permission_type: 3,
        ..Default::default()
    }
}

fn deleted() -> DeleteAclsFilter {
    DeleteAclsFilter {
        resource_type_filter: ANY,
        resource_name_filter: None,
        pattern_type_filter: 3,
        principal_filter: None,
        host_filter: None,
        operation: ANY,
        permission_type: ANY,
    }
}

fn quotas(components: &[(&str, i8, Option<&str>)], strict: bool) -> DescribeClientQuotasRequest {
    let component = |&(entity_type, match_type, match_): &(&str, i8, Option<&str>)| ComponentData {
        entity_type: entity_type.into(),
        match_type,
        match_: match_.map(Str::from),
    };
    DescribeClientQuotasRequest { components: components.iter().map(component).collect(), strict }
}

fn users(names: Option<&[&str]>) -> DescribeUserScramCredentialsRequest {
    let user = |name: &&str| UserName { name: Str::from(*name) };
    DescribeUserScramCredentialsRequest { users: names.map(|names| names.iter().map(user).collect()) }
}

pub fn cases() -> Vec<Case> {
    vec![
        case("rules described", 1..=3, |w, v| {
            w.ask(described(), v);
            for filter in [
                DescribeAclsRequest { resource_type_filter: 0, ..described() },
                DescribeAclsRequest { resource_type_filter: 99, ..described() },
                DescribeAclsRequest { operation: 0, ..described() },
                DescribeAclsRequest { permission_type: 99, ..described() },
                DescribeAclsRequest { pattern_type_filter: 0, ..described() },
                DescribeAclsRequest { pattern_type_filter: 1, ..described() },
            ] {
                w.ask(filter, v);
            }
        }),
        case("rules created", 1..=3, |w, v| {
            w.ask(CreateAclsRequest { creations: vec![created(), created()] }, v);
            w.ask(CreateAclsRequest { creations: vec![] }, v);
            for creation in [
                AclCreation { resource_type: 0, ..created() },
                AclCreation { resource_type: ANY, ..created() },
                AclCreation { operation: 0, ..created() },
                AclCreation { operation: ANY, ..created() },
                AclCreation { permission_type: 0, ..created() },
                AclCreation { resource_name: "".into(), ..created() },
                AclCreation { principal: "nobody".into(), ..created() },
            ] {
                w.ask(CreateAclsRequest { creations: vec![created(), creation] }, v);
            }
        }),
        case("rules deleted", 1..=3, |w, v| {
            w.ask(DeleteAclsRequest { filters: vec![deleted(), deleted()] }, v);
            w.ask(DeleteAclsRequest { filters: vec![] }, v);
            for filter in [
                DeleteAclsFilter { resource_type_filter: 0, ..deleted() },
                DeleteAclsFilter { operation: 99, ..deleted() },
                DeleteAclsFilter { pattern_type_filter: 0, ..deleted() },
            ] {
                w.ask(DeleteAclsRequest { filters: vec![deleted(), filter] }, v);
            }
        }),
        case("quotas described", 0..=1, |w, v| {
            for strict in [false, true] {
                w.ask(quotas(&[], strict), v);
                w.ask(quotas(&[("user", 0, Some("a")), ("client-id", 1, None)], strict), v);
                w.ask(quotas(&[("ip", 2, None)], strict), v);
            }
        }),
        case("quotas described: filters that are wrong", 0..=1, |w, v| {
            for wrong in [
                &[("nothing", 0, Some("a"))][..],
                &[("", 0, Some("a"))],
                &[("user", 0, None)],
                &[("user", 1, Some("a"))],
                &[("user", 2, Some("a"))],
                &[("user", 3, None)],
                &[("user", -1, None)],
                &[("user", 0, Some("a")), ("user", 0, Some("b"))],
                &[("ip", 0, Some("127.0.0.1")), ("user", 0, Some("a"))],
                &[("ip", 0, Some("nowhere.invalid"))],
            ] {
                w.note(&format!("{wrong:?}"));
                w.ask(quotas(wrong, false), v);
            }
        }),
        case("credentials described", 0..=0, |w, v| {
            for names in [None, Some(&[][..]), Some(&["a"]), Some(&["a", "a", "b"]), Some(&[""])] {
                w.ask(users(names), v);
            }
        }),
    ]
}
