//! DescribeCluster: endpoint types, operations, fenced brokers.

use corelog::wire::messages::describe_cluster::DescribeClusterRequest;

use crate::case::{Case, case};

fn ask() -> DescribeClusterRequest {
    DescribeClusterRequest::default()
}

pub fn cases() -> Vec<Case> {
    vec![
        case("the brokers", 0..=2, |w, v| {
            w.ask(ask(), v);
        }),
        case("with the operations that the peer is allowed", 0..=2, |w, v| {
            w.ask(DescribeClusterRequest { include_cluster_authorized_operations: true, ..ask() }, v);
        }),
        case("endpoints of controllers, and of types that there are not", 1..=2, |w, v| {
            for endpoint_type in [2, 0, 3, -1, i8::MAX] {
                w.ask(DescribeClusterRequest { endpoint_type, ..ask() }, v);
            }
        }),
        case("with fenced brokers", 2..=2, |w, v| {
            w.ask(DescribeClusterRequest { include_fenced_brokers: true, ..ask() }, v);
        }),
    ]
}
