//! DescribeCluster (key 60): brokers and controller, without topics. Runs on the connection's core.
//! Invariant: the address told is that of the listener on which the request came in.

use std::future::Future;

use super::RequestContext;
use super::metadata::CLUSTER_OPERATIONS;
use super::table::Served;
use crate::wire::messages::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};
use crate::wire::messages::metadata::OPERATIONS_NOT_ASKED;
use crate::wire::{ErrorCode, Str};

/// What an endpoint type stands for.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DescribeClusterRequest,
) -> impl Future<Output = Served<DescribeClusterResponse>> + use<> {
    let reply = match request.endpoint_type {
        BROKERS => described(ctx, request.include_cluster_authorized_operations),
        CONTROLLERS => refused(
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".into(),
        ),
        other => refused(ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
    };
    std::future::ready(reply.into())
}

fn described(ctx: &RequestContext<'_>, with_operations: bool) -> DescribeClusterResponse {
    let settings = &ctx.core.settings;
    let (host, port) = ctx.peer.broker_address();
    let broker = DescribeClusterBroker {
        broker_id: settings.node_id,
        host,
        port,
        rack: settings.rack.clone(),
        ..Default::default()
    };
    DescribeClusterResponse {
        cluster_id: settings.cluster_id.clone(),
        controller_id: settings.node_id,
        brokers: vec![broker],
        cluster_authorized_operations: if with_operations { CLUSTER_OPERATIONS } else { OPERATIONS_NOT_ASKED },
        ..Default::default()
    }
}

fn refused(error_code: ErrorCode, why: String) -> DescribeClusterResponse {
    DescribeClusterResponse { error_code, error_message: Some(Str::from(why)), ..Default::default() }
}
